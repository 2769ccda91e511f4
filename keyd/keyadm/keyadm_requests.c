/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_requests.h"

#include <string.h>

#include "keyadm_format.h"

void keyadm_make_emergency(struct proto_msg *request)
{
	struct proto_emergency wanted = {.level = ""};

	if (request->type == PROTO_LEVEL_DESTROY)
		memcpy(wanted.level, request->level.level, sizeof(wanted.level));
	else
		memcpy(wanted.id, request->volume_id.id, sizeof(wanted.id));
	request->type = PROTO_DESTROY_EMERGENCY;
	request->emergency = wanted;
}

static void put_person(
	FILE *out, const char *what, struct json_object *request, const char *key, const char *when)
{
	struct json_object *person;

	if (!json_object_object_get_ex(request, key, &person))
		return;
	format_print(out, "  %-9s by uid %s ", what, format_member(person, "uid"));
	format_text(out, format_member(person, "user"));
	format_print(out, " at %s", format_member(request, when));
	(void)fputc('\n', out);
}

/* For whom an export is to be. */
static void put_recipients(FILE *out, struct json_object *request)
{
	struct json_object *parameters, *recipients;

	if (!json_object_object_get_ex(request, "parameters", &parameters) ||
		!json_object_object_get_ex(parameters, "recipients", &recipients) ||
		!json_object_is_type(recipients, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(recipients); i++) {
		struct json_object *one = json_object_array_get_idx(recipients, i);
		(void)fputs("  for       ", out);
		format_text(out, format_member(one, "subject"));
		(void)fputs(", certificate sha256 ", out);
		format_text(out, format_member(one, "sha256"));
		(void)fputc('\n', out);
	}
}

static void put_request(FILE *out, struct json_object *request)
{
	const char *id = format_member(request, "id"),
		   *until = format_member(request, "expires_at");

	format_print(out, "%s  to ", id);
	format_text(out, format_member(request, "what"));
	if (strcmp(format_member(request, "path"), "-") != 0) {
		(void)fputs(" at ", out);
		format_text(out, format_member(request, "path"));
	}
	(void)fputc('\n', out);
	put_recipients(out, request);
	put_person(out, "requested", request, "requester", "requested_at");
	put_person(out, "approved", request, "approved_by", "approved_at");
	if (!strcmp(format_member(request, "state"), "approved"))
		format_print(out,
			"  the requester may do it, once, until %s, unless keyadm cancel %s comes "
			"first",
			until, id);
	else if (strcmp(until, "-") != 0)
		format_print(out,
			"  needs the approval of another security administrator until %s: keyadm "
			"approve %s",
			until, id);
	else
		format_print(out, "  takes effect at %s, unless keyadm cancel %s comes first",
			format_member(request, "takes_effect_at"), id);
	(void)fputc('\n', out);
}

void format_destruction(FILE *out, struct json_object *answer)
{
	if (json_object_object_get_ex(answer, "id", NULL))
		put_request(out, answer);
	else
		format_certificate(out, answer);
}

void format_requests(FILE *out, struct json_object *requests)
{
	size_t count = json_object_is_type(requests, json_type_array)
			       ? json_object_array_length(requests)
			       : 0;

	for (size_t i = 0; i < count; i++)
		put_request(out, json_object_array_get_idx(requests, i));
	if (!count)
		(void)fputs("nothing waits for approval or for its time\n", out);
}
