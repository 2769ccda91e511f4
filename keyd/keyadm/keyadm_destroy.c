/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_destroy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "keyadm_format.h"
#include "keyadm_format_private.h"

enum { LISTED_MAX = 10, TYPED_BYTES = 128, LABEL_WIDTH = 12 };

/* What is about to be lost. All JSON objects may be NULL. */
struct loss {
	struct json_object *subject; /* of LEVEL_SHOW or VOLUME_SHOW */
	struct json_object *volumes; /* an array */
};

/* Sends request; the JSON of its answer becomes *json, owned by the caller. */
static int fetch(struct client *c, struct proto_msg *request, struct json_object **json)
{
	int err = client_request(c, request);

	if (err)
		return keyadm_refuse(err, "%s", client_strerror(err));
	err = keyadm_check_reply(c->channel.msg);
	if (err)
		return err;
	*json = json_tokener_parse(c->text);
	return *json ? 0 : keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
}

static int fetch_level(struct client *c, const char *level, struct loss *loss)
{
	struct proto_msg request = {.type = PROTO_LEVEL_SHOW};

	memcpy(request.level.level, level, PROTO_LEVEL_BYTES);
	int err = fetch(c, &request, &loss->subject);
	if (err)
		return err;
	request.type = PROTO_VOLUME_LIST;
	return fetch(c, &request, &loss->volumes);
}

static int fetch_volume(struct client *c, const char *id, struct loss *loss)
{
	struct proto_msg request = {.type = PROTO_VOLUME_SHOW};

	memcpy(request.volume_id.id, id, PROTO_PATH_BYTES);
	int err = fetch(c, &request, &loss->subject);
	if (err)
		return err;
	loss->volumes = json_object_new_array();
	if (!loss->volumes || json_object_array_add(loss->volumes, json_object_get(loss->subject)))
		return keyadm_refuse(-ENOMEM, "out of memory");
	return 0;
}

static int fetch_loss(struct client *c, const struct proto_msg *request, struct loss *loss)
{
	return request->type == PROTO_LEVEL_DESTROY ? fetch_level(c, request->level.level, loss)
						    : fetch_volume(c, request->volume_id.id, loss);
}

static void tell_label(const char *label)
{
	(void)fprintf(stderr, "  %-*s", LABEL_WIDTH, label);
}

/* A destroyed volume has nothing more to lose. */
static bool is_lost(struct json_object *volume)
{
	return strcmp(format_member(volume, "state"), "destroyed") != 0;
}

static void tell_volumes(struct json_object *volumes)
{
	uint64_t count = 0, bytes = 0;
	char size[FORMAT_SIZE_BYTES];

	for (size_t i = 0; i < length_of(volumes); i++) {
		struct json_object *v = json_object_array_get_idx(volumes, i);
		if (!is_lost(v))
			continue;
		bytes += format_count(v, "size_bytes");
		count++;
	}
	tell_label("volumes");
	(void)fprintf(stderr, "%" PRIu64 ", %s in all\n", count, format_size(size, bytes));
	count = 0;
	for (size_t i = 0; i < length_of(volumes); i++) {
		struct json_object *v = json_object_array_get_idx(volumes, i);
		if (!is_lost(v) || count++ >= LISTED_MAX)
			continue;
		tell_label("");
		format_text(stderr, format_member(v, "uuid"));
		(void)fputs("  ", stderr);
		format_text(stderr, format_member(v, "path"));
		(void)fputc('\n', stderr);
	}
	if (count > LISTED_MAX) {
		tell_label("");
		(void)fprintf(stderr, "and %" PRIu64 " more\n", count - LISTED_MAX);
	}
}

static void tell_attached(struct json_object *volumes)
{
	bool any = false;

	for (size_t i = 0; i < length_of(volumes); i++) {
		struct json_object *v = json_object_array_get_idx(volumes, i), *attached;
		if (!json_object_object_get_ex(v, "attached", &attached) ||
			!json_object_is_type(attached, json_type_array))
			continue;
		for (size_t k = 0; k < json_object_array_length(attached); k++) {
			struct json_object *p = json_object_array_get_idx(attached, k);
			tell_label(any ? "" : "in use");
			any = true;
			format_print(stderr, "by pid %s, uid %s: volume ", format_member(p, "pid"),
				format_member(p, "uid"));
			format_text(stderr, format_member(v, "uuid"));
			(void)fputs("; its initiators get I/O errors\n", stderr);
		}
	}
	if (!any) {
		tell_label("in use");
		(void)fputs("by nobody now\n", stderr);
	}
}

static void tell_erase_class(struct json_object *subject)
{
	const char *class = format_member(subject, "erase_class");
	const char *meaning = format_erase_class(class);

	tell_label("erase class");
	format_text(stderr, class);
	(void)fprintf(stderr, "%s%s\n", *meaning ? ": " : "", meaning);
}

static void tell_exports(struct json_object *subject)
{
	uint64_t count = format_count(subject, "outstanding_exports");

	tell_label("exports");
	if (json_object_object_get_ex(subject, "outstanding_exports_reason", NULL))
		(void)fprintf(stderr, "unknown: %s\n",
			format_member(subject, "outstanding_exports_reason"));
	else if (json_object_object_get_ex(subject, "outstanding_exports", NULL))
		(void)fprintf(stderr, "%" PRIu64 " cop%s known to keyadm ledger; %s on working\n",
			count, count == 1 ? "y is" : "ies are", count == 1 ? "it goes" : "they go");
	else
		(void)fputs(
			"keys that left keyd go on working; the certificate lists them\n", stderr);
}

static int ask(const char *what, const char *name)
{
	char typed[TYPED_BYTES] = "";

	(void)fprintf(stderr, "This cannot be undone. Type the %s to go ahead: ", what);
	if (!fgets(typed, sizeof(typed), stdin))
		(void)fputc('\n', stderr);
	typed[strcspn(typed, "\n")] = '\0';
	if (*name && !strcmp(typed, name))
		return 0;
	return keyadm_refuse(-ECANCELED, "nothing was destroyed: that is not the %s", what);
}

static int tell_and_ask(const struct proto_msg *request, const struct loss *loss)
{
	bool is_level = request->type == PROTO_LEVEL_DESTROY;
	const char *name = is_level ? request->level.level : format_member(loss->subject, "uuid");

	if (!strcmp(format_member(loss->subject, "state"), "destroyed"))
		return 0; /* nothing to lose: keyd says so */
	if (!json_object_is_type(loss->volumes, json_type_array))
		return keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
	(void)fprintf(stderr, "Destroying %s ", is_level ? "level" : "volume");
	format_text(stderr, name);
	(void)fputs(" makes its data unreadable for ever:\n", stderr);
	tell_volumes(loss->volumes);
	tell_attached(loss->volumes);
	tell_erase_class(loss->subject);
	tell_exports(loss->subject);
	return ask(is_level ? "level's name" : "volume's UUID", name);
}

int keyadm_confirm(struct client *c, const struct proto_msg *request)
{
	struct loss loss = {NULL, NULL};

	if (!isatty(STDIN_FILENO))
		return keyadm_refuse(-ENOTTY, "nothing was destroyed: there is no terminal to ask "
					      "on; say --yes to destroy unasked");
	int err = fetch_loss(c, request, &loss);
	if (!err)
		err = tell_and_ask(request, &loss);
	json_object_put(loss.subject);
	json_object_put(loss.volumes);
	return err;
}
