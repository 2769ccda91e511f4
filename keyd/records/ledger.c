/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit_exports.h"
#include "clock.h"
#include "durable.h"
#include "jsonhelp.h"
#include "text.h"
#include "wrap.h"

enum {
	LINE_BYTES_MAX = 16384,
	FILE_BYTES_MAX = 64 * 1024 * 1024,
	ID_RAW_BYTES = 8,
};

/* Of lines that are no entry, but about one. */
static const char kind_destroyed[] = "destroyed";

int ledger_new_id(char id[LEDGER_ID_BYTES])
{
	uint8_t raw[ID_RAW_BYTES];

	int rc = wrap_new_key(raw, sizeof(raw));
	if (rc)
		return rc;
	memset(id, 0, LEDGER_ID_BYTES);
	memcpy(id, "exp-", 4);
	text_hex(raw, sizeof(raw), id + 4);
	return 0;
}

/* A crash may have left half a line: the next entry then starts on a line of its own. */
static int open_at_line_start(int dir_fd, uint64_t *size_bytes)
{
	struct stat st = {0};
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

static int append_line(int dir_fd, struct json_object *json)
{
	char line[LINE_BYTES_MAX];
	uint64_t size_bytes = 0;

	const char *text = json_object_to_json_string_ext(
		json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	int len = text ? snprintf(line, sizeof(line), "%s\n", text) : -1;
	if (len < 0 || (size_t)len >= sizeof(line))
		return text ? -EMSGSIZE : -ENOMEM;
	int fd = open_at_line_start(dir_fd, &size_bytes);
	if (fd < 0)
		return fd;
	int rc = size_bytes + (uint64_t)len > FILE_BYTES_MAX
			 ? -EFBIG
			 : durable_append(fd, line, (size_t)len, &size_bytes);
	(void)close(fd);
	return rc;
}

/* What every line begins with. */
static struct json_object *new_line(const char *id, const char *kind, const struct peer *by)
{
	struct json_object *json = json_object_new_object();
	const struct passwd *pw = getpwuid(by->uid);
	char user[64];

	text_sanitize(user, sizeof(user), pw ? pw->pw_name : "");
	if (json_add_string(json, "id", id) && json_add_time(json, "time", clock_wall_seconds()) &&
		json_add_string(json, "kind", kind) && json_add_number(json, "uid", by->uid) &&
		json_add_string(json, "user", user))
		return json;
	json_object_put(json);
	return NULL;
}

static bool add_if(struct json_object *json, const char *key, const char *value)
{
	return !value || json_add_string(json, key, value);
}

int ledger_append(int dir_fd, const struct ledger_entry *entry)
{
	struct json_object *json = new_line(entry->id, entry->kind, entry->by);

	bool ok = json && add_if(json, "uuid", entry->volume) &&
		  add_if(json, "level", entry->level) &&
		  add_if(json, "fingerprint", entry->fingerprint) &&
		  add_if(json, "to", entry->to) && add_if(json, "host", entry->host) &&
		  add_if(json, "sha256", entry->sha256);
	if (ok && entry->recipients)
		ok = json_add(json, "recipients", json_object_get(entry->recipients));
	int rc = ok ? append_line(dir_fd, json) : -ENOMEM;
	json_object_put(json);
	return rc;
}

int ledger_vouch(int dir_fd, const struct peer *by, const char *id)
{
	struct json_object *json = new_line(id, kind_destroyed, by);

	int rc = json ? append_line(dir_fd, json) : -ENOMEM;
	json_object_put(json);
	return rc;
}

/* Enters into the entries so far that somebody vouches for the one that line speaks of. */
static bool apply_vouching(struct json_object *entries, struct json_object *line)
{
	bool ok = true;

	for (size_t i = 0; ok && i < json_object_array_length(entries); i++) {
		struct json_object *entry = json_object_array_get_idx(entries, i);
		if (strcmp(json_string(entry, "id"), json_string(line, "id")) ||
			json_object_object_get_ex(entry, kind_destroyed, NULL))
			continue;
		struct json_object *by = json_object_new_object();
		ok = json_add_string(by, "time", json_string(line, "time")) &&
		     json_add_number(by, "uid", json_number(line, "uid")) &&
		     json_add_string(by, "user", json_string(line, "user"));
		ok = json_add(entry, kind_destroyed, by) && ok;
	}
	return ok;
}

static int take_line(struct json_object *entries, const char *text, uint64_t *damaged)
{
	struct json_object *line = json_tokener_parse(text);
	bool ok = true;

	if (!json_object_is_type(line, json_type_object)) {
		++*damaged;
	} else if (!strcmp(json_string(line, "kind"), kind_destroyed)) {
		ok = apply_vouching(entries, line);
	} else {
		ok = json_append(entries, line);
		line = NULL; /* the array owns it */
	}
	json_object_put(line);
	return ok ? 0 : -ENOMEM;
}

struct json_object *ledger_list(int dir_fd, uint64_t *damaged)
{
	struct json_object *entries = json_object_new_array();
	uint8_t *data = NULL;
	size_t len_bytes;
	char *next;

	*damaged = 0;
	int rc = durable_read(dir_fd, LEDGER_FILE, FILE_BYTES_MAX, &data, &len_bytes);
	if (rc == -ENOENT)
		rc = 0; /* nothing was ever exported */
	for (char *line = (char *)data; !rc && line && *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (*line)
			rc = entries ? take_line(entries, line, damaged) : -ENOMEM;
	}
	free(data);
	if (rc) {
		json_object_put(entries);
		return NULL;
	}
	return entries;
}

/* An export of a level's key opens all its volumes, also those that are not in it. */
static bool concerns(struct json_object *entry, const char *level, const char *volume)
{
	const char *uuid = json_string(entry, "uuid");

	if (!level)
		return true;
	if (volume && *uuid)
		return !strcmp(uuid, volume);
	return !strcmp(json_string(entry, "level"), level);
}

static struct json_object *select_entries(
	int dir_fd, const char *level, const char *volume, bool vouched, uint64_t *damaged)
{
	struct json_object *all = ledger_list(dir_fd, damaged);
	struct json_object *found = json_object_new_array();
	bool ok = all && found;

	for (size_t i = 0; ok && i < json_object_array_length(all); i++) {
		struct json_object *entry = json_object_array_get_idx(all, i);
		if (concerns(entry, level, volume) &&
			json_object_object_get_ex(entry, kind_destroyed, NULL) == vouched)
			ok = json_append(found, json_object_get(entry));
	}
	json_object_put(all);
	if (ok)
		return found;
	json_object_put(found);
	return NULL;
}

struct json_object *ledger_outstanding(
	int dir_fd, const char *level, const char *volume, uint64_t *damaged)
{
	return select_entries(dir_fd, level, volume, false, damaged);
}

struct json_object *ledger_vouched(int dir_fd, const char *level, const char *volume)
{
	uint64_t damaged;

	return select_entries(dir_fd, level, volume, true, &damaged);
}

/* What one entry has to say about the set: its record is found, and its vouching has one. False: out of memory, or it has none. */
static bool agrees(const struct audit *audit, struct json_object *entry, struct json_object *found)
{
	const char *uuid = json_string(entry, "uuid"), *id = json_string(entry, "id");
	char text[AUDIT_EXPORT_BYTES];

	audit_export_text(text, id, *uuid ? uuid : json_string(entry, "level"));
	if (!json_add_bool(found, text, true))
		return false;
	if (!json_object_object_get_ex(entry, kind_destroyed, NULL))
		return true;
	audit_vouching_text(text, id);
	return json_object_object_get_ex(audit->exports, text, NULL);
}

/* Every export of the log is among those found in the ledger. */
static bool has_all(const struct audit *audit, struct json_object *found)
{
	struct json_object_iterator at = json_object_iter_begin(audit->exports);
	struct json_object_iterator end = json_object_iter_end(audit->exports);

	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		const char *text = json_object_iter_peek_name(&at);
		if (strncmp(text, "exp-", 4) == 0 && !json_object_object_get_ex(found, text, NULL))
			return false;
	}
	return true;
}

const char *ledger_doubt(int dir_fd, const struct audit *audit)
{
	const char *doubt = NULL;
	uint64_t damaged;

	if (!audit->key.bytes)
		return "the store is locked or has no audit key, so the ledger cannot be checked: "
		       "unlock the store and ask again";
	if (audit->broken)
		return "the audit log is broken, so the ledger cannot be checked: run keyadm audit "
		       "--verify";
	struct json_object *entries = ledger_list(dir_fd, &damaged);
	struct json_object *found = json_object_new_object();
	if (!entries || !found)
		doubt = "the ledger cannot be read";
	for (size_t i = 0; !doubt && i < json_object_array_length(entries); i++) {
		if (!agrees(audit, json_object_array_get_idx(entries, i), found))
			doubt = "the ledger has a copy as destroyed for which nobody has vouched "
				"in the audit log";
	}
	if (!doubt && !has_all(audit, found))
		doubt = "the ledger lacks, or has changed, what the audit log says was exported: "
			"look for export and volume-key in keyadm audit";
	json_object_put(found);
	json_object_put(entries);
	return doubt;
}
