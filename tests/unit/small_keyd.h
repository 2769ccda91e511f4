/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyd within a test: its own loop, without sleeping and without listeners, on the key store of tests/fuzz/lab.h; one tgtd
 * that wipes whenever it is told to, two administrators. Calls fail (faults.h) only while keyd's code runs.
 */
#ifndef TESTS_SMALL_KEYD_H
#define TESTS_SMALL_KEYD_H

#include "keyd.h"

enum small_peer { SMALL_TGTD, SMALL_ADMIN, SMALL_SECOND_ADMIN, SMALL_PEERS };

extern struct keyd small_keyd;

/* The store as it was first. */
void small_keyd_reset(void);

/* As main() does it. 0 or -errno: then it has been ended. */
int small_keyd_start(void) __attribute__((warn_unused_result));
void small_keyd_end(void);

/*
 * Sends msg and does whatever follows from it, the passing of time included. The status of the answer, or -1 when there
 * was none.
 */
int small_keyd_ask(enum small_peer who, const struct proto_msg *msg);

/* Sends msg, which lies in the socket until keyd's next look at it. */
void small_keyd_send(enum small_peer who, const struct proto_msg *msg);

/* As if keyd had not looked at its sockets for so long. */
void small_keyd_was_absent(int64_t ms);

/* A silent tgtd acknowledges nothing, and no time passes. */
void small_keyd_silence(bool silent);

/* What that answer said to people; static storage. */
const char *small_keyd_said(void);

/* Uploads what EXPORT or IMPORT needs. */
int small_keyd_upload(const uint8_t *bytes, size_t len);

/* Does what is to be done, after a start for example. */
void small_keyd_settle(void);

/* small_keyd_ask() with one administrator's request; name is what the message begins with: a level, a volume, a custody. */
int small_keyd_order(uint16_t type, const char *name);

/* All levels and volumes with their states, and how many requests wait; static storage, used up by the call after next. */
const char *small_keyd_states(void);

/* The whole log is authentic. */
bool small_keyd_audit_holds(void);

#endif
