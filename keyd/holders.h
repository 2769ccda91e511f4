/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Which processes may hold keys, remembered over a crash or restart of keyd: a process is entered,
 * durably, before its first key leaves. So a tgtd that does not come back to a new keyd, because it is
 * stopped or hangs, is still named when a level is suspended or destroyed.
 */
#ifndef KEYD_HOLDERS_H
#define KEYD_HOLDERS_H

#include "keyd.h"

#define HOLDERS_FILE "holders"

/* Writes the table of all consumers that may hold keys. 0 or -errno: then no key must leave. */
int holders_save(struct keyd *keyd) __attribute__((warn_unused_result));

/*
 * Whether the table on the medium has the volume for this process: from the last time that it was written. It may list
 * more than the process holds, so a level that is resumed is not written anew for each of its volumes.
 */
bool holders_lists(const struct consumer *consumer, const struct volume *volume);

/*
 * Puts the processes of the last run that still exist into the table of sessions, as consumers whose
 * connection broke. When the file is missing or unreadable although there are levels, tgtds get some
 * seconds to come back by themselves before a revocation may end (keyd->settle_until_ms). 0 or -ENOMEM.
 */
int holders_load(struct keyd *keyd) __attribute__((warn_unused_result));

/*
 * Fills peers, for the caller to clear, with the processes of the table in state_fd that still run; no key of the store
 * is needed for that. Returns how many, at most max, or -errno when the table cannot be read.
 */
ssize_t holders_running(int state_fd, struct peer *peers, size_t max)
	__attribute__((warn_unused_result));

#endif
