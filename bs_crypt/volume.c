/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* An open volume's data calls, and what it says of itself. */
#include <errno.h>

#include "volume_private.h"

enum {
	SECTOR_UNIT_BYTES = 512,        /* what crypt.h's sector numbers count */
	LOCKED_BYTES_MAX = 1024 * 1024, /* en- or decrypted under the key lock at a time */
};

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
