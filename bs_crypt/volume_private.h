/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* An open volume, for the files that make up volume.h. */
#ifndef BS_CRYPT_VOLUME_PRIVATE_H
#define BS_CRYPT_VOLUME_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "luks.h"
#include "volume.h"

struct volume {
	char *path;
	struct opts opts;
	struct store *store;
	struct luks *luks;           /* the session's thread's, once the volume is open */
	struct luks_segment segment; /* what it says; constant once the volume is open */
	const struct crypt_engine *engine;
	struct keysession_member *member;
	struct volume_watch *watch;
	bool read_only;
	atomic_uint references;

	/* Of keyd's record: set by the first answer, on the session's thread, and constant then. */
	bool known;
	char level[PROTO_LEVEL_BYTES];
	const struct cipher *cipher;
	_Atomic uint64_t size_bytes;     /* what is served; grows on the main thread */
	_Atomic uint64_t recorded_bytes; /* what keyd has on record; the session's thread */
	atomic_bool grown;               /* keyd is to be told; set on the main thread */

	pthread_mutex_t header_lock; /* over writing the medium's header */
	pthread_rwlock_t key_lock;
	enum volume_state state;
	struct crypt_context *context; /* NULL when no key is held */
};

/*
 * Notes discard=on in the medium's header, not in vol->luks: keyd may have sent another one, which is on its way
 * there. Caller holds vol->header_lock. 0 or -errno.
 */
int volume_note_discards(struct volume *vol) __attribute__((warn_unused_result));

#endif
