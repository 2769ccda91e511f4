/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Asks before a destruction, after having told what is lost. Needs a terminal. */
#ifndef KEYD_KEYADM_DESTROY_H
#define KEYD_KEYADM_DESTROY_H

#include "client.h"

/*
 * Tells on stderr what destroying the level or volume that request (LEVEL_DESTROY, VOLUME_DESTROY) names
 * would lose, and has its name or UUID typed. 0 to go ahead, or a negative errno whose reason has been
 * told: -ENOTTY if standard input is no terminal, -ECANCELED if something else was typed.
 */
int keyadm_confirm(struct client *c, const struct proto_msg *request)
	__attribute__((warn_unused_result));

#endif
