/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A volume that a LUN has open: its store, its LUKS2 header, what keyd's record says of it, and the
 * key schedules while its key is held.
 *
 * Threads: opened and closed on the main thread; volume_encrypt() and the other data calls run on
 * pool workers; volume_key_*() run on the session's thread. vol->key_lock guards state and key
 * schedules and is held for reading over cipher calls only, never over I/O, so that neither a hung
 * disk nor a busy main loop delays a wipe.
 */
#ifndef BS_CRYPT_VOLUME_H
#define BS_CRYPT_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "complete.h"
#include "crypt.h"
#include "opts.h"
#include "proto.h"
#include "store.h"

struct keysession_member;
struct luks;
struct volume;

enum volume_state {
	VOLUME_NOT_READY, /* no key held, but it may come: suspended, or keyd away past the grace */
	VOLUME_READY,
	VOLUME_HEADER_DUE, /* the key is held, but its LUKS2 header is not on the medium yet */
	VOLUME_NO_ACCESS,  /* keyd refuses the key to this tgtd */
	VOLUME_DESTROYED,  /* final: no later answer of keyd brings the volume back */
};

/* Told on the session's thread that volume_grow() is due; it must not wait, nor call the volume. */
struct volume_watch {
	void (*grows)(struct volume_watch *watch);
};

struct volume_flags {
	bool sync;                  /* tgt's bsoflags: every write is durable before its status */
	bool direct;                /* tgt's bsoflags: past the page cache */
	struct volume_watch *watch; /* must live until volume_close() */
};

/*
 * Opens the volume at path: locks the store, reads the LUKS2 header, gets record and key from keyd,
 * checks the one against the other. A volume of a suspended level opens and is not ready.
 *
 * block_bytes is the LUN's logical block size, which must be the encryption sector. read_only is
 * set when only that is possible. The caller owns *volume; a reference to the pool must be held as
 * long as it lives. Main thread only; waits for keyd a few seconds at most. On error 0 > rc, with
 * one line in why that says what and what to do.
 */
int volume_open(const char *path, const struct opts *opts, uint32_t block_bytes,
	struct volume_flags flags, struct volume **volume, char *why, size_t why_bytes)
	__attribute__((warn_unused_result));

/*
 * Wipes the key and tells keyd. Data calls that come after it fail; the store is closed with the last
 * reference. NULL is allowed. Main thread only.
 */
void volume_close(struct volume *vol);

/*
 * References, so that a volume outlives the commands that use it: tgt closes a LUN's backing store
 * with commands in flight when its path is changed or it goes offline. The last one is given back on
 * the main thread; who takes one knows of another.
 */
struct volume *volume_get(struct volume *vol);
void volume_put(struct volume *vol);

uint64_t volume_size_bytes(const struct volume *vol); /* as initiators see it; any thread */

/*
 * Serves as much as keyd has on record now, if the store is long enough: 0, or -errno with the reason in why,
 * and the size stays. Main thread only; measures the store, which takes as long as in volume_open().
 */
int volume_grow(struct volume *vol, char *why, size_t why_bytes)
	__attribute__((warn_unused_result));

/*
 * What keyd is told of the store's length: as it was measured when the volume was opened, until keyd's first answer;
 * after that no more than what is served. The session's thread.
 */
uint64_t volume_store_bytes(const struct volume *vol);

/* Whether volume_grow() has succeeded since the last call. Any thread. */
bool volume_has_grown(struct volume *vol);

/* Whether volume_grow() is due, or was in vain. Any thread. */
bool volume_grows(const struct volume *vol);

uint32_t volume_sector_bytes(const struct volume *vol);
uint32_t volume_io_bytes(const struct volume *vol); /* the store's preferred transfer size */
bool volume_read_only(const struct volume *vol);
bool volume_discards(const struct volume *vol);          /* opened with discard=on */
uint32_t volume_discard_bytes(const struct volume *vol); /* store.h, discard_bytes */
bool volume_encrypts_fast(const struct volume *vol);     /* crypt.h, side_by_side */

/*
 * Data calls. offset_bytes counts from the first byte of the LUN; offset and length are whole
 * sectors, inside the volume. Any thread.
 *
 * -EAGAIN: not ready. -EACCES: no access. -EIO from the cipher calls: internal error.
 */
int volume_status(struct volume *vol) __attribute__((warn_unused_result));
int volume_encrypt(struct volume *vol, uint8_t *data, size_t len_bytes, uint64_t offset_bytes)
	__attribute__((warn_unused_result));
int volume_decrypt(struct volume *vol, uint8_t *data, size_t len_bytes, uint64_t offset_bytes)
	__attribute__((warn_unused_result));

/* store.h's calls, moved to the volume's data segment. */
int volume_read(struct volume *vol, void *data, size_t len_bytes, uint64_t offset_bytes)
	__attribute__((warn_unused_result));
int volume_write(struct volume *vol, const void *data, size_t len_bytes, uint64_t offset_bytes,
	bool durable) __attribute__((warn_unused_result));
int volume_read_now(struct volume *vol, void *data, size_t len_bytes, uint64_t offset_bytes)
	__attribute__((warn_unused_result));
bool volume_writes_now(struct volume *vol);
int volume_write_now(struct volume *vol, const void *data, size_t len_bytes, uint64_t offset_bytes)
	__attribute__((warn_unused_result));
int volume_flush(struct volume *vol) __attribute__((warn_unused_result));
int volume_prefetch(struct volume *vol, uint64_t len_bytes, uint64_t offset_bytes)
	__attribute__((warn_unused_result));
int volume_discard(struct volume *vol, uint64_t len_bytes, uint64_t offset_bytes)
	__attribute__((warn_unused_result));
/* Without discard=on all is data. *end_bytes counts from the first byte of the LUN, too, and is not behind its last. */
int volume_map(struct volume *vol, uint64_t offset_bytes, uint64_t *end_bytes, bool *hole)
	__attribute__((warn_unused_result));

/*
 * For the session. Applies keyd's answer to ATTACH: checks the record against the header and the
 * options, the key against the digest, and takes the key or drops the one held. header_fd, unless it is
 * -1, is that of the header that keyd sent with the key, in memory: it counts in place of the medium's,
 * and has to go there before the volume is ready. 0 when the volume is ready, suspended, or that header
 * is due; else -errno with the reason in why. -ESTALE: the key is not the header's, which may have been
 * replaced since it was read; the volume is not ready.
 */
int volume_key_apply(struct volume *vol, const struct proto_attach_reply *reply, int header_fd,
	char *why, size_t why_bytes) __attribute__((warn_unused_result));

/*
 * Writes the header in header_fd to the medium, durably, over the old one and its area for key slots. A
 * crash at any moment leaves one of its two copies whole, old or new. On a worker. 0 or -errno.
 */
int volume_header_write(struct volume *vol, int header_fd) __attribute__((warn_unused_result));

/* Reads the medium's header again. On a worker. The caller owns *luks. 0 or -errno of luks_read(). */
int volume_header_read(struct volume *vol, struct luks **luks) __attribute__((warn_unused_result));

/*
 * For the session: takes luks over, in place of what was read before, if it is of the same volume. 0 or
 * -EKEYREJECTED.
 */
int volume_header_replace(struct volume *vol, struct luks *luks)
	__attribute__((warn_unused_result));

/* The header of the key that is held is on the medium: the volume is ready, if it was due. */
void volume_header_written(struct volume *vol);

/* An initiator's SANITIZE of the volume, as it goes through the session. */
struct volume_sanitization {
	struct completion completion; /* done is called on the main thread */
	char initiator[PROTO_INITIATOR_BYTES];
	int rc; /* valid in done, see volume_sanitize() */
};

/*
 * Has keyd replace the volume's key, and waits for nothing. The caller keeps s, which has completion.done
 * and initiator set, and a reference until done is called, with rc 0: the old key is destroyed, with a
 * certificate, the new one is in use, and its header on the medium. -EPERM: keyd's policy forbids it, nothing
 * was changed. -EAGAIN: it cannot be done now, nothing was changed. -EIO: it is not known, or not proven, that
 * it was done; the volume goes on with the old key or the new one. No other command may be under way. Main
 * thread only.
 */
void volume_sanitize(struct volume *vol, struct volume_sanitization *s);

/* The volume's member of its session; NULL once it is closed. Main thread only. */
struct keysession_member *volume_member(const struct volume *vol);

/*
 * Wipes the key schedules; when it returns none is left in the process and every later data call
 * gets state (anything but READY). Waits for cipher calls under way only. True if a key was held.
 */
bool volume_key_wipe(struct volume *vol, enum volume_state state);

uint64_t volume_header_bytes(const struct volume *vol); /* up to where the data starts */
const char *volume_uuid(const struct volume *vol);
const char *volume_level(const struct volume *vol); /* empty before the first answer */
const char *volume_path(const struct volume *vol);
const struct opts *volume_opts(const struct volume *vol);

#endif
