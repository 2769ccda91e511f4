/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "volume.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keysession.h"
#include "luks.h"
#include "report.h"

enum {
	SECTOR_UNIT_BYTES = 512,        /* what crypt.h's sector numbers count */
	LOCKED_BYTES_MAX = 1024 * 1024, /* en- or decrypted under the key lock at a time */
};

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

	pthread_mutex_t header_lock; /* over writing the medium's header */
	pthread_rwlock_t key_lock;
	enum volume_state state;
	struct crypt_context *context; /* NULL when no key is held */
};

/* Puts context (NULL: none) and state in place of what was there. True if a key was held. */
static bool exchange_key(struct volume *vol, struct crypt_context *context, enum volume_state state)
{
	pthread_rwlock_wrlock(&vol->key_lock);
	struct crypt_context *old = vol->context;
	vol->context = context;
	if (vol->state != VOLUME_DESTROYED)
		vol->state = state;
	/* Freed under the lock: who then sees the new state knows that the schedules are gone. */
	crypt_context_free(old);
	pthread_rwlock_unlock(&vol->key_lock);
	return old != NULL;
}

bool volume_key_wipe(struct volume *vol, enum volume_state state)
{
	return exchange_key(vol, NULL, state);
}

static int mismatch(const char *what, char *why, size_t n)
{
	(void)snprintf(why, n,
		"the LUKS2 header's %s differs from keyd's record: the header was changed or "
		"belongs to "
		"another volume; restore it from a backup",
		what);
	return -EKEYREJECTED;
}

/* DESIGN 3: keyd's record is the authority; whoever can write the storage can write the header. */
static int check_header(
	const struct luks_segment *segment, const struct proto_attach_reply *r, char *why, size_t n)
{
	if (strcmp(segment->uuid, r->uuid))
		return mismatch("UUID", why, n);
	if (strcmp(segment->cipher, r->cipher))
		return mismatch("cipher", why, n);
	if (segment->sector_bytes != r->sector_bytes)
		return mismatch("sector size", why, n);
	if (segment->data_offset_bytes != r->data_offset_bytes)
		return mismatch("data offset", why, n);
	return 0;
}

/* Whether the store, as it was measured last, holds a volume of this size. */
static int check_store(const struct volume *vol, uint64_t size_bytes, char *why, size_t n)
{
	uint64_t end_bytes = vol->segment.data_offset_bytes + size_bytes;

	if (vol->store->size_bytes >= end_bytes)
		return 0;
	(void)snprintf(why, n, "too small: %llu bytes, the volume needs %llu",
		(unsigned long long)vol->store->size_bytes, (unsigned long long)end_bytes);
	return -ENOSPC;
}

/* Of a volume that is open the store is measured on the main thread: here it must not be waited for. */
static int check_size(
	const struct volume *vol, const struct proto_attach_reply *r, char *why, size_t n)
{
	uint64_t end_bytes;

	if (!r->size_bytes || r->size_bytes % r->sector_bytes ||
		__builtin_add_overflow(r->data_offset_bytes, r->size_bytes, &end_bytes)) {
		(void)snprintf(why, n, "keyd's record has an impossible size");
		return -EINVAL;
	}
	return vol->known ? 0 : check_store(vol, r->size_bytes, why, n);
}

static int check_record(
	const struct volume *vol, const struct proto_attach_reply *r, char *why, size_t n)
{
	int rc = check_header(&vol->segment, r, why, n);

	if (rc)
		return rc;
	if (!cipher_find(r->cipher) || !cipher_sector_size_ok(r->sector_bytes)) {
		(void)snprintf(why, n, "cipher %s is not known to this version", r->cipher);
		return -ENOTSUP;
	}
	if (vol->opts.level[0] && strcmp(vol->opts.level, r->level)) {
		(void)snprintf(
			why, n, "belongs to level %s, not to level=%s", r->level, vol->opts.level);
		return -EKEYREJECTED;
	}
	if (vol->known && (strcmp(vol->level, r->level) || r->size_bytes < vol->size_bytes)) {
		(void)snprintf(
			why, n, "keyd's record changed while the volume was open: reopen it");
		return -EKEYREJECTED;
	}
	return check_size(vol, r, why, n);
}

static void take_record(struct volume *vol, const struct proto_attach_reply *r)
{
	memcpy(vol->level, r->level, sizeof(vol->level));
	vol->cipher = cipher_find(r->cipher);
	vol->size_bytes = vol->recorded_bytes = r->size_bytes;
	vol->known = true;
}

/* The main thread is asked whenever keyd is: it may have been in vain before. */
static void note_growth(struct volume *vol, const struct proto_attach_reply *r)
{
	vol->recorded_bytes = r->size_bytes;
	if (volume_grows(vol) && vol->watch)
		vol->watch->grows(vol->watch);
}

static int take_key(struct volume *vol, const struct proto_attach_reply *r, bool header_due,
	char *why, size_t n)
{
	if (r->key_bytes != vol->cipher->key_bytes ||
		luks_verify_key(vol->luks, r->key, r->key_bytes)) {
		(void)snprintf(why, n,
			"keyd's key does not fit the header's digest: the header was "
			"changed; restore it from a backup");
		return -ESTALE;
	}
	struct crypt_context *context =
		crypt_context_new(vol->engine, vol->cipher, r->key, vol->segment.sector_bytes);
	if (!context) {
		(void)snprintf(why, n,
			"out of memory for the key schedules, or it may not be "
			"locked (ulimit -l)");
		return -ENOMEM;
	}
	(void)exchange_key(vol, context, header_due ? VOLUME_HEADER_DUE : VOLUME_READY);
	return 0;
}

/* From now on keys are checked against the header that keyd sent: the medium's is of the key before. */
static int take_header(
	struct volume *vol, const struct proto_attach_reply *r, int header_fd, char *why, size_t n)
{
	struct luks *luks;

	int rc = luks_read(header_fd, &luks);
	if (rc) {
		(void)snprintf(why, n, "keyd's new header cannot be read: %s", strerror(-rc));
		return rc;
	}
	rc = check_header(luks_segment(luks), r, why, n);
	if (rc) {
		luks_free(luks);
		return rc;
	}
	luks_free(vol->luks);
	vol->luks = luks; /* the volume owns it */
	return 0;
}

/* What a volume becomes when keyd answers with this status and gives no key. */
static enum volume_state state_without_key(uint32_t status)
{
	switch (status) {
	case PROTO_DESTROYED:
		return VOLUME_DESTROYED;
	case PROTO_DENIED:
	case PROTO_NOT_FOUND:
	case PROTO_MISMATCH:
	case PROTO_INVALID:
		return VOLUME_NO_ACCESS;
	default:
		return VOLUME_NOT_READY;
	}
}

int volume_key_apply(struct volume *vol, const struct proto_attach_reply *reply, int header_fd,
	char *why, size_t why_bytes)
{
	bool header = header_fd >= 0 && reply->status == PROTO_OK;
	int rc;

	if (reply->status != PROTO_OK && reply->status != PROTO_SUSPENDED) {
		(void)volume_key_wipe(vol, state_without_key(reply->status));
		(void)snprintf(why, why_bytes, "keyd: %s", reply->message);
		return -EACCES;
	}
	if (vol->state == VOLUME_DESTROYED) { /* written by this thread only */
		(void)snprintf(why, why_bytes, "was destroyed; keyd's store was put back?");
		return -EACCES;
	}
	rc = check_record(vol, reply, why, why_bytes);
	if (!rc && !vol->known)
		take_record(vol, reply);
	if (!rc)
		note_growth(vol, reply);
	if (!rc && header)
		rc = take_header(vol, reply, header_fd, why, why_bytes);
	if (!rc && reply->status == PROTO_OK)
		rc = take_key(vol, reply, header && !vol->read_only, why, why_bytes);
	if (rc || reply->status == PROTO_SUSPENDED)
		(void)volume_key_wipe(vol,
			rc && rc != -ENOMEM && rc != -ESTALE ? VOLUME_NO_ACCESS : VOLUME_NOT_READY);
	return rc;
}

void volume_header_written(struct volume *vol)
{
	pthread_rwlock_wrlock(&vol->key_lock);
	if (vol->state == VOLUME_HEADER_DUE)
		vol->state = VOLUME_READY;
	pthread_rwlock_unlock(&vol->key_lock);
}

/* In the medium's header, not in vol->luks: keyd may have sent another one, which is on its way there. Caller holds header_lock. */
static int note_discards(struct volume *vol)
{
	struct luks *luks = NULL;

	int rc = luks_read(vol->store->fd, &luks);
	if (!rc && !luks_discards(luks))
		rc = luks_set_discards(luks);
	luks_free(luks);
	return rc;
}

/* keyd's header does not know of discard=on. */
int volume_header_write(struct volume *vol, int header_fd)
{
	pthread_mutex_lock(&vol->header_lock);
	int rc = luks_write(vol->store, header_fd, vol->segment.data_offset_bytes);
	if (!rc && vol->opts.discard)
		rc = note_discards(vol);
	pthread_mutex_unlock(&vol->header_lock);
	return rc;
}

int volume_header_read(struct volume *vol, struct luks **luks)
{
	return luks_read(vol->store->fd, luks);
}

int volume_header_replace(struct volume *vol, struct luks *luks)
{
	const struct luks_segment *now = luks_segment(luks), *then = &vol->segment;

	if (strcmp(now->uuid, then->uuid) || strcmp(now->cipher, then->cipher) ||
		now->sector_bytes != then->sector_bytes ||
		now->data_offset_bytes != then->data_offset_bytes) {
		luks_free(luks);
		return -EKEYREJECTED;
	}
	luks_free(vol->luks);
	vol->luks = luks; /* the volume owns it */
	return 0;
}

void volume_sanitize(struct volume *vol, struct volume_sanitization *s)
{
	keysession_sanitize(vol->member, s);
}

static int open_store(struct volume *vol, struct volume_flags how, char *why, size_t n)
{
	struct store_flags flags = {.shared = vol->opts.shared,
		.sync = how.sync,
		.direct = how.direct,
		.discard = vol->opts.discard};
	int rc = store_open_file(vol->path, flags, &vol->store);

	if (rc == -EACCES || rc == -EROFS) {
		flags.read_only = vol->read_only = true;
		rc = store_open_file(vol->path, flags, &vol->store);
	}
	if (rc == -EBUSY)
		(void)snprintf(why, n,
			"already open: close the other LUN, or set shared=on for a "
			"cluster");
	else if (rc == -EOPNOTSUPP)
		(void)snprintf(why, n, "cannot be read past the cache: leave bsoflags direct out");
	else if (rc == -EINVAL)
		(void)snprintf(why, n, "neither a file nor a block device");
	else if (rc)
		(void)snprintf(why, n, "cannot open: %s", strerror(-rc));
	return rc;
}

static int open_header(struct volume *vol, uint32_t block_bytes, char *why, size_t n)
{
	int rc = luks_read(vol->store->fd, &vol->luks);

	if (rc) {
		(void)snprintf(why, n,
			rc == -EKEYREJECTED
				? "the LUKS2 header's segment, IV offset or digest is not "
				  "keyd's: it was changed; restore it from a backup"
				: "no LUKS2 volume: make one with 'keyadm volume create'");
		return rc;
	}
	vol->segment = *luks_segment(vol->luks);
	uint32_t sector_bytes = vol->segment.sector_bytes;
	if (sector_bytes != block_bytes) {
		(void)snprintf(why, n,
			"its sectors have %u bytes and the LUN's blocks %u: give tgtadm "
			"--blocksize %u",
			sector_bytes, block_bytes, sector_bytes);
		return -EINVAL;
	}
	if (sector_bytes % vol->store->align_bytes) {
		(void)snprintf(why, n,
			"its sectors have %u bytes and direct I/O needs %u: leave bsoflags direct "
			"out",
			sector_bytes, vol->store->align_bytes);
		return -EINVAL;
	}
	return 0;
}

/* For the header's cipher: keyd's record will say the same, or the volume is refused. */
static int choose_engine(struct volume *vol, char *why, size_t n)
{
	const char *name = vol->segment.cipher;
	const struct cipher *cipher = cipher_find(name);
	int rc = cipher ? crypt_engine_find(vol->opts.engine, cipher, &vol->engine) : -ENOTSUP;

	if (!cipher)
		(void)snprintf(why, n, "cipher %s is not known to this version", name);
	else if (rc == -ENOENT)
		(void)snprintf(why, n, "engine=%s: no such crypto engine", vol->opts.engine);
	else if (rc == -ENOTSUP)
		(void)snprintf(why, n, "engine=%s does not know %s: leave engine= out",
			vol->opts.engine, name);
	else if (rc)
		(void)snprintf(why, n,
			"crypto engine %s failed its self-test: no volume is opened with it",
			vol->opts.engine);
	return rc;
}

/*
 * A sector that was unmapped holds no ciphertext, and reads as zeros only where discard=on says so:
 * a volume that was once used with it is not opened without. The header remembers. Other openers, who
 * may not have it on, are kept out while that begins.
 */
static int check_discard(struct volume *vol, char *why, size_t n)
{
	bool used = luks_discards(vol->luks);

	if (vol->opts.discard ? vol->read_only : !used)
		return 0; /* of a read-only store nothing is unmapped */
	if (!vol->opts.discard)
		(void)snprintf(why, n,
			"was used with discard=on, and what was unmapped would not read as zeros "
			"without it: add discard=on");
	else if (!store_discards(vol->store))
		(void)snprintf(why, n,
			"its file system or device cannot give space back: leave discard=on out");
	else if (vol->opts.shared && !used)
		(void)snprintf(why, n,
			"discard=on has to begin without other openers: open it once without "
			"shared=on");
	else
		return 0;
	return -EINVAL;
}

/* Before the first command can unmap anything. */
static int remember_discard(struct volume *vol, char *why, size_t n)
{
	if (!vol->opts.discard || vol->read_only)
		return 0;
	pthread_mutex_lock(&vol->header_lock);
	int rc = note_discards(vol);
	pthread_mutex_unlock(&vol->header_lock);
	if (rc)
		(void)snprintf(why, n,
			"cannot note discard=on in the LUKS2 header (%s): leave it out",
			strerror(-rc));
	return rc;
}

static int volume_new(const char *path, const struct opts *opts, struct volume **volume)
{
	struct volume *vol = calloc(1, sizeof(*vol));
	pthread_rwlockattr_t attr;

	if (!vol)
		return -ENOMEM;
	vol->opts = *opts;
	vol->references = 1;
	vol->state = VOLUME_NOT_READY;
	/* A wipe goes before the cipher calls that arrive after it. */
	pthread_mutex_init(&vol->header_lock, NULL);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&vol->key_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	vol->path = strdup(path);
	if (!vol->path) {
		volume_close(vol);
		return -ENOMEM;
	}
	*volume = vol;
	return 0;
}

int volume_open(const char *path, const struct opts *opts, uint32_t block_bytes,
	struct volume_flags flags, struct volume **volume, char *why, size_t why_bytes)
{
	struct volume *vol = NULL;
	int rc;

	(void)snprintf(why, why_bytes, "out of memory");
	rc = volume_new(path, opts, &vol);
	if (rc)
		return rc;
	vol->watch = flags.watch;
	rc = open_store(vol, flags, why, why_bytes);
	if (!rc)
		rc = open_header(vol, block_bytes, why, why_bytes);
	if (!rc)
		rc = check_discard(vol, why, why_bytes);
	if (!rc)
		rc = choose_engine(vol, why, why_bytes);
	if (!rc)
		rc = keysession_join(vol, &vol->member, why, why_bytes);
	if (!rc)
		rc = remember_discard(vol, why, why_bytes);
	if (rc) {
		volume_close(vol);
		return rc;
	}
	*volume = vol;
	return 0;
}

struct volume *volume_get(struct volume *vol)
{
	atomic_fetch_add(&vol->references, 1);
	return vol;
}

void volume_put(struct volume *vol)
{
	if (!vol || atomic_fetch_sub(&vol->references, 1) != 1)
		return;
	luks_free(vol->luks);
	store_close(vol->store);
	pthread_rwlock_destroy(&vol->key_lock);
	pthread_mutex_destroy(&vol->header_lock);
	free(vol->path);
	free(vol);
}

void volume_close(struct volume *vol)
{
	if (!vol)
		return;
	keysession_leave(vol->member); /* wipes the key */
	vol->member = NULL;
	volume_put(vol);
}

/* Caller holds vol->key_lock. */
static int status_locked(const struct volume *vol)
{
	switch (vol->state) {
	case VOLUME_READY:
		return 0;
	case VOLUME_NOT_READY:
	case VOLUME_HEADER_DUE:
		return -EAGAIN;
	case VOLUME_NO_ACCESS:
	case VOLUME_DESTROYED:
		break;
	}
	return -EACCES;
}

int volume_status(struct volume *vol)
{
	pthread_rwlock_rdlock(&vol->key_lock);
	int rc = status_locked(vol);
	pthread_rwlock_unlock(&vol->key_lock);
	return rc;
}

typedef int crypt_fn(struct crypt_context *ctx, uint8_t *data, size_t len_bytes, uint64_t sector);

static int crypt_locked(
	struct volume *vol, crypt_fn *crypt, uint8_t *data, size_t len_bytes, uint64_t offset_bytes)
{
	int rc = 0;

	/* In steps, so that a wipe waits for one of them at most. */
	for (size_t done = 0, n; done < len_bytes && !rc; done += n) {
		n = len_bytes - done < LOCKED_BYTES_MAX ? len_bytes - done : LOCKED_BYTES_MAX;
		pthread_rwlock_rdlock(&vol->key_lock);
		rc = status_locked(vol);
		if (!rc)
			rc = crypt(vol->context, data + done, n,
				(offset_bytes + done) / SECTOR_UNIT_BYTES);
		pthread_rwlock_unlock(&vol->key_lock);
	}
	return rc;
}

int volume_encrypt(struct volume *vol, uint8_t *data, size_t len_bytes, uint64_t offset_bytes)
{
	return crypt_locked(vol, vol->opts.discard ? crypt_encrypt_sparse : crypt_encrypt, data,
		len_bytes, offset_bytes);
}

int volume_decrypt(struct volume *vol, uint8_t *data, size_t len_bytes, uint64_t offset_bytes)
{
	return crypt_locked(vol, vol->opts.discard ? crypt_decrypt_sparse : crypt_decrypt, data,
		len_bytes, offset_bytes);
}

static uint64_t store_offset(const struct volume *vol, uint64_t offset_bytes)
{
	return vol->segment.data_offset_bytes + offset_bytes;
}

int volume_read(struct volume *vol, void *data, size_t len_bytes, uint64_t offset_bytes)
{
	return store_read(vol->store, data, len_bytes, store_offset(vol, offset_bytes));
}

int volume_write(
	struct volume *vol, const void *data, size_t len_bytes, uint64_t offset_bytes, bool durable)
{
	return store_write(vol->store, data, len_bytes, store_offset(vol, offset_bytes), durable);
}

int volume_read_now(struct volume *vol, void *data, size_t len_bytes, uint64_t offset_bytes)
{
	return store_read_now(vol->store, data, len_bytes, store_offset(vol, offset_bytes));
}

bool volume_writes_now(struct volume *vol)
{
	return store_writes_now(vol->store);
}

int volume_write_now(struct volume *vol, const void *data, size_t len_bytes, uint64_t offset_bytes)
{
	return store_write_now(vol->store, data, len_bytes, store_offset(vol, offset_bytes));
}

int volume_flush(struct volume *vol)
{
	return store_flush(vol->store);
}

int volume_prefetch(struct volume *vol, uint64_t len_bytes, uint64_t offset_bytes)
{
	return store_prefetch(vol->store, len_bytes, store_offset(vol, offset_bytes));
}

int volume_discard(struct volume *vol, uint64_t len_bytes, uint64_t offset_bytes)
{
	return store_discard(vol->store, len_bytes, store_offset(vol, offset_bytes));
}

int volume_map(struct volume *vol, uint64_t offset_bytes, uint64_t *end_bytes, bool *hole)
{
	uint64_t end = UINT64_MAX;
	int rc = 0;

	*hole = false;
	if (vol->opts.discard)
		rc = store_map(vol->store, store_offset(vol, offset_bytes), &end, hole);
	end -= store_offset(vol, 0);
	*end_bytes = end < vol->size_bytes ? end : vol->size_bytes;
	return rc;
}

uint64_t volume_size_bytes(const struct volume *vol)
{
	return vol->size_bytes;
}

bool volume_grows(const struct volume *vol)
{
	return vol->recorded_bytes > vol->size_bytes;
}

int volume_grow(struct volume *vol, char *why, size_t why_bytes)
{
	uint64_t size_bytes = vol->recorded_bytes;

	int rc = store_measure(vol->store);
	if (rc)
		(void)snprintf(why, why_bytes, "cannot measure it: %s", strerror(-rc));
	else
		rc = check_store(vol, size_bytes, why, why_bytes);
	if (rc)
		return rc;
	vol->size_bytes = size_bytes;
	keysession_look(vol->member); /* keyd may wait for this */
	return 0;
}

uint32_t volume_sector_bytes(const struct volume *vol)
{
	return vol->segment.sector_bytes;
}

uint32_t volume_io_bytes(const struct volume *vol)
{
	return vol->store->io_bytes;
}

bool volume_read_only(const struct volume *vol)
{
	return vol->read_only;
}

bool volume_discards(const struct volume *vol)
{
	return vol->opts.discard;
}

uint32_t volume_discard_bytes(const struct volume *vol)
{
	return vol->store->discard_bytes;
}

bool volume_encrypts_fast(const struct volume *vol)
{
	return vol->engine->side_by_side;
}

uint64_t volume_header_bytes(const struct volume *vol)
{
	return vol->segment.data_offset_bytes;
}

struct keysession_member *volume_member(const struct volume *vol)
{
	return vol->member;
}

const char *volume_uuid(const struct volume *vol)
{
	return vol->segment.uuid;
}

const char *volume_level(const struct volume *vol)
{
	return vol->level;
}

const char *volume_path(const struct volume *vol)
{
	return vol->path;
}

const struct opts *volume_opts(const struct volume *vol)
{
	return &vol->opts;
}
