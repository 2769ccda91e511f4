/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "note.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "complete.h"

struct note {
	struct completion completion; /* first */
	void (*report)(const char *fmt, ...);
	char line[256];
};

static void write_note(struct completion *completion)
{
	struct note *n = (struct note *)completion;

	n->report("%s", n->line);
	free(n);
}

void note(void (*report)(const char *fmt, ...), const char *fmt, ...)
{
	struct note *n = calloc(1, sizeof(*n));
	va_list ap;

	if (!n)
		return;
	n->completion.done = write_note;
	n->report = report;
	va_start(ap, fmt);
	(void)vsnprintf(n->line, sizeof(n->line), fmt, ap);
	va_end(ap);
	complete_post(&n->completion); /* write_note() owns it */
}
