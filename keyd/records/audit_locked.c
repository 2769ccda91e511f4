/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "audit_locked.h"

#include <string.h>

#include <json-c/json.h>

#include "jsonhelp.h"

enum kind {
	KIND_NONE,
	KIND_FINDING, /* comes before the start */
	KIND_START,
	KIND_OTHER,
};

/* Findings, starts and ends, refusals, and readings of the records themselves. */
static const struct {
	const char *event, *result;
	enum kind kind;
} allowed[] = {
	{"audit-torn-line", "repaired", KIND_FINDING},
	{"audit-broken", "failed", KIND_FINDING},
	{"keyd-start", "ok", KIND_START},
	{"store-locked", "ok", KIND_START},
	{"keyd-stop", "ok", KIND_OTHER},
	{"hello", "denied", KIND_OTHER},
	{"admin-request", "denied", KIND_OTHER},
	{"unlock", "denied", KIND_OTHER},
	{"left-out", "denied", KIND_OTHER},
	{"audit-read", "ok", KIND_OTHER},
	{"audit-verify", "ok", KIND_OTHER},
	{"ledger-read", "ok", KIND_OTHER},
};

/* What is recorded first with the key at hand: findings, then the unlocking, or a start that needed none. */
static const char *const ends[] = {
	"unlock", "keyd-start", "audit-torn-line", "audit-broken", "signing-key"};

static enum kind kind_of(struct json_object *record)
{
	const char *event = json_string(record, "event"), *result = json_string(record, "result");

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (!strcmp(event, allowed[i].event) && !strcmp(result, allowed[i].result))
			return allowed[i].kind;
	}
	return KIND_NONE;
}

/* A member that is there twice, or a number that is also something else, means one thing to one reader and another to the next. */
static bool is_as_written(struct json_object *record, const char *line, size_t len)
{
	size_t again_len = 0;
	const char *again = json_object_to_json_string_length(
		record, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &again_len);

	return again && again_len + 1 == len && !memcmp(again, line, again_len);
}

const char *audit_locked_line(struct audit_stretch *stretch, const char *line, size_t len)
{
	struct json_object *record = json_tokener_parse(line);
	bool written = record && is_as_written(record, line, len);
	enum kind kind = written ? kind_of(record) : KIND_NONE;

	json_object_put(record);
	if (!stretch->inside)
		*stretch = (struct audit_stretch){.inside = true};
	if (kind == KIND_NONE)
		return "the record has no code, and a locked store permits nothing of the kind";
	if (kind == KIND_OTHER && !stretch->started)
		return "the record has no code, and the store was not locked";
	stretch->started = stretch->started || kind == KIND_START;
	return NULL;
}

const char *audit_locked_end(struct audit_stretch *stretch, const char *line)
{
	bool known = !stretch->inside;

	if (stretch->inside) {
		struct json_object *record = json_tokener_parse(line);
		for (size_t i = 0; !known && i < sizeof(ends) / sizeof(ends[0]); i++)
			known = !strcmp(json_string(record, "event"), ends[i]);
		json_object_put(record);
	}
	*stretch = (struct audit_stretch){.inside = false};
	return known ? NULL : "records without a code come before it, and no unlocking";
}
