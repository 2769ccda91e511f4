/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Opening a store whose custody needs a passphrase: by an administrator (keyadm unlock), or when keyd
 * starts, by a credential of systemd. Until then no tgtd is greeted: for them keyd is away.
 */
#ifndef KEYD_UNLOCK_H
#define KEYD_UNLOCK_H

#include "keyd.h"
#include "peer.h"

/* The name of the credential (systemd.exec(5), LoadCredential=): the passphrase, maybe with a newline. */
#define UNLOCK_CREDENTIAL "keyd.passphrase"

/*
 * Unlocks the store, records who did it (by, NULL: the credential), and takes up who held keys before.
 * 0; -EKEYREJECTED (wrong, recorded), -EBADMSG, or -errno: then it is locked as before, or keyd stops.
 * Destructions that were under way go on with destroy_resume_all(). Takes about a second.
 */
int unlock_store(struct keyd *keyd, const struct proto_passphrase *passphrase,
	const struct peer *by, const char *detail) __attribute__((warn_unused_result));

/* With $CREDENTIALS_DIRECTORY's passphrase, if there is one. What fails is logged; it stays locked then. */
void unlock_by_credential(struct keyd *keyd);

#endif
