/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_header.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "keyadm_target.h"
#include "text.h"

int header_read(int fd, struct header *header)
{
	uint8_t *at = header->copy[0];
	size_t len = sizeof(*header), done = 0;

	while (done < len) {
		ssize_t n = pread(fd, at + done, len - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return 0;
}

/*
 * Through the library, which checks everything. It writes, too: what it finds damaged it replaces. So it gets a file
 * in memory, with the length of a whole header.
 */
int header_segment(const struct header *header, struct luks_segment *segment)
{
	struct luks *luks = NULL;

	int fd = memfd_create("header", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = ftruncate(fd, (off_t)VOLUME_HEADER_BYTES) ? -errno : 0;
	if (!rc && pwrite(fd, header, sizeof(*header), 0) != (ssize_t)sizeof(*header))
		rc = -EIO;
	if (!rc)
		rc = luks_read(fd, &luks);
	if (!rc)
		*segment = *luks_segment(luks);
	luks_free(luks);
	(void)close(fd);
	if (rc == -EKEYREJECTED || (!rc && !text_is_uuid(segment->uuid)))
		rc = -EINVAL;
	return rc;
}
