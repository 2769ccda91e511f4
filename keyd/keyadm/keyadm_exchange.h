/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Requests of commands that take several, and being interrupted in between. */
#ifndef KEYD_KEYADM_EXCHANGE_H
#define KEYD_KEYADM_EXCHANGE_H

#include <signal.h>
#include <stddef.h>

#include "client.h"

/* Not zero after SIGINT, SIGTERM or SIGHUP, once keyadm_catch_signals() was called. */
extern volatile sig_atomic_t keyadm_stop;

/* From now on these signals set keyadm_stop, unless they are ignored, as under nohup(1). */
void keyadm_catch_signals(void);

/*
 * Sends request and expects an answer that ends in a message of type want, found in c->channel.msg. 0, or
 * a negative errno: then the reason has been told on stderr.
 */
int keyadm_ask(struct client *c, struct proto_msg *request, uint16_t want)
	__attribute__((warn_unused_result));

/* Goes on to the answer's REPLY. As above. */
int keyadm_ask_on(struct client *c) __attribute__((warn_unused_result));

/* Sends bytes in UPLOADs, in request, which is in secret memory and wiped after it. As above. */
int keyadm_upload(struct client *c, struct proto_msg *request, const uint8_t *bytes,
	size_t len_bytes) __attribute__((warn_unused_result));

#endif
