/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "keyadm_format_private.h"
#include "text.h"

enum { COLUMNS_MAX = 8, REFUSAL_BYTES = 8192 };

int keyadm_refuse(int err, const char *fmt, ...)
{
	char line[REFUSAL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	(void)fflush(stdout);
	(void)fputs("keyadm: ", stderr);
	format_text(stderr, line);
	(void)fputc('\n', stderr);
	return err;
}

int keyadm_check_reply(const struct proto_msg *reply)
{
	static const int errors[] = {
		[PROTO_DENIED] = EACCES,
		[PROTO_NOT_FOUND] = ENOENT,
		[PROTO_EXISTS] = EEXIST,
		[PROTO_INVALID] = EINVAL,
		[PROTO_BUSY] = EBUSY,
	};
	uint32_t status = reply->reply.status;

	if (reply->type == PROTO_REPLY && status == PROTO_OK)
		return 0;
	if (reply->type != PROTO_REPLY)
		return keyadm_refuse(-EBADMSG,
			"keyd answered %s out of turn: install matching versions",
			proto_type_name(reply->type));
	int err = status < sizeof(errors) / sizeof(errors[0]) ? errors[status] : 0;
	if (reply->reply.message[0])
		return keyadm_refuse(err ? -err : -EIO, "%s", reply->reply.message);
	return keyadm_refuse(
		err ? -err : -EIO, "refused (%s): see keyd's log", proto_status_name(status));
}

const char *format_size(char out[FORMAT_SIZE_BYTES], uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	while (unit < 4 && bytes >> (10 * (unit + 1)))
		unit++;
	if (bytes & (((uint64_t)1 << 10 * unit) - 1))
		(void)snprintf(out, FORMAT_SIZE_BYTES, "%.1f %s",
			(double)bytes / (double)((uint64_t)1 << 10 * unit), units[unit]);
	else
		(void)snprintf(
			out, FORMAT_SIZE_BYTES, "%" PRIu64 " %s", bytes >> 10 * unit, units[unit]);
	return out;
}

void format_text(FILE *out, const char *text)
{
	char piece[TEXT_PIECE_BYTES];

	while (*text) {
		text = text_piece(text, piece);
		(void)fputs(piece, out);
	}
}

void format_lines(FILE *out, const char *text)
{
	char piece[TEXT_PIECE_BYTES];

	while (*text) {
		bool newline = *text == '\n';
		text = text_piece(text, piece);
		(void)fputs(newline ? "\n" : piece, out);
	}
}

void format_print(FILE *out, const char *fmt, ...)
{
	char line[REFUSAL_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	format_text(out, line);
}

/* Characters that format_text() writes. */
static size_t width_of(const char *text)
{
	char piece[TEXT_PIECE_BYTES];
	size_t width = 0;

	while (*text) {
		text = text_piece(text, piece);
		width += piece[0] & 0x80 ? 1 : strlen(piece);
	}
	return width;
}

/* In JSON these characters stand in strings only, where \u has their meaning. */
void format_json(FILE *out, const char *json)
{
	char piece[TEXT_PIECE_BYTES];

	while (*json) {
		const char *s = json;
		unsigned int code;
		json = text_piece(s, piece);
		if (*s == '\n' || *s == '\t' || *s == '\r')
			(void)fputc(*s, out);
		else if (piece[1] == 'x') /* a control character, or no UTF-8 */
			(void)fprintf(out, "\\u%04x", *s & 0x80 ? 0xfffd : *s);
		else if (sscanf(piece, "\\u{%x}", &code) != 1)
			(void)fputs(piece, out);
		else if (code < 0x10000)
			(void)fprintf(out, "\\u%04x", code);
		else
			(void)fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10),
				0xdc00 + (code & 0x3ff));
	}
}

const char *format_member(struct json_object *object, const char *key)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, key, &member) || !member)
		return "-";
	const char *text = json_object_get_string(member);
	return *text ? text : "-";
}

uint64_t format_count(struct json_object *object, const char *key)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, key, &member))
		return 0;
	if (json_object_is_type(member, json_type_array))
		return json_object_array_length(member);
	return json_object_get_uint64(member);
}

const char *format_erase_class(const char *erase_class)
{
	if (!strcmp(erase_class, "clear"))
		return "the stored keys are overwritten, discarded and unlinked; copies that "
		       "flash, journals, "
		       "snapshots or backups keep are not reached";
	if (!strcmp(erase_class, "purge"))
		return "what remains of the stored keys anywhere cannot be unwrapped any more";
	return "";
}

struct json_object *array_of(struct json_object *object, const char *key)
{
	struct json_object *member = NULL;

	(void)json_object_object_get_ex(object, key, &member);
	return json_object_is_type(member, json_type_array) ? member : NULL;
}

size_t length_of(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* The text of a value; buf holds it if it has to be made. */
static const char *value_text(
	struct json_object *object, const struct value *value, char buf[FORMAT_SIZE_BYTES])
{
	const char *text = format_member(object, value->key);

	if (!strcmp(text, "-") || value->kind <= VALUE_OPTIONAL)
		return text;
	if (value->kind == VALUE_SIZE)
		return format_size(buf, format_count(object, value->key));
	(void)snprintf(buf, FORMAT_SIZE_BYTES, "%" PRIu64, format_count(object, value->key));
	return buf;
}

static void put_cell(FILE *out, const char *text, size_t width, bool last)
{
	format_text(out, text);
	if (last)
		(void)fputc('\n', out);
	else
		(void)fprintf(out, "%*s", (int)(width - width_of(text)) + 2, "");
}

static void put_table(
	FILE *out, struct json_object *rows, const struct value *columns, size_t count)
{
	size_t width[COLUMNS_MAX] = {0};
	char buf[FORMAT_SIZE_BYTES];

	for (size_t c = 0; c < count; c++) {
		width[c] = strlen(columns[c].label);
		for (size_t r = 0; r < length_of(rows); r++) {
			struct json_object *row = json_object_array_get_idx(rows, r);
			size_t len = width_of(value_text(row, &columns[c], buf));
			width[c] = len > width[c] ? len : width[c];
		}
		put_cell(out, columns[c].label, width[c], c + 1 == count);
	}
	for (size_t r = 0; r < length_of(rows); r++) {
		struct json_object *row = json_object_array_get_idx(rows, r);
		for (size_t c = 0; c < count; c++)
			put_cell(out, value_text(row, &columns[c], buf), width[c], c + 1 == count);
	}
}

void format_pair(FILE *out, const char *label, const char *text)
{
	(void)fprintf(out, "%-*s ", PAIR_LABEL_WIDTH, label);
	format_text(out, text);
	(void)fputc('\n', out);
}

void put_pairs(FILE *out, struct json_object *object, const struct value *pairs, size_t count)
{
	char buf[FORMAT_SIZE_BYTES];

	for (size_t i = 0; i < count; i++) {
		const char *text = value_text(object, &pairs[i], buf);
		if (pairs[i].kind != VALUE_OPTIONAL || strcmp(text, "-") != 0)
			format_pair(out, pairs[i].label, text);
	}
}

#define TABLE(out, rows, columns)                                                                  \
	put_table(out, rows, columns, sizeof(columns) / sizeof((columns)[0]))

/* Whether the process wipes clients' data as it frees it: only who acknowledged a destruction says so. */
static const char *scrub_text(struct json_object *process)
{
	struct json_object *scrub;

	if (!json_object_object_get_ex(process, "scrub", &scrub))
		return "";
	return json_object_get_boolean(scrub) ? ", freed buffers wiped"
					      : ", freed buffers not wiped";
}

void put_processes(FILE *out, const char *label, struct json_object *processes)
{
	for (size_t i = 0; i < length_of(processes); i++) {
		struct json_object *p = json_object_array_get_idx(processes, i);
		char line[128];
		(void)snprintf(line, sizeof(line), "pid %s, uid %s%s", format_member(p, "pid"),
			format_member(p, "uid"), scrub_text(p));
		format_pair(out, i ? "" : label, line);
	}
	if (!length_of(processes))
		format_pair(out, label, "none");
}

static void put_level_counts(FILE *out, struct json_object *levels)
{
	static const char *const states[] = {
		"active", "suspended", "destroying", "destroyed", "damaged"};

	if (!levels)
		return; /* the store is locked */
	(void)fprintf(out, "%-*s", PAIR_LABEL_WIDTH, "levels");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		(void)fprintf(out, "%s %" PRIu64 " %s", i ? "," : "",
			format_count(levels, states[i]), states[i]);
	(void)fputc('\n', out);
}

void format_status(FILE *out, struct json_object *status)
{
	static const struct value pairs[] = {
		{"version", "version", VALUE_TEXT},
		{"key store", "state_dir", VALUE_TEXT},
		{"initialized", "initialized", VALUE_TEXT},
		{"locked", "locked", VALUE_TEXT},
		{"zeroized", "zeroized_at", VALUE_OPTIONAL},
		{"custody", "custody", VALUE_TEXT},
		{"erase class", "erase_class", VALUE_TEXT},
		{"volumes", "volumes", VALUE_OPTIONAL},
		{"requests", "destroy_requests", VALUE_COUNT},
		{"audit head", "audit_head", VALUE_TEXT},
		{"audit records", "audit_seq", VALUE_TEXT},
		{"disk reserve", "reserve", VALUE_OPTIONAL},
	};
	static const struct value signing[] = {{"certificate key", "key_id", VALUE_TEXT}};
	static const struct value consumers[] = {
		{"PID", "pid", VALUE_TEXT},
		{"UID", "uid", VALUE_TEXT},
		{"PROGRAM", "program", VALUE_TEXT},
		{"VOLUMES", "volumes", VALUE_COUNT},
		{"CONNECTED", "connected", VALUE_TEXT},
		{"SINCE", "connected_at", VALUE_TEXT},
	};
	struct json_object *levels = NULL, *key = NULL;
	char line[32];

	PAIRS(out, status, pairs);
	(void)json_object_object_get_ex(status, "certificate_key", &key);
	PAIRS(out, key, signing);
	(void)json_object_object_get_ex(status, "levels", &levels);
	put_level_counts(out, levels);
	(void)snprintf(line, sizeof(line), "%" PRIu64, format_count(status, "consumers"));
	format_pair(out, "consumers", line);
	if (format_count(status, "consumers")) {
		(void)fputc('\n', out);
		TABLE(out, array_of(status, "consumers"), consumers);
	}
}

void format_levels(FILE *out, struct json_object *levels)
{
	static const struct value columns[] = {
		{"NAME", "name", VALUE_TEXT},
		{"STATE", "state", VALUE_TEXT},
		{"VOLUMES", "volumes", VALUE_COUNT},
		{"CREATED", "created_at", VALUE_TEXT},
		{"FINGERPRINT", "fingerprint", VALUE_TEXT},
	};

	TABLE(out, levels, columns);
}

static void put_certificate_below(FILE *out, struct json_object *object)
{
	struct json_object *certificate;

	if (!json_object_object_get_ex(object, "certificate", &certificate) || !certificate)
		return;
	(void)fputc('\n', out);
	format_certificate(out, certificate);
}

void put_volumes(FILE *out, struct json_object *volumes, const char *label)
{
	for (size_t i = 0; i < length_of(volumes); i++) {
		struct json_object *v = json_object_array_get_idx(volumes, i);
		struct json_object *cipher;
		char size[FORMAT_SIZE_BYTES];
		(void)fprintf(out, "%-*s ", PAIR_LABEL_WIDTH, i ? "" : label);
		format_text(out, format_member(v, "uuid"));
		format_print(out, "  key %s  %s  ", format_member(v, "fingerprint"),
			format_size(size, format_count(v, "size_bytes")));
		if (json_object_object_get_ex(v, "cipher", &cipher)) {
			format_text(out, format_member(v, "cipher"));
			(void)fputs("  ", out);
		}
		format_text(out, format_member(v, "path"));
		(void)fputc('\n', out);
	}
}

void format_level(FILE *out, struct json_object *level)
{
	static const struct value pairs[] = {
		{"level", "name", VALUE_TEXT},
		{"state", "state", VALUE_TEXT},
		{"volumes", "volumes", VALUE_COUNT},
		{"created", "created_at", VALUE_TEXT},
		{"destroyed", "destroyed_at", VALUE_OPTIONAL},
		{"fingerprint", "fingerprint", VALUE_TEXT},
		{"erase class", "erase_class", VALUE_OPTIONAL},
		{"", "erase_class_reason", VALUE_OPTIONAL},
	};

	PAIRS(out, level, pairs);
	put_volumes(out, array_of(level, "volumes"), "");
	put_certificate_below(out, level);
}

void format_volumes(FILE *out, struct json_object *volumes)
{
	static const struct value columns[] = {
		{"UUID", "uuid", VALUE_TEXT},
		{"LEVEL", "level", VALUE_TEXT},
		{"STATE", "state", VALUE_TEXT},
		{"SIZE", "size_bytes", VALUE_SIZE},
		{"ATTACHED", "attached", VALUE_COUNT},
		{"PATH", "path", VALUE_TEXT},
	};

	TABLE(out, volumes, columns);
}

void format_volume(FILE *out, struct json_object *volume)
{
	static const struct value pairs[] = {
		{"volume", "uuid", VALUE_TEXT},
		{"path", "path", VALUE_TEXT},
		{"level", "level", VALUE_TEXT},
		{"state", "state", VALUE_TEXT},
		{"size", "size_bytes", VALUE_SIZE},
		{"size in bytes", "size_bytes", VALUE_TEXT},
		{"sector size", "sector_size", VALUE_TEXT},
		{"cipher", "cipher", VALUE_TEXT},
		{"data offset", "data_offset_bytes", VALUE_TEXT},
		{"created", "created_at", VALUE_TEXT},
		{"destroyed", "destroyed_at", VALUE_OPTIONAL},
		{"fingerprint", "fingerprint", VALUE_TEXT},
		{"erase class", "erase_class", VALUE_OPTIONAL},
		{"", "erase_class_reason", VALUE_OPTIONAL},
	};

	PAIRS(out, volume, pairs);
	put_processes(out, "attached", array_of(volume, "attached"));
	put_certificate_below(out, volume);
}

static bool is_one_of(const char *key, const char *const *keys)
{
	while (*keys && strcmp(*keys, key) != 0)
		keys++;
	return *keys != NULL;
}

/* When, what, how it went, then whatever else the entry has. The chain is for audit --verify. */
static void put_audit_entry(FILE *out, struct json_object *entry)
{
	static const char *const first[] = {"time", "event", "result", NULL};
	static const char *const chain[] = {"seq", "prev", "hash", NULL};

	for (const char *const *key = first; *key; key++) {
		(void)fputs(key == first ? "" : " ", out);
		format_text(out, format_member(entry, *key));
	}
	json_object_object_foreach(entry, key, value)
	{
		if (is_one_of(key, first) || is_one_of(key, chain))
			continue;
		(void)fputc(' ', out);
		format_text(out, key);
		(void)fputc('=', out);
		format_text(out, value ? json_object_get_string(value) : "-");
	}
	(void)fputc('\n', out);
}

void format_audit(FILE *out, const char *lines)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		struct json_tokener *tok = json_tokener_new();
		struct json_object *entry = tok && len <= INT32_MAX
						    ? json_tokener_parse_ex(tok, lines, (int)len)
						    : NULL;
		if (json_object_is_type(entry, json_type_object))
			put_audit_entry(out, entry);
		else if (len)
			(void)fputs("(a line that is no JSON)\n", out);
		json_object_put(entry);
		if (tok)
			json_tokener_free(tok);
		lines += len + (lines[len] == '\n');
	}
}
