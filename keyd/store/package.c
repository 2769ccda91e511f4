/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "package.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "export_kind.h"
#include "text.h"

static const char magic[EXPORT_MAGIC_BYTES] = EXPORT_MAGIC_OPEN "1";

/* As in the file; every field is a multiple of its alignment from the start, no padding. */
struct head {
	char magic[EXPORT_MAGIC_BYTES];
	char id[LEDGER_ID_BYTES];
	char host[PACKAGE_HOST_BYTES];
	uint64_t made_at;
	uint32_t levels;
	uint32_t len_bytes; /* of all, digest included */
};
_Static_assert(sizeof(struct head) == 120, "the file format has no padding");

struct level_entry {
	char name[PROTO_LEVEL_BYTES];
	char fingerprint[40];
	uint64_t created_at;
	uint32_t state;
	uint32_t volumes;
	uint8_t key[WRAP_KEY_BYTES];
};
_Static_assert(sizeof(struct level_entry) == 152, "the file format has no padding");

struct volume_entry { /* the path follows, without a NUL */
	char uuid[PROTO_UUID_BYTES];
	char cipher[PROTO_CIPHER_BYTES];
	char fingerprint[40];
	uint64_t created_at;
	uint64_t data_offset_bytes;
	uint64_t size_bytes;
	uint32_t sector_bytes;
	uint32_t path_bytes;
	uint8_t key[CIPHER_KEY_MAX]; /* zeros after the key */
};
_Static_assert(sizeof(struct volume_entry) == 208, "the file format has no padding");

static const uint64_t size_bytes_max = (uint64_t)1 << 62;

size_t package_bytes(size_t levels, size_t volumes, size_t path_bytes)
{
	return sizeof(struct head) + levels * sizeof(struct level_entry) +
	       volumes * sizeof(struct volume_entry) + path_bytes + SHA256_DIGEST_LENGTH;
}

/* The next len_bytes of the writer's memory, zeroed as secret memory is; NULL: it is full. */
static void *take(struct package_writer *w, size_t len_bytes)
{
	if (len_bytes > w->cap_bytes - w->used_bytes)
		return NULL;
	void *taken = w->bytes + w->used_bytes;
	w->used_bytes += len_bytes;
	return taken;
}

/* Entries are not aligned: a path may have any length. They are put in place field by field. */
#define PUT(to, type, member, from, bytes)                                                         \
	memcpy((uint8_t *)(to) + offsetof(struct type, member), from, bytes)

static void put_u32(uint8_t *to, size_t at, uint32_t value)
{
	value = htole32(value);
	memcpy(to + at, &value, sizeof(value));
}

static void put_u64(uint8_t *to, size_t at, uint64_t value)
{
	value = htole64(value);
	memcpy(to + at, &value, sizeof(value));
}

int package_begin(struct package_writer *w, const struct package_head *head)
{
	uint8_t *to = take(w, sizeof(struct head));
	if (!to)
		return -ENOSPC;
	PUT(to, head, magic, magic, sizeof(magic));
	PUT(to, head, id, head->id, sizeof(head->id));
	PUT(to, head, host, head->host, sizeof(head->host));
	put_u64(to, offsetof(struct head, made_at), (uint64_t)head->made_at);
	put_u32(to, offsetof(struct head, levels), head->levels);
	return 0;
}

int package_add_level(struct package_writer *w, const struct package_level *level)
{
	uint8_t *to = take(w, sizeof(struct level_entry));
	if (!to)
		return -ENOSPC;
	PUT(to, level_entry, name, level->name, sizeof(level->name));
	PUT(to, level_entry, fingerprint, level->fingerprint, sizeof(level->fingerprint));
	PUT(to, level_entry, key, level->key, WRAP_KEY_BYTES);
	put_u64(to, offsetof(struct level_entry, created_at), (uint64_t)level->created_at);
	put_u32(to, offsetof(struct level_entry, state), level->state);
	put_u32(to, offsetof(struct level_entry, volumes), level->volumes);
	return 0;
}

int package_add_volume(struct package_writer *w, const struct package_volume *volume)
{
	size_t path_bytes = strlen(volume->path);

	if (path_bytes >= PROTO_PATH_BYTES)
		return -ENAMETOOLONG;
	uint8_t *to = take(w, sizeof(struct volume_entry) + path_bytes);
	if (!to)
		return -ENOSPC;
	PUT(to, volume_entry, uuid, volume->uuid, sizeof(volume->uuid));
	PUT(to, volume_entry, cipher, volume->cipher->name, strlen(volume->cipher->name));
	PUT(to, volume_entry, fingerprint, volume->fingerprint, sizeof(volume->fingerprint));
	PUT(to, volume_entry, key, volume->key, volume->cipher->key_bytes);
	put_u64(to, offsetof(struct volume_entry, created_at), (uint64_t)volume->created_at);
	put_u64(to, offsetof(struct volume_entry, data_offset_bytes), volume->data_offset_bytes);
	put_u64(to, offsetof(struct volume_entry, size_bytes), volume->size_bytes);
	put_u32(to, offsetof(struct volume_entry, sector_bytes), volume->sector_bytes);
	put_u32(to, offsetof(struct volume_entry, path_bytes), (uint32_t)path_bytes);
	memcpy(to + sizeof(struct volume_entry), volume->path, path_bytes);
	return 0;
}

int package_end(struct package_writer *w)
{
	size_t covered_bytes = w->used_bytes;
	uint8_t *digest = take(w, SHA256_DIGEST_LENGTH);
	if (!digest)
		return -ENOSPC;
	put_u32(w->bytes, offsetof(struct head, len_bytes), (uint32_t)w->used_bytes);
	return SHA256(w->bytes, covered_bytes, digest) ? 0 : -EIO;
}

/* Text, a NUL, and nothing but NULs after it. */
static bool is_string(const char *field, size_t bytes)
{
	size_t len = strnlen(field, bytes);

	for (size_t i = len; i < bytes; i++) {
		if (field[i])
			return false;
	}
	return len < bytes;
}

static int check_fingerprint(const uint8_t *key, size_t key_bytes, const char *claimed)
{
	char actual[FINGERPRINT_BYTES];

	int rc = wrap_fingerprint(key, key_bytes, actual);
	return rc ? rc : strcmp(actual, claimed) ? -EBADMSG : 0;
}

int package_open(
	struct package_reader *r, const uint8_t *bytes, size_t len_bytes, struct package_head *head)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct head h;

	*r = (struct package_reader){0};
	if (export_kind_of(bytes, len_bytes) != EXPORT_OPEN)
		return -EBADMSG;
	if (memcmp(bytes, magic, sizeof(magic)))
		return -EPROTONOSUPPORT;
	if (len_bytes < sizeof(h) + sizeof(digest) || len_bytes > PACKAGE_BYTES_MAX)
		return -EBADMSG;
	memcpy(&h, bytes, sizeof(h)); /* no key in it */
	size_t covered_bytes = len_bytes - sizeof(digest);
	if (le32toh(h.len_bytes) != len_bytes || !is_string(h.id, sizeof(h.id)) ||
		!is_string(h.host, sizeof(h.host)))
		return -EBADMSG;
	if (!SHA256(bytes, covered_bytes, digest))
		return -EIO;
	if (CRYPTO_memcmp(digest, bytes + covered_bytes, sizeof(digest)))
		return -EBADMSG;
	*head = (struct package_head){
		.made_at = (int64_t)le64toh(h.made_at),
		.levels = le32toh(h.levels),
	};
	text_sanitize(head->id, sizeof(head->id), h.id);
	text_sanitize(head->host, sizeof(head->host), h.host);
	r->at = bytes + sizeof(h);
	r->end = bytes + covered_bytes;
	r->levels_left = head->levels;
	return 0;
}

static int skip_volumes(struct package_reader *r)
{
	struct package_volume volume;
	int rc = 0;

	while (!rc)
		rc = package_next_volume(r, &volume);
	return rc == -ENODATA ? 0 : rc;
}

int package_next_level(struct package_reader *r, struct package_level *level)
{
	struct level_entry e;

	int rc = skip_volumes(r);
	if (rc)
		return rc;
	if (!r->levels_left)
		return r->at == r->end ? -ENODATA : -EBADMSG;
	if ((size_t)(r->end - r->at) < sizeof(e))
		return -EBADMSG;
	memcpy(&e, r->at, offsetof(struct level_entry, key)); /* the key stays where it is */
	*level = (struct package_level){
		.state = le32toh(e.state),
		.created_at = (int64_t)le64toh(e.created_at),
		.volumes = le32toh(e.volumes),
		.key = r->at + offsetof(struct level_entry, key),
	};
	if (!is_string(e.name, sizeof(e.name)) || !text_is_level_name(e.name) ||
		!is_string(e.fingerprint, sizeof(e.fingerprint)) ||
		text_copy(level->fingerprint, sizeof(level->fingerprint), e.fingerprint) ||
		(level->state != RECORD_ACTIVE && level->state != RECORD_SUSPENDED))
		return -EBADMSG;
	memcpy(level->name, e.name, sizeof(level->name));
	r->at += sizeof(e);
	r->levels_left--;
	r->volumes_left = level->volumes;
	return 0;
}

/* Everything that a volume in the store fulfils. */
static bool is_sound(const struct package_volume *volume)
{
	return text_is_uuid(volume->uuid) && text_is_recorded_path(volume->path) &&
	       volume->cipher && cipher_sector_size_ok(volume->sector_bytes) &&
	       volume->size_bytes && volume->size_bytes <= size_bytes_max &&
	       volume->size_bytes % volume->sector_bytes == 0 &&
	       volume->data_offset_bytes <= size_bytes_max &&
	       volume->data_offset_bytes % volume->sector_bytes == 0;
}

/* All but the key; false when it is not well-formed. */
static bool fill_volume(
	const struct volume_entry *e, const uint8_t *path, struct package_volume *volume)
{
	size_t path_bytes = le32toh(e->path_bytes);

	*volume = (struct package_volume){
		.sector_bytes = le32toh(e->sector_bytes),
		.data_offset_bytes = le64toh(e->data_offset_bytes),
		.size_bytes = le64toh(e->size_bytes),
		.created_at = (int64_t)le64toh(e->created_at),
	};
	if (!is_string(e->uuid, sizeof(e->uuid)) || !is_string(e->cipher, sizeof(e->cipher)) ||
		!is_string(e->fingerprint, sizeof(e->fingerprint)) ||
		text_copy(volume->fingerprint, sizeof(volume->fingerprint), e->fingerprint) ||
		memchr(path, '\0', path_bytes))
		return false;
	memcpy(volume->uuid, e->uuid, sizeof(volume->uuid));
	memcpy(volume->path, path, path_bytes);
	volume->cipher = cipher_find(e->cipher);
	return is_sound(volume);
}

static bool all_zero(const uint8_t *bytes, size_t len_bytes)
{
	uint8_t seen = 0;

	for (size_t i = 0; i < len_bytes; i++)
		seen |= bytes[i];
	return !seen;
}

int package_next_volume(struct package_reader *r, struct package_volume *volume)
{
	struct volume_entry e;

	if (!r->volumes_left)
		return -ENODATA;
	if ((size_t)(r->end - r->at) < sizeof(e))
		return -EBADMSG;
	memcpy(&e, r->at, offsetof(struct volume_entry, key)); /* the key stays where it is */
	size_t path_bytes = le32toh(e.path_bytes);
	if (path_bytes >= PROTO_PATH_BYTES || path_bytes > (size_t)(r->end - r->at) - sizeof(e))
		return -EBADMSG;
	if (!fill_volume(&e, r->at + sizeof(e), volume))
		return -EBADMSG;
	size_t key_bytes = volume->cipher->key_bytes;
	volume->key = r->at + offsetof(struct volume_entry, key);
	if (!all_zero(volume->key + key_bytes, CIPHER_KEY_MAX - key_bytes))
		return -EBADMSG;
	r->at += sizeof(e) + path_bytes;
	r->volumes_left--;
	return 0;
}

static int check_volumes(struct package_reader *r)
{
	struct package_volume volume;
	int rc;

	while (!(rc = package_next_volume(r, &volume)) &&
		!(rc = check_fingerprint(volume.key, volume.cipher->key_bytes, volume.fingerprint)))
		;
	return rc == -ENODATA ? 0 : rc;
}

int package_check(const uint8_t *bytes, size_t len_bytes)
{
	struct package_reader r;
	struct package_head head;
	struct package_level level;

	int rc = package_open(&r, bytes, len_bytes, &head);
	while (!rc) {
		rc = package_next_level(&r, &level);
		if (!rc)
			rc = check_fingerprint(level.key, WRAP_KEY_BYTES, level.fingerprint);
		if (!rc)
			rc = check_volumes(&r);
	}
	return rc == -ENODATA ? 0 : rc;
}
