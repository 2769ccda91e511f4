/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The keys that the server has for itself, each a record under the root key in keys/ of the store:
 *
 *   keys/audit.key    HMAC-SHA-256: the audit log's
 *   keys/signing.key  Ed25519: certificates are signed with it
 *
 * They are made with the store, or when a store of an earlier keyd is opened. One that is missing or
 * damaged is replaced, and the audit log says so: no volume hangs on it.
 */
#ifndef KEYD_SERVERKEYS_H
#define KEYD_SERVERKEYS_H

#include <json-c/json.h>

#include "keyd.h"

/* The log's key for audit_log_open(). bytes stay NULL while there is none at hand. 0 or -errno. */
int serverkeys_audit_key(const struct keystore *ks, struct audit_key *key)
	__attribute__((warn_unused_result));

/*
 * The store was opened and the log is open: gives the log its key, unless it has it, and learns the public
 * key of certificates; makes what is missing. 0 or -errno.
 */
int serverkeys_begin(struct keyd *keyd) __attribute__((warn_unused_result));

/* The reverse, before the store is locked again. */
void serverkeys_end(struct keyd *keyd);

/*
 * The signing key in secret memory, freed by the caller: for a document that is finished when the store's
 * root key is gone. 0 or -errno.
 */
int serverkeys_copy(const struct keyd *keyd, uint8_t **key) __attribute__((warn_unused_result));

/* As serverkeys_sign(), with the key of that id. */
int serverkeys_sign_with(const uint8_t *key, const char *id, struct json_object *document)
	__attribute__((warn_unused_result));

/* Adds "signature" to the document, its last member. 0 or -errno. */
int serverkeys_sign(const struct keyd *keyd, struct json_object *document)
	__attribute__((warn_unused_result));

#endif
