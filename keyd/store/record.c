/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "record.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

static const char magic[8] = {'T', 'G', 'T', 'K', 'E', 'Y', 'D', '\n'};

/* As on the medium; every field is a multiple of its alignment from the start, no padding. */
struct head {
	char magic[8];
	uint16_t version;
	uint8_t kind;
	uint8_t state;
	uint32_t key_bytes;
	uint64_t created_at;
	uint64_t changed_at;
	uint64_t data_offset_bytes;
	uint64_t size_bytes;
	uint32_t sector_bytes;
	uint32_t body_bytes;
	char level[PROTO_LEVEL_BYTES];
	char uuid[PROTO_UUID_BYTES];
	char cipher[PROTO_CIPHER_BYTES];
	char fingerprint[40];
};
_Static_assert(sizeof(struct head) == 232, "the file format has no padding");

size_t record_file_bytes_max(void)
{
	return sizeof(struct head) + RECORD_BODY_BYTES_MAX + WRAP_OVERHEAD_BYTES + CIPHER_KEY_MAX;
}

static void head_from(const struct record *rec, size_t body_bytes, size_t key_bytes, struct head *h)
{
	*h = (struct head){
		.version = htole16(RECORD_FORMAT_SALTED),
		.kind = (uint8_t)rec->kind,
		.state = (uint8_t)rec->state,
		.key_bytes = htole32((uint32_t)key_bytes),
		.created_at = htole64((uint64_t)rec->created_at),
		.changed_at = htole64((uint64_t)rec->changed_at),
		.data_offset_bytes = htole64(rec->data_offset_bytes),
		.size_bytes = htole64(rec->size_bytes),
		.sector_bytes = htole32(rec->sector_bytes),
		.body_bytes = htole32((uint32_t)body_bytes),
	};
	memcpy(h->magic, magic, sizeof(magic));
	memcpy(h->level, rec->level, sizeof(rec->level));
	memcpy(h->uuid, rec->uuid, sizeof(rec->uuid));
	memcpy(h->cipher, rec->cipher, sizeof(rec->cipher));
	memcpy(h->fingerprint, rec->fingerprint, sizeof(rec->fingerprint));
}

/* The reverse, after authentication: bounds were checked by whoever sealed it. */
static void head_to(const struct head *h, struct record *rec)
{
	rec->format = le16toh(h->version);
	rec->kind = h->kind;
	rec->state = h->state;
	rec->created_at = (int64_t)le64toh(h->created_at);
	rec->changed_at = (int64_t)le64toh(h->changed_at);
	rec->data_offset_bytes = le64toh(h->data_offset_bytes);
	rec->size_bytes = le64toh(h->size_bytes);
	rec->sector_bytes = le32toh(h->sector_bytes);
	memcpy(rec->level, h->level, sizeof(rec->level));
	memcpy(rec->uuid, h->uuid, sizeof(rec->uuid));
	memcpy(rec->cipher, h->cipher, sizeof(rec->cipher));
	memcpy(rec->fingerprint, h->fingerprint, sizeof(rec->fingerprint));
	/* Terminated by the sealer; once more, because a key's holder may be anybody with the key. */
	rec->level[sizeof(rec->level) - 1] = '\0';
	rec->uuid[sizeof(rec->uuid) - 1] = '\0';
	rec->cipher[sizeof(rec->cipher) - 1] = '\0';
	rec->fingerprint[sizeof(rec->fingerprint) - 1] = '\0';
}

int record_seal(const struct record *rec, const uint8_t wrapping_key[WRAP_KEY_BYTES],
	const uint8_t *key, size_t key_bytes, uint8_t **file, size_t *file_bytes)
{
	size_t body_bytes = rec->body ? strlen(rec->body) : 0;
	struct head h;

	if (body_bytes > RECORD_BODY_BYTES_MAX || key_bytes > CIPHER_KEY_MAX)
		return -EINVAL;
	size_t aad_bytes = sizeof(h) + body_bytes;
	size_t total = aad_bytes + key_bytes + WRAP_OVERHEAD_BYTES;
	uint8_t *buf = malloc(total);
	if (!buf)
		return -ENOMEM;
	head_from(rec, body_bytes, key_bytes, &h);
	memcpy(buf, &h, sizeof(h));
	if (body_bytes)
		memcpy(buf + sizeof(h), rec->body, body_bytes);
	int rc = wrap_seal(wrapping_key, buf, aad_bytes, key, key_bytes, buf + aad_bytes);
	if (rc) {
		free(buf);
		return rc;
	}
	*file = buf; /* caller owns it */
	*file_bytes = total;
	return 0;
}

static bool is_salted(const struct head *h)
{
	return le16toh(h->version) >= RECORD_FORMAT_SALTED;
}

/* Checks lengths, kind and version before anything is believed. */
static int head_check(const uint8_t *file, size_t file_bytes, enum record_kind kind,
	size_t key_bytes, struct head *h)
{
	if (file_bytes < sizeof(*h) || file_bytes > record_file_bytes_max())
		return -EBADMSG;
	memcpy(h, file, sizeof(*h));
	if (memcmp(h->magic, magic, sizeof(magic)))
		return -EBADMSG;
	unsigned version = le16toh(h->version);
	if (version < RECORD_FORMAT_FIRST || version > RECORD_FORMAT_SALTED)
		return -EPROTONOSUPPORT;
	if (h->kind != kind || le32toh(h->key_bytes) != key_bytes)
		return -EBADMSG;
	size_t body_bytes = le32toh(h->body_bytes);
	size_t overhead_bytes = is_salted(h) ? WRAP_OVERHEAD_BYTES : WRAP_OLD_OVERHEAD_BYTES;
	if (body_bytes > RECORD_BODY_BYTES_MAX ||
		file_bytes != sizeof(*h) + body_bytes + key_bytes + overhead_bytes)
		return -EBADMSG;
	return 0;
}

int record_open(const uint8_t *file, size_t file_bytes, enum record_kind kind,
	const uint8_t wrapping_key[WRAP_KEY_BYTES], struct record *rec, uint8_t *key,
	size_t key_bytes)
{
	struct head h;

	*rec = (struct record){0};
	int rc = head_check(file, file_bytes, kind, key_bytes, &h);
	if (rc)
		return rc;
	size_t body_bytes = le32toh(h.body_bytes);
	size_t aad_bytes = sizeof(h) + body_bytes;
	rc = (is_salted(&h) ? wrap_open : wrap_open_old)(
		wrapping_key, file, aad_bytes, file + aad_bytes, file_bytes - aad_bytes, key);
	if (rc)
		return rc;
	if (body_bytes) {
		rec->body = strndup((const char *)file + sizeof(h), body_bytes);
		if (!rec->body) {
			secret_wipe(key, key_bytes);
			return -ENOMEM;
		}
	}
	head_to(&h, rec);
	return 0;
}

int record_peek_kind(const uint8_t start[RECORD_PEEK_BYTES], enum record_kind *kind)
{
	if (memcmp(start, magic, sizeof(magic)))
		return -EBADMSG;
	*kind = start[offsetof(struct head, kind)];
	return 0;
}

int record_reseal(const uint8_t *file, size_t file_bytes, const uint8_t from[WRAP_KEY_BYTES],
	const uint8_t to[WRAP_KEY_BYTES], const char *body, const struct record_rekey *rekey,
	uint8_t **out, size_t *out_bytes)
{
	struct record rec = {0};
	struct head h;

	if (file_bytes < sizeof(h))
		return -EBADMSG;
	memcpy(&h, file, sizeof(h));
	size_t key_bytes = le32toh(h.key_bytes);
	if (key_bytes > CIPHER_KEY_MAX)
		return -EBADMSG;
	uint8_t *key = secret_alloc(CIPHER_KEY_MAX);
	if (!key)
		return -errno;
	int rc = record_open(file, file_bytes, h.kind, from, &rec, key, key_bytes);
	if (!rc && body && h.kind == RECORD_LEVEL_KEY && !rec.body) {
		rec.body = strdup(body); /* the record owns it */
		rc = rec.body ? 0 : -ENOMEM;
	}
	if (!rc && rekey)
		rc = rekey->rekey(rekey->arg, &rec, key, &key_bytes);
	if (!rc)
		rc = record_seal(&rec, to, key, key_bytes, out, out_bytes);
	record_clear(&rec);
	secret_free(key);
	return rc;
}

void record_clear(struct record *rec)
{
	free(rec->body);
	*rec = (struct record){0};
}
