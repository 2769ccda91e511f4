/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "audit_head.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "durable.h"
#include "reserve.h"

enum {
	SLOTS = 2,
	SLOT_SPACING_BYTES = 4096, /* no medium tears both with one write */
	FILE_BYTES = SLOTS * SLOT_SPACING_BYTES,
	TEXT_BYTES_MAX = 256,
};

/* The key's other use is over lines that begin with a brace: neither can be taken for the other. */
static const char prefix[] = "tgt-crypt audit head v1 ";

/* Writes prefix, number, hash, code and newline to text, always as many bytes. Returns that or -EIO. */
static int format_slot(struct mac *mac, uint64_t seq, const char *hash, char text[TEXT_BYTES_MAX])
{
	char code[MAC_TEXT_BYTES];

	int len = snprintf(
		text, TEXT_BYTES_MAX, "%s%020" PRIu64 " %.*s", prefix, seq, AUDIT_HASH_CHARS, hash);
	if (mac_text(mac, text, (size_t)len, code))
		return -EIO;
	return len + snprintf(text + len, TEXT_BYTES_MAX - (size_t)len, " %s\n", code);
}

/* What the slot at text says. -EBADMSG unless it is what format_slot() makes of that, byte for byte. */
static int parse_slot(struct mac *mac, const char *text, struct audit_head *head)
{
	char again[TEXT_BYTES_MAX], hash[AUDIT_HASH_BYTES];
	uint64_t seq;

	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0 ||
		sscanf(text + sizeof(prefix) - 1, "%20" SCNu64 " %64[0-9a-f] ", &seq, hash) != 2)
		return -EBADMSG;
	int len = format_slot(mac, seq, hash, again);
	if (len < 0)
		return len;
	size_t code_at = (size_t)len - MAC_TEXT_BYTES;
	if (memcmp(text, again, code_at) != 0 || !mac_equal(text + code_at, again + code_at) ||
		text[len - 1] != '\n')
		return -EBADMSG;
	head->seq = seq;
	memcpy(head->hash, hash, sizeof(hash));
	return 0;
}

/* The later of the two slots in file. */
static int choose(struct mac *mac, const char *file, struct audit_head *head)
{
	struct audit_head slots[SLOTS] = {0};
	int rc[SLOTS];

	for (unsigned i = 0; i < SLOTS; i++) {
		slots[i].slot = i;
		rc[i] = parse_slot(mac, file + (size_t)i * SLOT_SPACING_BYTES, &slots[i]);
		if (rc[i] && rc[i] != -EBADMSG)
			return rc[i];
	}
	if (rc[0] && rc[1])
		return -EBADMSG;
	unsigned best = rc[0] || (!rc[1] && slots[1].seq > slots[0].seq) ? 1 : 0;
	*head = slots[best];
	head->other_damaged = rc[1 - best] != 0;
	return 0;
}

int audit_head_read(int dir_fd, struct mac *mac, struct audit_head *head)
{
	char file[FILE_BYTES + 1];

	*head = (struct audit_head){0};
	int fd = openat(dir_fd, AUDIT_HEAD_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	memset(file, 0, sizeof(file)); /* what a shorter file lacks is no slot */
	ssize_t n = pread(fd, file, FILE_BYTES, 0);
	int rc = n < 0 ? -errno : 0;
	(void)close(fd);
	return rc ? rc : choose(mac, file, head);
}

int audit_head_create(int dir_fd, struct mac *mac, uint64_t seq, const char *hash)
{
	char file[FILE_BYTES] = {0}, text[TEXT_BYTES_MAX];

	int len = format_slot(mac, seq, hash, text);
	if (len < 0)
		return len;
	for (unsigned i = 0; i < SLOTS; i++)
		memcpy(file + (size_t)i * SLOT_SPACING_BYTES, text, (size_t)len);
	return durable_write(dir_fd, AUDIT_HEAD_FILE, file, sizeof(file));
}

int audit_head_open(int dir_fd)
{
	int fd = openat(dir_fd, AUDIT_HEAD_FILE, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int audit_head_write(int fd, struct mac *mac, unsigned slot, uint64_t seq, const char *hash)
{
	char text[TEXT_BYTES_MAX];

	int len = format_slot(mac, seq, hash, text);
	if (len < 0)
		return len;
	ssize_t n;
	do /* a file system that writes nothing in place may lack room */
		n = pwrite(fd, text, (size_t)len, (off_t)slot * SLOT_SPACING_BYTES);
	while (n < 0 && reserve_helps(-errno));
	if (n != len)
		return n < 0 ? -errno : -EIO;
	/* Over bytes that are there already: no metadata changes, one write and a flush. */
	return fdatasync(fd) ? -errno : 0;
}
