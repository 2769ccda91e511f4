/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_ledger.h"

#include <stdbool.h>
#include <string.h>

#include "keyadm_format.h"

enum { LINE_BYTES = 768 };

static struct json_object *array_of(struct json_object *object, const char *key, size_t *count)
{
	struct json_object *array = NULL;

	(void)json_object_object_get_ex(object, key, &array);
	*count = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
	return array;
}

/* What one entry of the ledger is about: kinds differ in their words only. */
static void describe(struct json_object *entry, char line[LINE_BYTES])
{
	static const struct {
		const char *kind, *what, *subject, *where, *place;
	} kinds[] = {
		{"volume-key", "key of volume", "uuid", "level", "level"},
		{"export", "export of level", "level", "for", "to"},
		{"import", "import of level", "level", "made on", "host"},
	};
	const char *kind = format_member(entry, "kind");
	size_t i = 0;

	while (i + 1 < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kind, kinds[i].kind) != 0)
		i++;
	(void)snprintf(line, LINE_BYTES, "%s: %s %s, %s %s, at %s by %s (uid %s)",
		format_member(entry, "id"), kinds[i].what, format_member(entry, kinds[i].subject),
		kinds[i].where, format_member(entry, kinds[i].place), format_member(entry, "time"),
		format_member(entry, "user"), format_member(entry, "uid"));
}

static void put_entry(FILE *out, const char *label, struct json_object *entry)
{
	struct json_object *destroyed = NULL;
	char line[LINE_BYTES];

	describe(entry, line);
	format_pair(out, label, line);
	if (!json_object_object_get_ex(entry, "destroyed", &destroyed))
		return;
	(void)snprintf(line, sizeof(line), "  destroyed, says %s (uid %s), at %s",
		format_member(destroyed, "user"), format_member(destroyed, "uid"),
		format_member(destroyed, "time"));
	format_pair(out, "", line);
}

static size_t put_entries(FILE *out, const char *label, struct json_object *object, const char *key)
{
	size_t count;
	struct json_object *entries = array_of(object, key, &count);

	for (size_t i = 0; i < count; i++)
		put_entry(out, i ? "" : label, json_object_array_get_idx(entries, i));
	return count;
}

void format_exports(FILE *out, struct json_object *certificate)
{
	struct json_object *exports = NULL;
	char line[LINE_BYTES];
	size_t vouched;

	(void)array_of(certificate, "vouched_exports", &vouched);
	(void)json_object_object_get_ex(certificate, "outstanding_exports", &exports);
	if (json_object_is_type(exports, json_type_string)) {
		(void)snprintf(line, sizeof(line), "unknown: %s",
			format_member(certificate, "outstanding_exports_reason"));
		format_pair(out, "still exported", line);
		(void)put_entries(out, "known of", certificate, "known_exports");
	} else if (!put_entries(out, "still exported", certificate, "outstanding_exports")) {
		format_pair(out, "still exported",
			!exports  ? "unknown: the ledger of exports cannot be read"
			: vouched ? "none: every copy is destroyed, on somebody's word"
				  : "no key of these was ever exported");
	}
	(void)put_entries(out, "vouched for", certificate, "vouched_exports");
}

void format_ledger(FILE *out, struct json_object *answer)
{
	bool doubted = json_object_object_get_ex(answer, "unknown_because", NULL);
	char line[LINE_BYTES];

	if (!put_entries(out, "entries", answer, "entries"))
		format_pair(
			out, "entries", doubted ? "none" : "none: no key ever left, and none came");
	if (doubted) {
		(void)snprintf(line, sizeof(line), "unknown: %s",
			format_member(answer, "unknown_because"));
		format_pair(out, "what is missing", line);
	}
	if (!format_count(answer, "unreadable"))
		return;
	(void)snprintf(
		line, sizeof(line), "%s lines of exports.log", format_member(answer, "unreadable"));
	format_pair(out, "unreadable", line);
}

static void put_levels(FILE *out, struct json_object *answer)
{
	size_t count;
	struct json_object *levels = array_of(answer, "levels", &count);
	char line[LINE_BYTES];

	for (size_t i = 0; i < count; i++) {
		struct json_object *level = json_object_array_get_idx(levels, i);
		bool has_state = json_object_object_get_ex(level, "state", NULL);
		(void)snprintf(line, sizeof(line), "%s  key %s  volumes %s%s%s",
			format_member(level, "name"), format_member(level, "fingerprint"),
			format_member(level, "volumes"), has_state ? "  " : "",
			has_state ? format_member(level, "state") : "");
		format_pair(out, i ? "" : "levels", line);
	}
}

void format_export(FILE *out, struct json_object *answer)
{
	size_t count;
	struct json_object *recipients = array_of(answer, "recipients", &count);
	char line[LINE_BYTES];

	format_pair(out, "export", format_member(answer, "id"));
	put_levels(out, answer);
	format_pair(out, "for", format_member(answer, "to"));
	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_array_get_idx(recipients, i);
		(void)snprintf(line, sizeof(line), "%s  certificate sha256 %s",
			format_member(one, "subject"), format_member(one, "sha256"));
		format_pair(out, "", line);
	}
	format_pair(out, "file sha256", format_member(answer, "sha256"));
}

void format_import(FILE *out, struct json_object *answer)
{
	format_pair(out, "export", format_member(answer, "id"));
	format_pair(out, "made on", format_member(answer, "host"));
	format_pair(out, "made at", format_member(answer, "made_at"));
	put_levels(out, answer);
}
