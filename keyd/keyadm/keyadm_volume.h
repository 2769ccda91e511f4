/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The two commands that make files: volume create and volume key. Either the file is complete and keyd
 * knows of it, or it is gone again.
 */
#ifndef KEYD_KEYADM_VOLUME_H
#define KEYD_KEYADM_VOLUME_H

#include "client.h"
#include "keyadm_args.h"

/*
 * Creates the volume that args describe (word[2]: PATH); its JSON is c->text afterwards. 0, or a
 * negative errno whose reason has been told.
 */
int keyadm_volume_create(struct client *c, const struct keyadm_args *args)
	__attribute__((warn_unused_result));

/*
 * Asks for the key of the volume that request names and puts it, raw, into the new file out_path. 0, or a
 * negative errno whose reason has been told; there is no file then.
 */
int keyadm_volume_key(struct client *c, struct proto_msg *request, const char *out_path)
	__attribute__((warn_unused_result));

#endif
