/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Suspending and resuming a level: the state is durable first, then every consumer follows. */
#ifndef KEYD_SUSPEND_H
#define KEYD_SUSPEND_H

#include "admin.h"

/*
 * The level, already suspended in the store, is revoked from all consumers; admin is answered when all
 * have acknowledged or the time is up. 0 or -ENOMEM.
 */
int suspend_start(struct keyd *keyd, struct level *level, struct admin *admin, uint32_t serial)
	__attribute__((warn_unused_result));

/*
 * The level, already active in the store, is given back: consumers ask for its keys again; admin is
 * answered when all have confirmed or the time is up. 0 or -ENOMEM.
 */
int resume_start(struct keyd *keyd, struct level *level, struct admin *admin, uint32_t serial)
	__attribute__((warn_unused_result));

#endif
