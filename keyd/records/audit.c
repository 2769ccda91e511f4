/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "audit_exports.h"
#include "audit_head.h"
#include "audit_private.h"
#include "clock.h"
#include "durable.h"
#include "jsonhelp.h"
#include "log.h"
#include "publish.h"
#include "secret.h"
#include "text.h"

enum { TORN_BYTES_MAX = 1024 * 1024 };

/* Moves what follows the last whole line to a file of its own, so that appending can go on. */
static int cut_torn_line(const struct audit *audit, int dir_fd, uint64_t whole_bytes)
{
	char name[64];
	struct stat st;

	if (fstat(audit->fd, &st))
		return -errno;
	size_t len = (size_t)((uint64_t)st.st_size - whole_bytes);
	if (len > TORN_BYTES_MAX)
		return -EFBIG;
	char *torn = malloc(len + 1);
	if (!torn)
		return -ENOMEM;
	(void)snprintf(name, sizeof(name), AUDIT_FILE ".torn-%" PRId64, clock_wall_seconds());
	int rc = pread(audit->fd, torn, len, (off_t)whole_bytes) == (ssize_t)len ? 0 : -EIO;
	if (!rc)
		rc = durable_write(dir_fd, name, torn, len);
	if (!rc && (ftruncate(audit->fd, (off_t)whole_bytes) || fsync(audit->fd)))
		rc = -errno;
	free(torn);
	return rc;
}

/* Says in the log itself what was found wrong with it. */
static int record_findings(struct audit *audit, const struct audit_verdict *v)
{
	char detail[AUDIT_REASON_BYTES + 32];
	int rc = 0;

	if (v->torn) {
		log_warning(
			"the audit log ended in half a line, as after a crash: moved to " AUDIT_FILE
			".torn-*");
		rc = audit_append(audit,
			&(struct audit_event){.event = "audit-torn-line", .result = "repaired"});
	}
	if (!rc && v->first_bad_line) {
		(void)snprintf(detail, sizeof(detail), "line %" PRIu64 ": %s", v->first_bad_line,
			v->reason);
		log_error("the audit log is broken at %s", detail);
		rc = audit_append(audit,
			&(struct audit_event){
				.event = "audit-broken", .detail = detail, .result = "failed"});
	}
	return rc;
}

static void take_key(struct audit *audit, struct audit_key *key)
{
	audit_drop_key(audit);
	audit->key = *key;
	*key = (struct audit_key){0}; /* the log owns it */
}

static int make_head(struct audit *audit, uint64_t seq, const char *hash)
{
	struct mac mac;

	int rc = mac_begin(&mac, audit->key.bytes);
	if (rc)
		return rc;
	rc = audit_head_create(audit->dir_fd, &mac, seq, hash);
	mac_end(&mac);
	return rc;
}

static int open_head(struct audit *audit)
{
	audit->head_fd = audit_head_open(audit->dir_fd);
	return audit->head_fd < 0 ? audit->head_fd : 0;
}

/*
 * Where the next record goes. What the sealed head says is certain: when the log disagrees, the record
 * follows the head, and the gap before it is there for good. Without a head to follow a number is left
 * out, to the same end.
 */
static int go_on(struct audit *audit, const struct audit_verdict *v)
{
	int rc = 0;

	audit->next_seq = v->last_seq + 1;
	memcpy(audit->head, v->head, sizeof(v->head));
	if (!audit->key.bytes)
		return 0;
	audit->next_slot = 1 - v->sealed_slot;
	if (!v->head_holds && v->sealed.hash[0]) {
		audit->next_seq = v->sealed.seq + 1;
		memcpy(audit->head, v->sealed.hash, sizeof(audit->head));
	} else if (!v->head_holds) {
		rc = make_head(audit, v->last_seq, v->head);
	}
	if (!v->head_holds && audit->next_seq == v->last_seq + 1 && !strcmp(audit->head, v->head))
		audit->next_seq++;
	return rc ? rc : open_head(audit);
}

/* audit_verify(), and what the log says of exports becomes the log's. */
static int check_log(struct audit *audit, const struct audit_check *check, struct audit_verdict *v)
{
	struct audit_check with = *check;

	json_object_put(audit->exports);
	with.exports = audit->exports = json_object_new_object();
	int rc = audit->exports ? audit_verify(audit->dir_fd, &with, v) : -ENOMEM;
	audit->broken = rc || v->first_bad_line;
	return rc;
}

static int open_log(struct audit *audit, int dir_fd)
{
	audit->fd = openat(
		dir_fd, AUDIT_FILE, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (audit->fd < 0)
		return -errno;
	return fsync(dir_fd) ? -errno : 0;
}

int audit_log_open(struct audit *audit, int dir_fd, struct audit_key *key)
{
	const struct audit_check check = {.key = key};
	struct audit_verdict v;

	*audit = (struct audit){.fd = -1,
		.head_fd = -1,
		.dir_fd = dir_fd,
		.repeats = calloc(1, sizeof(*audit->repeats))};
	int rc = check_log(audit, &check, &v);
	if (key)
		take_key(audit, key);
	if (!rc && !audit->repeats)
		rc = -ENOMEM;
	if (!rc)
		rc = open_log(audit, dir_fd);
	if (!rc && v.torn)
		rc = cut_torn_line(audit, dir_fd, v.whole_bytes);
	if (!rc) {
		audit->size_bytes = v.whole_bytes;
		rc = go_on(audit, &v);
	}
	if (!rc)
		rc = record_findings(audit, &v);
	if (rc)
		audit_log_close(audit);
	return rc;
}

int audit_use_key(struct audit *audit, struct audit_key *key)
{
	const struct audit_check check = {.key = key, .may_end_without_code = true};
	struct audit_verdict v;

	int rc = check_log(audit, &check, &v);
	take_key(audit, key);
	if (!rc && (v.torn || strcmp(v.head, audit->head) != 0)) {
		/* Somebody else wrote while keyd ran: keyd goes on from what it knows. */
		log_error("the audit log does not end with the last record that keyd wrote");
		v.head_holds = false;
		audit->broken = true;
	}
	if (!rc)
		rc = go_on(audit, &v);
	if (!rc) {
		v.torn = false; /* told above, and not of a crash */
		rc = record_findings(audit, &v);
	}
	audit->unusable = audit->unusable || rc;
	return rc;
}

int audit_adopt_key(struct audit *audit, struct audit_key *key)
{
	key->first_keyed = audit->next_seq;
	take_key(audit, key);
	int rc = make_head(audit, audit->next_seq - 1, audit->head);
	if (!rc)
		rc = open_head(audit);
	audit->next_slot = 0;
	audit->unusable = audit->unusable || rc;
	return rc;
}

void audit_drop_key(struct audit *audit)
{
	secret_free(audit->key.bytes);
	audit->key = (struct audit_key){0};
	if (audit->head_fd >= 0)
		(void)close(audit->head_fd);
	audit->head_fd = -1;
}

static int add_string(struct json_object *record, const char *key, const char *value)
{
	if (!value || !value[0])
		return 0;
	return json_add_string(record, key, value) ? 0 : -ENOMEM;
}

static int add_number(struct json_object *record, const char *key, uint64_t value)
{
	return json_add_number(record, key, value) ? 0 : -ENOMEM;
}

/* The members in their fixed order: json-c keeps the order of adding. */
static int fill_record(
	struct json_object *record, const struct audit *audit, const struct audit_event *event)
{
	char now[TEXT_TIME_BYTES];

	text_time(now, clock_wall_seconds());
	int rc = add_number(record, "seq", audit->next_seq) ?: add_string(record, "time", now)
		?: add_string(record, "event", event->event)
		?: add_number(record, "uid", event->by ? event->by->uid : getuid())
		?: add_number(record, "pid", (uint64_t)(event->by ? event->by->pid : getpid()));
	return rc ?: add_string(record, "subject", event->volume ? event->volume : event->level)
		?: add_string(record, "level", event->volume ? event->level : NULL)
		?: add_string(record, "path", event->path)
		?: add_string(record, "detail", event->detail)
		?: add_string(record, "result", event->result)
		?: add_string(record, "prev", audit->head);
}

/* Writes the line of record to line and its hash to hash. Returns the line's length or -errno. */
static ssize_t format_line(struct json_object *record, struct mac *mac,
	char line[AUDIT_LINE_BYTES_MAX], char hash[AUDIT_HASH_BYTES])
{
	size_t len;
	const char *json = json_object_to_json_string_length(
		record, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	return json ? audit_line_finish(json, len, mac, line, hash) : -ENOMEM;
}

/* The line first, then the head: a log is never behind its head. */
static int write_line(struct audit *audit, struct mac *mac, const char *line, size_t len,
	const char hash[AUDIT_HASH_BYTES])
{
	int rc = durable_append(audit->fd, line, len, &audit->size_bytes);
	if (rc) {
		audit->unusable = rc == -EIO;
		return rc;
	}
	if (!mac)
		return 0;
	rc = audit_head_write(audit->head_fd, mac, audit->next_slot, audit->next_seq, hash);
	audit->next_slot = 1 - audit->next_slot;
	audit->unusable = rc != 0;
	return rc;
}

static int append(struct audit *audit, struct mac *mac, const struct audit_event *event)
{
	char line[AUDIT_LINE_BYTES_MAX], hash[AUDIT_HASH_BYTES];
	ssize_t len = 0;

	struct json_object *record = json_object_new_object();
	int rc = record ? fill_record(record, audit, event) : -ENOMEM;
	if (!rc)
		len = format_line(record, mac, line, hash);
	if (len < 0)
		rc = (int)len;
	if (!rc)
		rc = write_line(audit, mac, line, (size_t)len, hash);
	json_object_put(record);
	if (rc)
		return rc;
	/* One that is forgotten here would make the ledger look complete. */
	audit->broken =
		audit->broken || !audit->exports || audit_exports_add(audit->exports, event);
	publish_record(event, audit->next_seq, hash);
	audit->next_seq++;
	memcpy(audit->head, hash, sizeof(hash));
	return 0;
}

int audit_append_now(struct audit *audit, const struct audit_event *event)
{
	struct mac mac = {0};
	int rc = 0;

	if (audit->fd < 0 || audit->unusable)
		return -EIO;
	if (audit->key.bytes)
		rc = mac_begin(&mac, audit->key.bytes);
	if (!rc)
		rc = append(audit, audit->key.bytes ? &mac : NULL, event);
	mac_end(&mac);
	if (rc)
		log_error("cannot write the audit log: %s: refusing what would need a record",
			strerror(-rc));
	return rc;
}

void audit_log_close(struct audit *audit)
{
	audit_drop_key(audit);
	free(audit->repeats);
	json_object_put(audit->exports);
	if (audit->fd >= 0)
		(void)close(audit->fd);
	*audit = (struct audit){.fd = -1, .head_fd = -1};
}
