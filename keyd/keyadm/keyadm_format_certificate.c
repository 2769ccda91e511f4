/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A certificate of destruction, complete, for people. */
#include "keyadm_format.h"

#include <inttypes.h>
#include <string.h>

#include "keyadm_format_private.h"
#include "keyadm_ledger.h"

bool format_is_sanitization(struct json_object *certificate)
{
	return json_object_object_get_ex(certificate, "sanitization", NULL);
}

/* The line for people that opens a certificate. */
static void put_summary(FILE *out, struct json_object *c)
{
	struct json_object *verification = NULL;
	uint64_t volumes = format_count(c, "volumes"), acked = format_count(c, "acknowledged");
	uint64_t silent = format_count(c, "unacknowledged");

	(void)json_object_object_get_ex(c, "verification", &verification);
	if (!strcmp(format_member(c, "scope"), "volume")) {
		(void)fputs(
			format_is_sanitization(c) ? "An earlier key of volume " : "Volume ", out);
		format_text(out, format_member(json_object_array_get_idx(array_of(c, "volumes"), 0),
					 "uuid"));
		(void)fputs(" of level ", out);
		format_text(out, format_member(c, "level"));
	} else {
		(void)fputs("Level ", out);
		format_text(out, format_member(c, "level"));
		(void)fprintf(out, " with %" PRIu64 " volume%s", volumes, volumes == 1 ? "" : "s");
	}
	(void)fputs(" was destroyed at ", out);
	format_text(out, format_member(c, "completed_at"));
	if (acked + silent)
		(void)fprintf(out, ": %" PRIu64 " of %" PRIu64 " consumers confirmed the wipe",
			acked, acked + silent);
	else
		(void)fputs(": no consumer was connected", out);
	(void)fputs(", erase class ", out);
	format_text(out, format_member(c, "erase_class"));
	(void)fputs(", verification ", out);
	format_text(out, format_member(verification, "result"));
	(void)fputs(".\n\n", out);
}

static void put_person(FILE *out, struct json_object *c, const char *label, const char *key)
{
	struct json_object *person = NULL;
	char line[256];

	if (!json_object_object_get_ex(c, key, &person))
		return;
	(void)snprintf(line, sizeof(line), "%s (uid %s)", format_member(person, "user"),
		format_member(person, "uid"));
	format_pair(out, label, line);
}

/* Who wanted it, and on which terms. */
static void put_decision(FILE *out, struct json_object *c)
{
	static const struct value approved[] = {{"approved", "approved_at", VALUE_OPTIONAL}};
	static const struct value sent[] = {
		{"command", "command", VALUE_OPTIONAL},
		{"initiator", "initiator", VALUE_OPTIONAL},
		{"sanitization", "sanitization", VALUE_OPTIONAL},
	};

	put_person(out, c, "requester", "requester");
	put_person(out, c, "approved by", "approved_by");
	PAIRS(out, c, approved);
	PAIRS(out, c, sent);
	if (!strcmp(format_member(c, "emergency"), "true"))
		format_pair(out, "emergency", "without approval and delay");
}

/* How, with what and where: not in certificates of earlier keyds. */
static void put_method(FILE *out, struct json_object *c)
{
	static const struct value how[] = {
		{"method", "name", VALUE_OPTIONAL},
		{"", "standard", VALUE_OPTIONAL},
		{"keys wrapped", "key_wrapping", VALUE_OPTIONAL},
		{"custody", "custody_of_root_key", VALUE_OPTIONAL},
	};
	static const struct value with[] = {
		{"tool", "name", VALUE_OPTIONAL},
		{"", "version", VALUE_OPTIONAL},
	};
	static const struct value where[] = {
		{"host", "host", VALUE_OPTIONAL},
		{"machine", "machine", VALUE_OPTIONAL},
	};
	struct json_object *method = NULL, *tool = NULL, *location = NULL;

	(void)json_object_object_get_ex(c, "method", &method);
	(void)json_object_object_get_ex(c, "tool", &tool);
	(void)json_object_object_get_ex(c, "location", &location);
	PAIRS(out, method, how);
	PAIRS(out, tool, with);
	PAIRS(out, location, where);
}

/* Says what is there; only keyadm certificate verify can say what it is worth. */
static void put_signature(FILE *out, struct json_object *c)
{
	static const struct value pairs[] = {
		{"signed with", "algorithm", VALUE_TEXT},
		{"key", "key_id", VALUE_TEXT},
		{"signature", "value", VALUE_TEXT},
	};
	struct json_object *signature = NULL;

	if (json_object_object_get_ex(c, "signature", &signature))
		PAIRS(out, signature, pairs);
	else
		format_pair(out, "signed with", "nothing: an earlier keyd wrote this certificate");
}

void format_certificate(FILE *out, struct json_object *c)
{
	static const struct value head[] = {
		{"certificate", "type", VALUE_TEXT},
		{"scope", "scope", VALUE_TEXT},
		{"level", "level", VALUE_TEXT},
		{"level key", "level_fingerprint", VALUE_TEXT},
	};
	static const struct value times[] = {
		{"requested", "requested_at", VALUE_TEXT},
		{"completed", "completed_at", VALUE_TEXT},
	};
	static const struct value ledger[] = {
		{"not readable", "unreadable_exports", VALUE_OPTIONAL}};
	static const struct value proof[] = {
		{"erase class", "erase_class", VALUE_TEXT},
		{"", "erase_class_reason", VALUE_TEXT},
	};
	static const struct value checks[] = {
		{"verification", "result", VALUE_TEXT},
		{"", "checked", VALUE_OPTIONAL},
		{"", "checked_in_token", VALUE_OPTIONAL},
		{"", "erase_error", VALUE_OPTIONAL},
		{"key files left", "key_files_left", VALUE_TEXT},
		{"key opens", "key_can_be_unwrapped", VALUE_TEXT},
	};
	static const struct value log[] = {
		{"audit head", "audit_head", VALUE_TEXT},
		{"of record", "audit_seq", VALUE_OPTIONAL},
	};
	struct json_object *verification = NULL;

	(void)json_object_object_get_ex(c, "verification", &verification);
	put_summary(out, c);
	PAIRS(out, c, head);
	put_volumes(out, array_of(c, "volumes"), "volumes");
	put_decision(out, c);
	PAIRS(out, c, times);
	put_processes(out, "confirmed", array_of(c, "acknowledged"));
	put_processes(out, "not confirmed", array_of(c, "unacknowledged"));
	put_processes(out, "ended before", array_of(c, "exited"));
	put_processes(out, "killed", array_of(c, "killed"));
	format_exports(out, c);
	PAIRS(out, c, ledger);
	PAIRS(out, c, proof);
	PAIRS(out, verification, checks);
	put_method(out, c);
	PAIRS(out, c, log);
	put_signature(out, c);
}
