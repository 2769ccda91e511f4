/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "unlock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "holders.h"
#include "log.h"
#include "passphrase.h"
#include "secret.h"
#include "serverkeys.h"

int unlock_store(struct keyd *keyd, const struct proto_passphrase *passphrase,
	const struct peer *by, const char *detail)
{
	struct audit_event event = {.event = "unlock", .by = by, .detail = detail, .result = "ok"};

	int rc = keystore_unlock(&keyd->store, passphrase);
	if (rc == -EKEYREJECTED) {
		event.result = "denied";
		keyd_audit_refusal(keyd, &event);
	}
	if (rc)
		return rc;
	rc = serverkeys_begin(keyd);
	if (!rc)
		rc = audit_append(&keyd->audit, &event);
	if (rc) {
		serverkeys_end(keyd);
		keystore_lock(&keyd->store);
		/* What follows has no code: audit_locked.h. */
		if (audit_append(&keyd->audit,
			    &(struct audit_event){.event = "store-locked", .result = "ok"}))
			log_error("that the store is locked again is not in the audit log");
		return rc;
	}
	rc = holders_load(keyd);
	if (rc) { /* as at the start of keyd: without knowing who holds keys nothing can be promised */
		log_error("cannot tell who holds keys: %s", strerror(-rc));
		(void)raise(SIGTERM); /* blocked; the loop takes it */
		return rc;
	}
	log_info("the key store is unlocked");
	return 0;
}

static int read_credential(const char *dir, struct proto_passphrase *passphrase)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	int fd = openat(dir_fd, UNLOCK_CREDENTIAL, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int rc = fd < 0 ? -errno : passphrase_read(fd, passphrase);
	if (fd >= 0)
		(void)close(fd);
	(void)close(dir_fd);
	return rc;
}

void unlock_by_credential(struct keyd *keyd)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");

	if (!dir || !keystore_is_locked(&keyd->store))
		return;
	struct proto_passphrase *passphrase = secret_alloc(sizeof(*passphrase));
	int rc = passphrase ? read_credential(dir, passphrase) : -errno;
	if (rc == -ENOENT)
		goto out;
	if (!rc)
		rc = unlock_store(keyd, passphrase, NULL, "credential " UNLOCK_CREDENTIAL);
	if (rc)
		log_error("the credential " UNLOCK_CREDENTIAL " does not unlock the key store: %s",
			rc == -EKEYREJECTED ? "it is not the passphrase" : custody_strerror(rc));
out:
	secret_free(passphrase);
}
