/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What keyd's answers make of a volume: record, key, header, size. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "keysession.h"
#include "volume_private.h"

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
		(void)volume_key_wipe(vol, rc && rc != -ENOMEM && rc != -ESTALE && rc != -ENOSPC
						   ? VOLUME_NO_ACCESS
						   : VOLUME_NOT_READY);
	return rc;
}

void volume_header_written(struct volume *vol)
{
	pthread_rwlock_wrlock(&vol->key_lock);
	if (vol->state == VOLUME_HEADER_DUE)
		vol->state = VOLUME_READY;
	pthread_rwlock_unlock(&vol->key_lock);
}

/* keyd's header does not know of discard=on. */
int volume_header_write(struct volume *vol, int header_fd)
{
	pthread_mutex_lock(&vol->header_lock);
	int rc = luks_write(vol->store, header_fd, vol->segment.data_offset_bytes);
	if (!rc && vol->opts.discard)
		rc = volume_note_discards(vol);
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

uint64_t volume_store_bytes(const struct volume *vol)
{
	return vol->known ? vol->segment.data_offset_bytes + vol->size_bytes
			  : vol->store->size_bytes;
}

bool volume_has_grown(struct volume *vol)
{
	return atomic_exchange(&vol->grown, false);
}

bool volume_grows(const struct volume *vol)
{
	return vol->recorded_bytes > vol->size_bytes;
}

int volume_grow(struct volume *vol, char *why, size_t why_bytes)
{
	int rc = store_measure(vol->store);
	uint64_t size_bytes =
		vol->recorded_bytes; /* measuring may take long, and it may be taken back */
	if (!rc && size_bytes <= vol->size_bytes)
		return 0;
	if (rc)
		(void)snprintf(why, why_bytes, "cannot measure it: %s", strerror(-rc));
	else
		rc = check_store(vol, size_bytes, why, why_bytes);
	if (rc)
		return rc;
	if (atomic_exchange(&vol->size_bytes, size_bytes) != size_bytes)
		atomic_store(&vol->grown, true);
	keysession_look(vol->member); /* keyd may wait for this */
	return 0;
}
