/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "audit_exports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "jsonhelp.h"

static const char vouched_event[] = "export-vouched";
static const char *const events[] = {
	"volume-key", "export", "import", "import-forced", vouched_event};

static bool is_one(const char *event)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (!strcmp(event, events[i]))
			return true;
	}
	return false;
}

void audit_export_text(char text[AUDIT_EXPORT_BYTES], const char *id, const char *subject)
{
	(void)snprintf(text, AUDIT_EXPORT_BYTES, "%s %s", id, subject);
}

void audit_vouching_text(char text[AUDIT_EXPORT_BYTES], const char *id)
{
	(void)snprintf(text, AUDIT_EXPORT_BYTES, "vouched %s", id);
}

int audit_exports_add(struct json_object *set, const struct audit_event *event)
{
	const char *detail = event->detail ? event->detail : "";
	const char *subject = event->volume ? event->volume : event->level;
	char text[AUDIT_EXPORT_BYTES], id[64];

	/* Earlier than the ledger there were records without a number. */
	if (!is_one(event->event) || strcmp(event->result ? event->result : "", "ok") != 0 ||
		strncmp(detail, "exp-", 4) != 0)
		return 0;
	(void)snprintf(id, sizeof(id), "%.*s", (int)strcspn(detail, " "), detail);
	if (!strcmp(event->event, vouched_event))
		audit_vouching_text(text, id);
	else
		audit_export_text(text, id, subject ? subject : "");
	return json_add_bool(set, text, true) ? 0 : -ENOMEM;
}

int audit_exports_add_line(struct json_object *set, const char *line)
{
	/* Few of many lines: only those are parsed. */
	if (!strstr(line, "\"detail\":\"exp-"))
		return 0;
	struct json_object *record = json_tokener_parse(line);
	int rc = audit_exports_add(set, &(struct audit_event){
						.event = json_string(record, "event"),
						.level = json_string(record, "subject"),
						.detail = json_string(record, "detail"),
						.result = json_string(record, "result"),
					});
	json_object_put(record);
	return rc;
}
