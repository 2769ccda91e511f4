/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The loop: accepts connections, hands their messages to consumer.c and admin.c, ends sessions, and
 * drives what goes on over time (revocation.c, destroy.c).
 */
#ifndef KEYD_SERVER_H
#define KEYD_SERVER_H

#include "keyd.h"

/*
 * Serves until SIGTERM or SIGINT, which the caller has blocked. Called between reserve_begin() and reserve_end(), which it
 * leaves while it serves. Tells systemd and stderr when it is
 * ready. 0 after a clean stop, or -errno, logged.
 */
int server_run(struct keyd *keyd) __attribute__((warn_unused_result));

#endif
