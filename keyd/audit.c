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
#include <openssl/sha.h>

#include "clock.h"
#include "durable.h"
#include "log.h"
#include "text.h"

enum {
	LINE_BYTES_MAX = 32768, /* a path with every byte escaped, and the rest, several times */
	TORN_BYTES_MAX = 1024 * 1024,
	HASH_CHARS = AUDIT_HASH_BYTES - 1,
};

static const char hash_key[] = ",\"hash\":\"";
static const char prev_key[] = ",\"prev\":\"";
static const char line_end[] = "\"}\n";
static const char no_prev[] = "0000000000000000000000000000000000000000000000000000000000000000";
_Static_assert(sizeof(no_prev) == AUDIT_HASH_BYTES, "SHA-256 in hex");

/* Lengths of ,"hash":"…"}\n and of ,"prev":"…" */
enum {
	HASH_MEMBER_BYTES = sizeof(hash_key) - 1 + HASH_CHARS + sizeof(line_end) - 1,
	PREV_MEMBER_BYTES = sizeof(prev_key) - 1 + HASH_CHARS + 1,
};

/* Hash of a record whose members up to "prev" are open[0 .. len), without the closing brace. */
static int hash_record(const char *open, size_t len, char out[AUDIT_HASH_BYTES])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char whole[LINE_BYTES_MAX];

	if (len + 1 > sizeof(whole))
		return -EMSGSIZE;
	memcpy(whole, open, len);
	whole[len] = '}';
	if (!SHA256((const uint8_t *)whole, len + 1, digest))
		return -EIO;
	text_hex(digest, sizeof(digest), out);
	return 0;
}

/* Why line[0 .. len) cannot follow the record with hash prev and number seq; NULL when it can. */
static const char *check_line(const char *line, size_t len, const char *prev, uint64_t seq)
{
	char hash[AUDIT_HASH_BYTES];
	uint64_t got_seq;

	if (len < HASH_MEMBER_BYTES + PREV_MEMBER_BYTES || line[len - 1] != '\n')
		return "not an audit record";
	const char *hash_member = line + len - HASH_MEMBER_BYTES;
	const char *prev_member = hash_member - PREV_MEMBER_BYTES;
	if (memcmp(hash_member, hash_key, sizeof(hash_key) - 1) ||
		memcmp(prev_member, prev_key, sizeof(prev_key) - 1) ||
		memcmp(line + len - 3, line_end, 3))
		return "not an audit record";
	if (hash_record(line, (size_t)(hash_member - line), hash) ||
		memcmp(hash_member + sizeof(hash_key) - 1, hash, HASH_CHARS))
		return "the record was changed";
	if (memcmp(prev_member + sizeof(prev_key) - 1, prev, HASH_CHARS))
		return "the record does not follow the one before";
	if (sscanf(line, "{\"seq\":%" SCNu64 ",", &got_seq) != 1 || got_seq != seq)
		return "the sequence number is wrong";
	return NULL;
}

/* What the next record must name as its predecessor, whatever this line looks like. */
static void take_head(struct audit_verdict *v, const char *line, size_t len)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint64_t seq;

	v->last_seq = sscanf(line, "{\"seq\":%" SCNu64 ",", &seq) == 1 ? seq : v->last_seq + 1;
	if (len >= HASH_MEMBER_BYTES &&
		!memcmp(line + len - HASH_MEMBER_BYTES, hash_key, sizeof(hash_key) - 1)) {
		const char *hash = line + len - HASH_MEMBER_BYTES + sizeof(hash_key) - 1;
		text_sanitize(v->head, sizeof(v->head), hash);
	} else if (SHA256((const uint8_t *)line, len, digest)) {
		text_hex(digest, sizeof(digest), v->head);
	}
}

/* Reads up to and with the next newline, at most LINE_BYTES_MAX bytes, and adds a NUL. */
static size_t read_line(FILE *f, char line[LINE_BYTES_MAX + 1])
{
	size_t len = 0;
	int c = 0;

	while (len < LINE_BYTES_MAX && c != '\n' && (c = getc_unlocked(f)) != EOF)
		line[len++] = (char)c;
	line[len] = '\0';
	return len;
}

/*
 * True for a last line that a crash cut: without its end, or with its end on the medium and zeros in
 * a sector before, where a record has none.
 */
static bool is_torn(FILE *f, const char *line, size_t len)
{
	int next = getc_unlocked(f);

	if (next != EOF) {
		(void)ungetc(next, f);
		return false;
	}
	return line[len - 1] != '\n' || memchr(line, '\0', len);
}

static void scan(FILE *f, struct audit_verdict *v)
{
	char line[LINE_BYTES_MAX + 1];
	size_t len;

	while ((len = read_line(f, line))) {
		if (is_torn(f, line, len)) {
			v->torn = true;
			return;
		}
		const char *reason = check_line(line, len, v->head, v->last_seq + 1);
		v->records++;
		v->whole_bytes += len;
		if (reason && !v->first_bad_line) {
			v->first_bad_line = v->records;
			(void)snprintf(v->reason, sizeof(v->reason), "%s", reason);
		}
		take_head(v, line, len);
	}
}

int audit_verify(int dir_fd, struct audit_verdict *verdict)
{
	*verdict = (struct audit_verdict){0};
	memcpy(verdict->head, no_prev, sizeof(no_prev));
	int fd = openat(dir_fd, AUDIT_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	FILE *f = fdopen(fd, "r");
	if (!f) {
		int rc = -errno;
		(void)close(fd);
		return rc;
	}
	scan(f, verdict);
	int rc = ferror(f) ? -EIO : 0;
	(void)fclose(f);
	return rc;
}

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
	char detail[128];
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

int audit_open(struct audit *audit, int dir_fd)
{
	struct audit_verdict v;

	*audit = (struct audit){.fd = -1};
	int rc = audit_verify(dir_fd, &v);
	if (rc)
		return rc;
	audit->fd = openat(
		dir_fd, AUDIT_FILE, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (audit->fd < 0)
		return -errno;
	rc = fsync(dir_fd) ? -errno : 0;
	if (!rc && v.torn)
		rc = cut_torn_line(audit, dir_fd, v.whole_bytes);
	audit->size_bytes = v.whole_bytes;
	audit->next_seq = v.last_seq + 1;
	memcpy(audit->head, v.head, sizeof(v.head));
	if (!rc)
		rc = record_findings(audit, &v);
	if (rc)
		audit_close(audit);
	return rc;
}

static int add_string(struct json_object *record, const char *key, const char *value)
{
	if (!value || !value[0])
		return 0;
	struct json_object *string = json_object_new_string(value);
	return string && !json_object_object_add(record, key, string) ? 0 : -ENOMEM;
}

static int add_number(struct json_object *record, const char *key, uint64_t value)
{
	struct json_object *number = json_object_new_uint64(value);
	return number && !json_object_object_add(record, key, number) ? 0 : -ENOMEM;
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
static ssize_t format_line(
	struct json_object *record, char line[LINE_BYTES_MAX], char hash[AUDIT_HASH_BYTES])
{
	size_t len;
	const char *json = json_object_to_json_string_length(
		record, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	if (!json)
		return -ENOMEM;
	if (len + HASH_MEMBER_BYTES >= LINE_BYTES_MAX)
		return -EMSGSIZE;
	len--; /* the closing brace comes after the hash */
	int rc = hash_record(json, len, hash);
	if (rc)
		return rc;
	return snprintf(
		line, LINE_BYTES_MAX, "%.*s%s%s%s", (int)len, json, hash_key, hash, line_end);
}

int audit_append(struct audit *audit, const struct audit_event *event)
{
	char line[LINE_BYTES_MAX], hash[AUDIT_HASH_BYTES];
	ssize_t len = 0;

	if (audit->fd < 0 || audit->unusable)
		return -EIO;
	struct json_object *record = json_object_new_object();
	int rc = record ? fill_record(record, audit, event) : -ENOMEM;
	if (!rc)
		len = format_line(record, line, hash);
	json_object_put(record);
	if (!rc && len < 0)
		rc = (int)len;
	if (!rc) {
		rc = durable_append(audit->fd, line, (size_t)len, &audit->size_bytes);
		audit->unusable = rc == -EIO;
	}
	if (rc) {
		log_error("cannot write the audit log: %s: refusing what would need a record",
			strerror(-rc));
		return rc;
	}
	audit->next_seq++;
	memcpy(audit->head, hash, sizeof(hash));
	return 0;
}

void audit_close(struct audit *audit)
{
	if (audit->fd >= 0)
		(void)close(audit->fd);
	*audit = (struct audit){.fd = -1};
}
