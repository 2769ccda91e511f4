/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publish.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "publish_private.h"
#include "text.h"

static bool is_open;

void publish_open(void)
{
	is_open = true;
}

void publish_close(void)
{
	is_open = false;
	publish_journal_close();
	publish_kernel_close();
}

static bool is_good(const char *result)
{
	return result && (!strcmp(result, "ok") || !strcmp(result, "repaired"));
}

/* "level-destroy level secret: ok" */
static void summarize(struct publication *p)
{
	const struct audit_event *e = p->event;
	char line[PUBLISH_SUMMARY_BYTES];

	(void)snprintf(line, sizeof(line), "%s%s%s%s%s%s%s%s%s by uid %u", e->event,
		e->volume ? " volume " : "", e->volume ? e->volume : "", e->level ? " level " : "",
		e->level ? e->level : "", e->detail && e->detail[0] ? ": " : "",
		e->detail ? e->detail : "", e->result ? ": " : "", e->result ? e->result : "",
		(unsigned)p->uid);
	text_sanitize(p->summary, sizeof(p->summary), line);
}

void publish_record(const struct audit_event *event, uint64_t seq, const char *hash)
{
	struct publication p = {
		.event = event,
		.seq = seq,
		.hash = hash,
		.uid = event->by ? event->by->uid : getuid(),
		.pid = event->by ? event->by->pid : getpid(),
		.passed = is_good(event->result),
	};

	if (!is_open)
		return;
	summarize(&p);
	publish_journal(&p);
	publish_kernel(&p);
}
