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

	memset(header, 0, sizeof(*header));
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
static int load(const struct header *header, struct luks_segment *segment, struct header *result)
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
	if (!rc && result)
		rc = header_read(fd, result);
	(void)close(fd);
	if (rc == -EKEYREJECTED || (!rc && !text_is_uuid(segment->uuid)))
		rc = -EINVAL;
	return rc;
}

int header_segment(const struct header *header, struct luks_segment *segment)
{
	return load(header, segment, NULL);
}

int header_segment_of(const struct header *header, unsigned int copy, struct luks_segment *segment)
{
	struct header alone = *header;

	memset(alone.copy[1 - copy], 0, HEADER_COPY_BYTES);
	return load(&alone, segment, NULL);
}

int header_restore(struct header *header, unsigned int copy)
{
	struct header alone = *header, whole;
	struct luks_segment segment;

	memset(alone.copy[copy], 0, HEADER_COPY_BYTES);
	int rc = load(&alone, &segment, &whole);
	if (!rc && memcmp(whole.copy[1 - copy], alone.copy[1 - copy], HEADER_COPY_BYTES) != 0)
		rc = -EIO; /* the copy that is whole stays as it is */
	if (!rc)
		memcpy(header->copy[copy], whole.copy[copy], HEADER_COPY_BYTES);
	return rc;
}
