/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "passphrase.h"

#include <errno.h>
#include <unistd.h>

#include "secret.h"

/* Up to cap bytes, less at the end of the file. Their number, or -errno. */
static ssize_t read_up_to(int fd, uint8_t *to, size_t cap)
{
	size_t len = 0;

	while (len < cap) {
		ssize_t n = read(fd, to + len, cap - len);
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

/* Whether nothing follows but the newline that a full field has no room for. */
static int check_end(int fd)
{
	uint8_t more[2];
	ssize_t n = read_up_to(fd, more, sizeof(more));

	int rc = n < 0 ? (int)n : !n || (n == 1 && more[0] == '\n') ? 0 : -E2BIG;
	secret_wipe(more, sizeof(more));
	return rc;
}

int passphrase_read(int fd, struct proto_passphrase *passphrase)
{
	ssize_t len = read_up_to(fd, passphrase->bytes, sizeof(passphrase->bytes));

	int rc = len < 0 ? (int)len : 0;
	if (len == sizeof(passphrase->bytes))
		rc = check_end(fd);
	else if (len > 0 && passphrase->bytes[len - 1] == '\n')
		passphrase->bytes[--len] = 0;
	if (!rc && !len)
		rc = -ENODATA;
	if (rc)
		secret_wipe(passphrase, sizeof(*passphrase));
	else
		passphrase->len_bytes = (uint32_t)len;
	return rc;
}
