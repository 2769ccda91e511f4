/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyadm audit: which request its options make, and what becomes of the answer. */
#ifndef KEYD_KEYADM_AUDIT_H
#define KEYD_KEYADM_AUDIT_H

#include "client.h"
#include "keyadm_args.h"

/* 0, or a negative errno whose reason has been told. */
int keyadm_audit_request(const struct keyadm_args *args, struct proto_msg *request)
	__attribute__((warn_unused_result));

/* Prints the answer to that request for people. 0, or a negative errno whose reason has been told. */
int keyadm_audit_print(const struct keyadm_args *args, const struct client *c)
	__attribute__((warn_unused_result));

#endif
