/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Records without a code: which ones a keyd can have written whose store was locked. Anybody who can
 * write the state directory can write such a line, so nothing that permits anything is among them.
 * Pure functions.
 */
#ifndef KEYD_AUDIT_LOCKED_H
#define KEYD_AUDIT_LOCKED_H

#include <stdbool.h>
#include <stddef.h>

/* Where reading a log is: zeroed at its begin. */
struct audit_stretch {
	bool inside;  /* the line before had no code */
	bool started; /* the stretch has its start of a locked keyd */
};

/*
 * The next line, of len bytes, has no code. NULL, or why it cannot be: its event is not one of the few, it is not
 * written as keyd writes it, or no locked keyd has started before it.
 */
const char *audit_locked_line(struct audit_stretch *stretch, const char *line, size_t len);

/* The next line has a code. NULL, or why the stretch before it cannot end so. */
const char *audit_locked_end(struct audit_stretch *stretch, const char *line);

#endif
