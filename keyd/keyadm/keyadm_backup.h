/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Exports into files and imports from them. What is in a file is sealed by keyd, or opened by keyadm with a
 * recipient's private key, in secret memory.
 */
#ifndef KEYD_KEYADM_BACKUP_H
#define KEYD_KEYADM_BACKUP_H

#include "client.h"
#include "keyadm_args.h"

/*
 * EXPORT: makes the file of --out, and those of the shares with --split. request is in secret memory. 0 with
 * keyd's REPLY in c->channel.msg, or a negative errno whose reason has been told; no file is left then.
 */
int keyadm_export(struct client *c, const struct keyadm_args *args, struct proto_msg *request)
	__attribute__((warn_unused_result));

/* IMPORT of the file that the command line names. As above. */
int keyadm_import(struct client *c, const struct keyadm_args *args, struct proto_msg *request)
	__attribute__((warn_unused_result));

#endif
