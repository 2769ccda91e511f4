/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "reading.h"

#include <errno.h>
#include <unistd.h>

ssize_t read_up_to(int fd, void *to, size_t cap_bytes)
{
	size_t len = 0;

	while (len < cap_bytes) {
		ssize_t n = read(fd, (char *)to + len, cap_bytes - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}
