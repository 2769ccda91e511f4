/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum field_kind {
	FIELD_U32,
	FIELD_U64,
	FIELD_STRING, /* NUL-terminated, NUL to the end of the field */
	FIELD_BYTES,  /* as many as an earlier u32 says, zeros to the end of the field */
};

struct field {
	enum field_kind kind;
	size_t at;       /* in struct proto_msg */
	size_t bytes;    /* on the wire and in struct proto_msg */
	size_t count_at; /* of FIELD_BYTES: its u32 in struct proto_msg */
};

/* What crosses in the page: its place in struct proto_msg, and how long it may be. */
struct secret_field {
	size_t at;
	size_t bytes_max;
	size_t count_at; /* of its two u32, which are fields */
	size_t place_at;
};

struct message {
	uint16_t type;
	const char *name;
	const struct field *fields; /* in wire order */
	size_t field_count;
	const struct secret_field *secret; /* NULL: none */
};

#define SIZE_OF(member) sizeof(((struct proto_msg *)0)->member)
#define U32(member)                                                                                \
	{                                                                                          \
		FIELD_U32, offsetof(struct proto_msg, member), SIZE_OF(member), 0                  \
	}
#define U64(member)                                                                                \
	{                                                                                          \
		FIELD_U64, offsetof(struct proto_msg, member), SIZE_OF(member), 0                  \
	}
#define STRING(member)                                                                             \
	{                                                                                          \
		FIELD_STRING, offsetof(struct proto_msg, member), SIZE_OF(member), 0               \
	}
#define BYTES(member, count)                                                                       \
	{                                                                                          \
		FIELD_BYTES, offsetof(struct proto_msg, member), SIZE_OF(member),                  \
			offsetof(struct proto_msg, count)                                          \
	}

#define SECRET(member, count, place)                                                               \
	{                                                                                          \
		offsetof(struct proto_msg, member), SIZE_OF(member),                               \
			offsetof(struct proto_msg, count), offsetof(struct proto_msg, place)       \
	}

static const struct field hello[] = {STRING(hello.program)};
static const struct field reply[] = {U32(reply.status), STRING(reply.message)};
static const struct field attach[] = {
	STRING(attach.uuid), STRING(attach.level), STRING(attach.path), U32(attach.key_at)};
static const struct field attach_reply[] = {
	U32(attach_reply.status),
	U32(attach_reply.sector_bytes),
	U64(attach_reply.data_offset_bytes),
	U64(attach_reply.size_bytes),
	STRING(attach_reply.uuid),
	STRING(attach_reply.level),
	STRING(attach_reply.cipher),
	STRING(attach_reply.message),
	U32(attach_reply.key_bytes),
	U32(attach_reply.key_at),
};
static const struct secret_field attach_reply_secret =
	SECRET(attach_reply.key, attach_reply.key_bytes, attach_reply.key_at);
static const struct field volume[] = {STRING(volume.uuid)};
static const struct field revoke[] = {
	U32(revoke.reason), STRING(revoke.level), STRING(revoke.uuid)};
static const struct field revoke_ack[] = {U32(revoke_ack.wiped)};
static const struct field sanitize[] = {STRING(sanitize.uuid), STRING(sanitize.initiator)};
static const struct field header[] = {
	U64(header.header_bytes), U32(header.number), STRING(header.uuid)};
static const struct field header_written[] = {
	U32(header_written.number), STRING(header_written.uuid)};
static const struct field store[] = {U64(store.store_bytes), STRING(store.uuid)};
static const struct field init[] = {STRING(init.custody)};
static const struct field init_passphrase[] = {
	STRING(init_passphrase.custody),
	U32(init_passphrase.passphrase.len_bytes),
	U32(init_passphrase.passphrase.at),
};
static const struct secret_field init_passphrase_secret = SECRET(init_passphrase.passphrase.bytes,
	init_passphrase.passphrase.len_bytes, init_passphrase.passphrase.at);
static const struct field progress[] = {U32(progress.done), U32(progress.total)};
static const struct field unlock[] = {
	U32(unlock.passphrase.len_bytes),
	U32(unlock.passphrase.at),
};
static const struct secret_field unlock_secret =
	SECRET(unlock.passphrase.bytes, unlock.passphrase.len_bytes, unlock.passphrase.at);
static const struct field level[] = {STRING(level.level)};
static const struct field volume_create[] = {
	U64(volume_create.size_bytes),
	U32(volume_create.sector_bytes),
	STRING(volume_create.level),
	STRING(volume_create.cipher),
	STRING(volume_create.path),
};
static const struct field volume_id[] = {STRING(volume_id.id)};
static const struct field volume_resize[] = {
	U64(volume_resize.size_bytes),
	U32(volume_resize.commit),
	STRING(volume_resize.id),
};
static const struct field volume_relocate[] = {
	STRING(volume_relocate.uuid), STRING(volume_relocate.path)};
static const struct field certificate[] = {STRING(certificate.name)};
static const struct field audit_head[] = {U64(audit_head.seq), STRING(audit_head.hash)};
static const struct field emergency[] = {STRING(emergency.level), STRING(emergency.id)};
static const struct field request[] = {STRING(request.id)};
static const struct field volume_header[] = {
	U64(volume_header.header_bytes), STRING(volume_header.uuid)};
static const struct field text[] = {U32(text.len), BYTES(text.bytes, text.len)};
static const struct field export[] = {
	STRING(export.level),
	U32(export.threshold),
	U32(export.shares),
	U32(export.passphrase.len_bytes),
	U32(export.passphrase.at),
};
static const struct secret_field export_secret =
	SECRET(export.passphrase.bytes, export.passphrase.len_bytes, export.passphrase.at);
static const struct field import[] = {
	STRING(import.level),
	U32(import.force),
	U32(import.passphrase.len_bytes),
	U32(import.passphrase.at),
};
static const struct secret_field import_secret =
	SECRET(import.passphrase.bytes, import.passphrase.len_bytes, import.passphrase.at);
static const struct field export_id[] = {STRING(export_id.id)};
static const struct field exported[] = {U64(exported.file_bytes), STRING(exported.id)};
static const struct field upload[] = {
	U32(upload.total_bytes),
	U32(upload.offset_bytes),
	U32(upload.len),
	U32(upload.at),
};
static const struct secret_field upload_secret = SECRET(upload.bytes, upload.len, upload.at);
static const struct field key[] = {U32(key.key_bytes), U32(key.key_at)};
static const struct secret_field key_secret = SECRET(key.key, key.key_bytes, key.key_at);

#define MESSAGE(type, fields)                                                                      \
	{                                                                                          \
		PROTO_##type, #type, fields, sizeof(fields) / sizeof((fields)[0]), NULL            \
	}
#define MESSAGE_SECRET(type, fields)                                                               \
	{                                                                                          \
		PROTO_##type, #type, fields, sizeof(fields) / sizeof((fields)[0]),                 \
			&fields##_secret                                                           \
	}
#define MESSAGE_BARE(type)                                                                         \
	{                                                                                          \
		PROTO_##type, #type, NULL, 0, NULL                                                 \
	}

static const struct message messages[] = {
	MESSAGE(HELLO, hello),
	MESSAGE(HELLO_REPLY, reply),
	MESSAGE(ATTACH, attach),
	MESSAGE_SECRET(ATTACH_REPLY, attach_reply),
	MESSAGE(DETACH, volume),
	MESSAGE(REVOKE, revoke),
	MESSAGE(REVOKE_ACK, revoke_ack),
	MESSAGE(RESTORE, revoke),
	MESSAGE_BARE(PING),
	MESSAGE_BARE(PONG),
	MESSAGE_BARE(RESTORE_ACK),
	MESSAGE_BARE(SCRUB),
	MESSAGE_BARE(GROWS),
	MESSAGE(SANITIZE, sanitize),
	MESSAGE(SANITIZE_REPLY, reply),
	MESSAGE(HEADER, header),
	MESSAGE(HEADER_WRITTEN, header_written),
	MESSAGE(STORE, store),
	MESSAGE(INIT, init),
	MESSAGE_BARE(STATUS),
	MESSAGE(LEVEL_CREATE, level),
	MESSAGE_BARE(LEVEL_LIST),
	MESSAGE(LEVEL_SHOW, level),
	MESSAGE(LEVEL_SUSPEND, level),
	MESSAGE(LEVEL_RESUME, level),
	MESSAGE(LEVEL_DESTROY, level),
	MESSAGE(VOLUME_CREATE, volume_create),
	MESSAGE_BARE(VOLUME_COMMIT),
	MESSAGE(VOLUME_LIST, level),
	MESSAGE(VOLUME_SHOW, volume_id),
	MESSAGE(VOLUME_KEY, volume_id),
	MESSAGE(VOLUME_DESTROY, volume_id),
	MESSAGE_BARE(AUDIT),
	MESSAGE_BARE(AUDIT_VERIFY),
	MESSAGE_SECRET(UNLOCK, unlock),
	MESSAGE_SECRET(INIT_PASSPHRASE, init_passphrase),
	MESSAGE(CERTIFICATE, certificate),
	MESSAGE(AUDIT_VERIFY_HEAD, audit_head),
	MESSAGE_SECRET(CUSTODY_CHANGE, init_passphrase),
	MESSAGE(DESTROY_EMERGENCY, emergency),
	MESSAGE_BARE(REQUEST_LIST),
	MESSAGE(REQUEST_APPROVE, request),
	MESSAGE(REQUEST_CANCEL, request),
	MESSAGE_BARE(ZEROIZE),
	MESSAGE_SECRET(EXPORT, export),
	MESSAGE_SECRET(IMPORT, import),
	MESSAGE_BARE(LEDGER),
	MESSAGE(VOUCH, export_id),
	MESSAGE(VOLUME_RESIZE, volume_resize),
	MESSAGE(VOLUME_RELOCATE, volume_relocate),
	MESSAGE(REPLY, reply),
	MESSAGE(TEXT, text),
	MESSAGE(VOLUME_HEADER, volume_header),
	MESSAGE_SECRET(KEY, key),
	MESSAGE(PROGRESS, progress),
	MESSAGE_BARE(PAGE),
	MESSAGE(EXPORTED, exported),
	MESSAGE_SECRET(UPLOAD, upload),
};

static const char *const status_names[] = {
	[PROTO_OK] = "ok",
	[PROTO_DENIED] = "denied",
	[PROTO_NOT_FOUND] = "not found",
	[PROTO_EXISTS] = "exists",
	[PROTO_INVALID] = "invalid",
	[PROTO_UNINITIALIZED] = "uninitialized",
	[PROTO_SUSPENDED] = "suspended",
	[PROTO_DESTROYED] = "destroyed",
	[PROTO_MISMATCH] = "mismatch",
	[PROTO_DAMAGED] = "damaged",
	[PROTO_BUSY] = "busy",
	[PROTO_FAILED] = "failed",
	[PROTO_UNPROVEN] = "unproven",
	[PROTO_LOCKED] = "locked",
	[PROTO_UNAPPROVED] = "unapproved",
};

static const struct message *find_message(uint16_t type)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (messages[i].type == type)
			return &messages[i];
	}
	return NULL;
}

static size_t message_wire_bytes(const struct message *m)
{
	size_t bytes = PROTO_HEADER_BYTES;

	for (size_t i = 0; i < m->field_count; i++)
		bytes += m->fields[i].bytes;
	return bytes;
}

size_t proto_wire_bytes(uint16_t type)
{
	const struct message *m = find_message(type);
	return m ? message_wire_bytes(m) : 0;
}

const char *proto_type_name(uint16_t type)
{
	const struct message *m = find_message(type);
	return m ? m->name : "unknown";
}

const char *proto_status_name(uint32_t status)
{
	return status < sizeof(status_names) / sizeof(status_names[0]) ? status_names[status]
								       : "unknown";
}

static void put_u16(uint8_t *to, uint16_t value)
{
	value = htole16(value);
	memcpy(to, &value, sizeof(value));
}

static void put_u32(uint8_t *to, uint32_t value)
{
	value = htole32(value);
	memcpy(to, &value, sizeof(value));
}

static uint16_t get_u16(const uint8_t *from)
{
	uint16_t value;
	memcpy(&value, from, sizeof(value));
	return le16toh(value);
}

static uint32_t get_u32(const uint8_t *from)
{
	uint32_t value;
	memcpy(&value, from, sizeof(value));
	return le32toh(value);
}

static bool all_zero(const uint8_t *from, size_t bytes)
{
	uint8_t seen = 0;

	for (size_t i = 0; i < bytes; i++)
		seen |= from[i];
	return !seen;
}

/* How much of a string or bytes field of msg counts, its NUL left out; > the field if malformed. */
static size_t used_bytes(const struct proto_msg *msg, const struct field *f, const void *content)
{
	uint32_t count;

	if (f->kind == FIELD_STRING) {
		size_t len = strnlen(content, f->bytes);
		return len < f->bytes ? len : f->bytes + 1;
	}
	memcpy(&count, (const uint8_t *)msg + f->count_at, sizeof(count));
	return count;
}

static int encode_field(const struct proto_msg *msg, const struct field *f, uint8_t *to)
{
	const uint8_t *from = (const uint8_t *)msg + f->at;
	uint32_t v32;
	uint64_t v64;
	size_t used;

	switch (f->kind) {
	case FIELD_U32:
		memcpy(&v32, from, sizeof(v32));
		put_u32(to, v32);
		return 0;
	case FIELD_U64:
		memcpy(&v64, from, sizeof(v64));
		v64 = htole64(v64);
		memcpy(to, &v64, sizeof(v64));
		return 0;
	case FIELD_STRING:
	case FIELD_BYTES:
		used = used_bytes(msg, f, from);
		if (used > f->bytes)
			return -EINVAL;
		memcpy(to, from, used);
		memset(to + used, 0, f->bytes - used);
		return 0;
	}
	return -EINVAL;
}

static int decode_field(const uint8_t *from, const struct field *f, struct proto_msg *msg)
{
	uint8_t *to = (uint8_t *)msg + f->at;
	uint32_t v32;
	uint64_t v64;
	size_t used;

	switch (f->kind) {
	case FIELD_U32:
		v32 = get_u32(from);
		memcpy(to, &v32, sizeof(v32));
		return 0;
	case FIELD_U64:
		memcpy(&v64, from, sizeof(v64));
		v64 = le64toh(v64);
		memcpy(to, &v64, sizeof(v64));
		return 0;
	case FIELD_STRING:
	case FIELD_BYTES:
		used = used_bytes(msg, f, from);
		if (used > f->bytes || !all_zero(from + used, f->bytes - used))
			return -EBADMSG;
		memcpy(to, from, used);
		return 0;
	}
	return -EBADMSG;
}

static struct proto_secret secret_of(const struct message *m, struct proto_msg *msg)
{
	struct proto_secret secret = {.bytes = NULL};

	if (m && m->secret) {
		secret.bytes = (uint8_t *)msg + m->secret->at;
		memcpy(&secret.len_bytes, (uint8_t *)msg + m->secret->count_at, sizeof(uint32_t));
		memcpy(&secret.at, (uint8_t *)msg + m->secret->place_at, sizeof(uint32_t));
	}
	return secret;
}

/* It is in its field, and in the page; what is empty has no place. */
static bool secret_fits(const struct message *m, const struct proto_msg *msg)
{
	if (!m->secret)
		return true;
	const struct proto_secret secret = secret_of(m, (struct proto_msg *)(uintptr_t)msg);
	if (!secret.len_bytes)
		return !secret.at;
	return secret.len_bytes <= m->secret->bytes_max &&
	       secret.at <= PAGE_BYTES - secret.len_bytes;
}

struct proto_secret proto_secret_of(struct proto_msg *msg)
{
	return secret_of(find_message(msg->type), msg);
}

ssize_t proto_encode(const struct proto_msg *msg, uint8_t *wire, size_t cap)
{
	const struct message *m = find_message(msg->type);
	if (!m)
		return -EINVAL;
	size_t len = message_wire_bytes(m);
	if (len > cap)
		return -EMSGSIZE;
	if (!secret_fits(m, msg))
		return -EINVAL;

	put_u32(wire, PROTO_MAGIC);
	put_u16(wire + 4, PROTO_VERSION);
	put_u16(wire + 6, msg->type);
	put_u32(wire + 8, (uint32_t)len);
	put_u32(wire + 12, msg->serial);
	uint8_t *to = wire + PROTO_HEADER_BYTES;
	for (size_t i = 0; i < m->field_count; i++) {
		int err = encode_field(msg, &m->fields[i], to);
		if (err)
			return err;
		to += m->fields[i].bytes;
	}
	return (ssize_t)len;
}

/* Finds the type's row if the header and the record's length agree with it. */
static int decode_header(const uint8_t *wire, size_t len, const struct message **m)
{
	if (len < PROTO_HEADER_BYTES || get_u32(wire) != PROTO_MAGIC)
		return -EBADMSG;
	if (get_u16(wire + 4) != PROTO_VERSION)
		return -EPROTONOSUPPORT;
	*m = find_message(get_u16(wire + 6));
	if (!*m || len != message_wire_bytes(*m) || len != get_u32(wire + 8))
		return -EBADMSG;
	return 0;
}

int proto_decode(const uint8_t *wire, size_t len, struct proto_msg *msg)
{
	const struct message *m = NULL;

	memset(msg, 0, sizeof(*msg));
	int err = decode_header(wire, len, &m);
	if (err)
		return err;
	const uint8_t *from = wire + PROTO_HEADER_BYTES;
	for (size_t i = 0; i < m->field_count && !err; i++) {
		err = decode_field(from, &m->fields[i], msg);
		from += m->fields[i].bytes;
	}
	if (!err && !secret_fits(m, msg))
		err = -EBADMSG;
	if (err) {
		memset(msg, 0, sizeof(*msg));
		return err;
	}
	msg->type = m->type;
	msg->serial = get_u32(wire + 12);
	return 0;
}

uint16_t proto_version_of(const uint8_t *wire)
{
	return get_u16(wire + 4);
}

void proto_set_version(uint8_t *wire, uint16_t version)
{
	put_u16(wire + 4, version);
}
