/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "durable.h"
#include "jsonhelp.h"
#include "text.h"
#include "wrap.h"

enum { LINE_BYTES_MAX = 2048, ID_RAW_BYTES = 8 };

static int new_id(char id[LEDGER_ID_BYTES])
{
	uint8_t raw[ID_RAW_BYTES];

	int rc = wrap_new_key(raw, sizeof(raw));
	if (rc)
		return rc;
	memcpy(id, "exp-", 4);
	text_hex(raw, sizeof(raw), id + 4);
	return 0;
}

/* A crash may have left half a line: the next entry then starts on a line of its own. */
static int open_at_line_start(int dir_fd, uint64_t *size_bytes)
{
	struct stat st;
	char last = '\n';

	int fd = openat(
		dir_fd, LEDGER_FILE, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc = fsync(dir_fd) || fstat(fd, &st) ? -errno : 0;
	if (!rc) {
		*size_bytes = (uint64_t)st.st_size;
		if (st.st_size && pread(fd, &last, 1, st.st_size - 1) != 1)
			rc = -EIO;
	}
	if (!rc && last != '\n')
		rc = durable_append(fd, "\n", 1, size_bytes);
	if (rc) {
		(void)close(fd);
		return rc;
	}
	return fd;
}

int ledger_append(int dir_fd, const struct ledger_entry *entry, char id[LEDGER_ID_BYTES])
{
	char line[LINE_BYTES_MAX], now[TEXT_TIME_BYTES];
	uint64_t size_bytes;

	int rc = new_id(id);
	if (rc)
		return rc;
	text_time(now, clock_wall_seconds());
	const struct passwd *pw = getpwuid(entry->by->uid);
	char user[64];
	text_sanitize(user, sizeof(user), pw && !strpbrk(pw->pw_name, "\"\\") ? pw->pw_name : "");
	/* Every string here comes from an alphabet that JSON takes as it is. */
	int len = snprintf(line, sizeof(line),
		"{\"id\":\"%s\",\"time\":\"%s\",\"kind\":\"volume-key\",\"uid\":%u,\"user\":\"%s\","
		"\"uuid\":\"%s\",\"level\":\"%s\",\"fingerprint\":\"%s\"}\n",
		id, now, (unsigned)entry->by->uid, user, entry->volume, entry->level,
		entry->fingerprint);
	if (len < 0 || (size_t)len >= sizeof(line))
		return -EMSGSIZE;
	int fd = open_at_line_start(dir_fd, &size_bytes);
	if (fd < 0)
		return fd;
	rc = durable_append(fd, line, (size_t)len, &size_bytes);
	(void)close(fd);
	return rc;
}

static int collect(FILE *f, const char *level, const char *volume, struct json_object *found,
	uint64_t *damaged)
{
	char line[LINE_BYTES_MAX];

	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '\n')
			continue;
		struct json_object *entry = json_tokener_parse(line);
		if (!json_object_is_type(entry, json_type_object)) {
			++*damaged;
			json_object_put(entry);
			continue;
		}
		bool wanted = volume ? !strcmp(json_string(entry, "uuid"), volume)
				     : !level || !strcmp(json_string(entry, "level"), level);
		if (!wanted)
			json_object_put(entry);
		else if (!json_append(found, entry))
			return -ENOMEM;
	}
	return ferror(f) ? -EIO : 0;
}

struct json_object *ledger_outstanding(
	int dir_fd, const char *level, const char *volume, uint64_t *damaged)
{
	struct json_object *found = json_object_new_array();
	FILE *f = NULL;
	int rc = 0;

	*damaged = 0;
	int fd = openat(dir_fd, LEDGER_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		rc = errno == ENOENT ? 0 : -errno; /* nothing was ever exported */
	else if (!(f = fdopen(fd, "r")))
		rc = -errno;
	if (f && found)
		rc = collect(f, level, volume, found, damaged);
	if (f)
		(void)fclose(f);
	else if (fd >= 0)
		(void)close(fd);
	if (rc) {
		json_object_put(found);
		return NULL;
	}
	return found;
}
