/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Reading the audit log from its first line to its last. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "audit.h"
#include "audit_exports.h"
#include "audit_head.h"
#include "audit_locked.h"
#include "text.h"

struct scan {
	const struct audit_check *check;
	struct audit_verdict *v;
	struct mac mac;         /* ctx NULL: no key */
	struct audit_head head; /* valid when head_rc is 0 */
	int head_rc;
	bool head_seen; /* the record that the sealed head names is there */
	bool kept_seen;
	int exports_rc;
	uint64_t first_uncovered_line; /* of those without a code at the end; 0: none */
	struct audit_stretch locked;
};

/* The first finding counts. */
__attribute__((format(printf, 3, 4))) static void found(
	struct audit_verdict *v, uint64_t line, const char *fmt, ...)
{
	va_list ap;

	if (v->first_bad_line)
		return;
	v->first_bad_line = line;
	va_start(ap, fmt);
	(void)vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
}

/* Why the line cannot follow what v has seen; NULL when it can. */
static const char *check_chain(
	const struct audit_verdict *v, const char *line, const struct audit_line *parsed)
{
	char hash[AUDIT_HASH_BYTES];

	if (audit_line_hash(line, parsed->hash_covers, hash) ||
		memcmp(parsed->hash, hash, AUDIT_HASH_CHARS) != 0)
		return "the record was changed";
	if (memcmp(parsed->prev, v->head, AUDIT_HASH_CHARS) != 0)
		return "the record does not follow the one before";
	return parsed->seq == v->last_seq + 1 ? NULL : "the sequence number is wrong";
}

/* The codes begin with first_keyed: what was there before the key cannot have any of it. */
static const char *check_code(
	struct scan *s, const char *line, size_t len, const struct audit_line *parsed)
{
	struct audit_verdict *v = s->v;
	char code[MAC_TEXT_BYTES];

	if (parsed->seq < s->check->key->first_keyed)
		return NULL;
	if (parsed->seq == s->check->key->first_keyed && s->check->key->replaces_lost)
		found(v, v->records, "the key of the records before this one was lost");
	if (!parsed->mac) {
		v->without_code++;
		if (!s->first_uncovered_line)
			s->first_uncovered_line = v->records;
		return audit_locked_line(&s->locked, line, len);
	}
	if (audit_line_mac(&s->mac, line, parsed->mac_covers, code) ||
		!mac_equal(parsed->mac, code))
		return "the record was not made with the log's key";
	v->last_keyed = parsed->seq;
	s->first_uncovered_line = 0;
	return audit_locked_end(&s->locked, line);
}

static void check_marks(struct scan *s, const struct audit_line *parsed)
{
	const struct audit_mark *kept = s->check->kept;
	struct audit_verdict *v = s->v;

	if (s->mac.ctx && !s->head_rc && parsed->seq == s->head.seq) {
		s->head_seen = !memcmp(parsed->hash, s->head.hash, AUDIT_HASH_CHARS);
		if (!s->head_seen)
			found(v, v->records,
				"the record is not the one that the sealed head names");
	}
	if (kept && parsed->seq == kept->seq) {
		s->kept_seen = !memcmp(parsed->hash, kept->hash, AUDIT_HASH_CHARS);
		if (!s->kept_seen)
			found(v, v->records, "the record is not the one that was kept outside");
	}
}

/* A line counts from here on, good or bad: the next has to follow it. */
static void check_line(struct scan *s, const char *line, size_t len)
{
	struct audit_verdict *v = s->v;
	struct audit_line parsed;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (audit_line_parse(line, len, &parsed)) {
		found(v, v->records, "not an audit record");
		v->last_seq++;
		if (SHA256((const uint8_t *)line, len, digest))
			text_hex(digest, sizeof(digest), v->head);
		return;
	}
	const char *reason = check_chain(v, line, &parsed);
	if (!reason && s->mac.ctx)
		reason = check_code(s, line, len, &parsed);
	if (reason)
		found(v, v->records, "%s", reason);
	else
		check_marks(s, &parsed);
	if (s->check->exports && !s->exports_rc)
		s->exports_rc = audit_exports_add_line(s->check->exports, line);
	v->last_seq = parsed.seq;
	text_sanitize(v->head, sizeof(v->head), parsed.hash);
}

/* Reads up to and with the next newline, at most AUDIT_LINE_BYTES_MAX bytes, and adds a NUL. */
static size_t read_line(FILE *f, char line[AUDIT_LINE_BYTES_MAX + 1])
{
	size_t len = 0;
	int c = 0;

	while (len < AUDIT_LINE_BYTES_MAX && c != '\n' && (c = getc_unlocked(f)) != EOF)
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

static void scan_lines(struct scan *s, FILE *f)
{
	char line[AUDIT_LINE_BYTES_MAX + 1];
	size_t len;

	const struct audit_snapshot *until = s->check->until;

	while ((!until || s->v->whole_bytes < until->size_bytes) && (len = read_line(f, line))) {
		if (is_torn(f, line, len)) {
			s->v->torn = true;
			return;
		}
		s->v->records++;
		s->v->whole_bytes += len;
		check_line(s, line, len);
	}
}

/* What only shows at the end: records that should be there. */
static void check_end(struct scan *s)
{
	struct audit_verdict *v = s->v;
	uint64_t end = v->records + 1;
	const struct audit_mark *kept = s->check->kept;

	if (kept && !s->kept_seen)
		found(v, end, "record %" PRIu64 ", which was kept outside, is not in the log",
			kept->seq);
	if (!s->mac.ctx)
		return;
	bool code_missing = s->first_uncovered_line && !s->check->may_end_without_code;
	/* A slot is torn only after its record was durable. */
	bool slot_changed = s->head.other_damaged && v->last_keyed <= s->head.seq;
	v->head_holds = s->head_seen && !code_missing && !slot_changed;
	if (s->check->key->replaces_lost && v->last_seq < s->check->key->first_keyed)
		found(v, end, "the key of the records before this one was lost");
	if (s->head_rc)
		found(v, end, AUDIT_HEAD_FILE " is missing or was changed: records may be missing");
	else if (!s->head_seen)
		found(v, end, "records are missing: the last one was %" PRIu64, s->head.seq);
	else if (slot_changed)
		found(v, end, AUDIT_HEAD_FILE " was changed: records may be missing");
	else if (code_missing)
		found(v, s->first_uncovered_line, "the record was not made with the log's key");
}

static int begin(struct scan *s, int dir_fd)
{
	const struct audit_key *key = s->check->key;

	if (!key)
		return 0;
	int rc = mac_begin(&s->mac, key->bytes);
	if (rc)
		return rc;
	if (s->check->until) {
		s->head = s->check->until->sealed;
		s->head_rc = s->check->until->sealed_rc;
	} else {
		s->head_rc = audit_head_read(dir_fd, &s->mac, &s->head);
	}
	if (s->head_rc && s->head_rc != -ENOENT && s->head_rc != -EBADMSG && s->head_rc != -ELOOP)
		return s->head_rc;
	s->head_seen = !s->head_rc && !s->head.seq; /* made for an empty log */
	s->v->sealed.seq = s->head.seq;
	memcpy(s->v->sealed.hash, s->head.hash, sizeof(s->head.hash));
	s->v->sealed_slot = s->head.slot;
	return 0;
}

static int scan_file(struct scan *s, int dir_fd)
{
	int fd = openat(dir_fd, AUDIT_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	FILE *f = fdopen(fd, "r");
	if (!f) {
		int rc = -errno;
		(void)close(fd);
		return rc;
	}
	scan_lines(s, f);
	int rc = ferror(f) ? -EIO : 0;
	(void)fclose(f);
	return rc;
}

int audit_take_snapshot(const struct audit *audit, struct audit_snapshot *snapshot)
{
	struct mac mac = {.ctx = NULL};

	*snapshot = (struct audit_snapshot){.size_bytes = audit->size_bytes};
	memcpy(snapshot->head, audit->head, sizeof(snapshot->head));
	if (!audit->key.bytes)
		return 0;
	int rc = mac_begin(&mac, audit->key.bytes);
	if (!rc)
		snapshot->sealed_rc = audit_head_read(audit->dir_fd, &mac, &snapshot->sealed);
	mac_end(&mac);
	return rc;
}

bool audit_is_as_left(const struct audit *audit)
{
	struct stat st;

	return !fstat(audit->fd, &st) && (uint64_t)st.st_size == audit->size_bytes;
}

int audit_verify(int dir_fd, const struct audit_check *check, struct audit_verdict *verdict)
{
	struct scan s = {.check = check, .v = verdict};

	*verdict = (struct audit_verdict){0};
	memcpy(verdict->head, audit_no_prev, sizeof(verdict->head));
	int rc = begin(&s, dir_fd);
	if (!rc)
		rc = scan_file(&s, dir_fd);
	if (!rc)
		rc = s.exports_rc;
	if (!rc)
		check_end(&s);
	mac_end(&s.mac);
	return rc;
}
