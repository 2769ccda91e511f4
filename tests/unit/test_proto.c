/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The codec of keyd's messages against the layout written down here a second time, and that layout
 * against the tables of docs/PROTOCOL.md (found from the folder that the tests run in, or $SRCDIR).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "../../keyd/common/proto.h"

struct row {
	uint16_t type;
	const char *message;
	size_t wire_at, bytes;
	const char *kind;
	const char *field;
	size_t at; /* in struct proto_msg */
};

#define ROW(type, wire_at, bytes, kind, body, field)                                               \
	{                                                                                          \
		PROTO_##type, #type, wire_at, bytes, kind, #field,                                 \
			offsetof(struct proto_msg, body.field)                                     \
	}

#define REVOKE_ROWS(type)                                                                          \
	ROW(type, 16, 4, "u32", revoke, reason), ROW(type, 20, 64, "string", revoke, level),       \
		ROW(type, 84, 40, "string", revoke, uuid)

/* A bytes field stands right after its count, and so does the place of a secret. */
static const struct row layout[] = {
	ROW(HELLO, 16, 16, "string", hello, program),
	ROW(HELLO_REPLY, 16, 4, "u32", reply, status),
	ROW(HELLO_REPLY, 20, 512, "string", reply, message),
	ROW(ATTACH, 16, 40, "string", attach, uuid),
	ROW(ATTACH, 56, 64, "string", attach, level),
	ROW(ATTACH, 120, 4096, "string", attach, path),
	ROW(ATTACH, 4216, 4, "u32", attach, key_at),
	ROW(ATTACH_REPLY, 16, 4, "u32", attach_reply, status),
	ROW(ATTACH_REPLY, 20, 4, "u32", attach_reply, sector_bytes),
	ROW(ATTACH_REPLY, 24, 8, "u64", attach_reply, data_offset_bytes),
	ROW(ATTACH_REPLY, 32, 8, "u64", attach_reply, size_bytes),
	ROW(ATTACH_REPLY, 40, 40, "string", attach_reply, uuid),
	ROW(ATTACH_REPLY, 80, 64, "string", attach_reply, level),
	ROW(ATTACH_REPLY, 144, 32, "string", attach_reply, cipher),
	ROW(ATTACH_REPLY, 176, 512, "string", attach_reply, message),
	ROW(ATTACH_REPLY, 688, 4, "u32", attach_reply, key_bytes),
	ROW(ATTACH_REPLY, 692, 4, "u32", attach_reply, key_at),
	ROW(DETACH, 16, 40, "string", volume, uuid),
	REVOKE_ROWS(REVOKE),
	ROW(REVOKE_ACK, 16, 4, "u32", revoke_ack, wiped),
	REVOKE_ROWS(RESTORE),
	ROW(SANITIZE, 16, 40, "string", sanitize, uuid),
	ROW(SANITIZE, 56, 256, "string", sanitize, initiator),
	ROW(SANITIZE_REPLY, 16, 4, "u32", reply, status),
	ROW(SANITIZE_REPLY, 20, 512, "string", reply, message),
	ROW(HEADER, 16, 8, "u64", header, header_bytes),
	ROW(HEADER, 24, 4, "u32", header, number),
	ROW(HEADER, 28, 40, "string", header, uuid),
	ROW(HEADER_WRITTEN, 16, 4, "u32", header_written, number),
	ROW(HEADER_WRITTEN, 20, 40, "string", header_written, uuid),
	ROW(STORE, 16, 8, "u64", store, store_bytes),
	ROW(STORE, 24, 40, "string", store, uuid),
	ROW(INIT, 16, 16, "string", init, custody),
	ROW(LEVEL_CREATE, 16, 64, "string", level, level),
	ROW(LEVEL_SHOW, 16, 64, "string", level, level),
	ROW(LEVEL_SUSPEND, 16, 64, "string", level, level),
	ROW(LEVEL_RESUME, 16, 64, "string", level, level),
	ROW(LEVEL_DESTROY, 16, 64, "string", level, level),
	ROW(VOLUME_CREATE, 16, 8, "u64", volume_create, size_bytes),
	ROW(VOLUME_CREATE, 24, 4, "u32", volume_create, sector_bytes),
	ROW(VOLUME_CREATE, 28, 64, "string", volume_create, level),
	ROW(VOLUME_CREATE, 92, 32, "string", volume_create, cipher),
	ROW(VOLUME_CREATE, 124, 4096, "string", volume_create, path),
	ROW(VOLUME_LIST, 16, 64, "string", level, level),
	ROW(VOLUME_SHOW, 16, 4096, "string", volume_id, id),
	ROW(VOLUME_KEY, 16, 4096, "string", volume_id, id),
	ROW(VOLUME_DESTROY, 16, 4096, "string", volume_id, id),
	ROW(UNLOCK, 16, 4, "u32", unlock, passphrase.len_bytes),
	ROW(UNLOCK, 20, 4, "u32", unlock, passphrase.at),
	ROW(INIT_PASSPHRASE, 16, 16, "string", init_passphrase, custody),
	ROW(INIT_PASSPHRASE, 32, 4, "u32", init_passphrase, passphrase.len_bytes),
	ROW(INIT_PASSPHRASE, 36, 4, "u32", init_passphrase, passphrase.at),
	ROW(CERTIFICATE, 16, 64, "string", certificate, name),
	ROW(AUDIT_VERIFY_HEAD, 16, 8, "u64", audit_head, seq),
	ROW(AUDIT_VERIFY_HEAD, 24, 72, "string", audit_head, hash),
	ROW(CUSTODY_CHANGE, 16, 16, "string", init_passphrase, custody),
	ROW(CUSTODY_CHANGE, 32, 4, "u32", init_passphrase, passphrase.len_bytes),
	ROW(CUSTODY_CHANGE, 36, 4, "u32", init_passphrase, passphrase.at),
	ROW(DESTROY_EMERGENCY, 16, 64, "string", emergency, level),
	ROW(DESTROY_EMERGENCY, 80, 4096, "string", emergency, id),
	ROW(REQUEST_APPROVE, 16, 16, "string", request, id),
	ROW(REQUEST_CANCEL, 16, 16, "string", request, id),
	ROW(EXPORT, 16, 64, "string", export, level),
	ROW(EXPORT, 80, 4, "u32", export, threshold),
	ROW(EXPORT, 84, 4, "u32", export, shares),
	ROW(EXPORT, 88, 4, "u32", export, passphrase.len_bytes),
	ROW(EXPORT, 92, 4, "u32", export, passphrase.at),
	ROW(IMPORT, 16, 64, "string", import, level),
	ROW(IMPORT, 80, 4, "u32", import, force),
	ROW(IMPORT, 84, 4, "u32", import, passphrase.len_bytes),
	ROW(IMPORT, 88, 4, "u32", import, passphrase.at),
	ROW(VOUCH, 16, 24, "string", export_id, id),
	ROW(VOLUME_RESIZE, 16, 8, "u64", volume_resize, size_bytes),
	ROW(VOLUME_RESIZE, 24, 4, "u32", volume_resize, commit),
	ROW(VOLUME_RESIZE, 28, 4096, "string", volume_resize, id),
	ROW(VOLUME_RELOCATE, 16, 40, "string", volume_relocate, uuid),
	ROW(VOLUME_RELOCATE, 56, 4096, "string", volume_relocate, path),
	ROW(REPLY, 16, 4, "u32", reply, status),
	ROW(REPLY, 20, 512, "string", reply, message),
	ROW(TEXT, 16, 4, "u32", text, len),
	ROW(TEXT, 20, 4096, "bytes", text, bytes),
	ROW(VOLUME_HEADER, 16, 8, "u64", volume_header, header_bytes),
	ROW(VOLUME_HEADER, 24, 40, "string", volume_header, uuid),
	ROW(KEY, 16, 4, "u32", key, key_bytes),
	ROW(KEY, 20, 4, "u32", key, key_at),
	ROW(PROGRESS, 16, 4, "u32", progress, done),
	ROW(PROGRESS, 20, 4, "u32", progress, total),
	ROW(EXPORTED, 16, 8, "u64", exported, file_bytes),
	ROW(EXPORTED, 24, 24, "string", exported, id),
	ROW(UPLOAD, 16, 4, "u32", upload, total_bytes),
	ROW(UPLOAD, 20, 4, "u32", upload, offset_bytes),
	ROW(UPLOAD, 24, 4, "u32", upload, len),
	ROW(UPLOAD, 28, 4, "u32", upload, at),
};

enum { ROWS = sizeof(layout) / sizeof(layout[0]), TYPES = 58, TYPE_MAX = 100 };

static uint8_t wire[PROTO_WIRE_BYTES_MAX + 1];

static bool is_kind(const struct row *row, const char *kind)
{
	return !strcmp(row->kind, kind);
}

/* Where a secret is in the page. */
static bool is_place(const struct row *row)
{
	return row->type != PROTO_ATTACH &&
	       (!strcmp(row->field, "key_at") || !strcmp(row->field, "passphrase.at") ||
		       !strcmp(row->field, "at"));
}

static size_t wire_bytes(uint16_t type)
{
	size_t bytes = PROTO_HEADER_BYTES;

	for (size_t i = 0; i < ROWS; i++) {
		if (layout[i].type == type)
			bytes += layout[i].bytes;
	}
	return bytes;
}

/* Puts a value that fills the whole field into msg, and its bytes on the wire into expected. */
static void fill(const struct row *row, struct proto_msg *msg, uint8_t *expected)
{
	uint8_t *member = (uint8_t *)msg + row->at;
	size_t used = is_kind(row, "string") ? row->bytes - 1 : row->bytes;

	if (is_kind(row, "bytes")) {
		uint32_t count = (uint32_t)row->bytes;
		memcpy((uint8_t *)msg + row[-1].at, &count, sizeof(count));
		expected[row[-1].wire_at] = (uint8_t)count;
		expected[row[-1].wire_at + 1] = (uint8_t)(count >> 8);
	}
	for (size_t i = 0; i < used; i++)
		expected[row->wire_at + i] = (uint8_t)('!' + i % 90);
	if (is_kind(row, "u32")) {
		uint32_t value = 0x24232221;
		memcpy(member, &value, sizeof(value));
	} else if (is_kind(row, "u64")) {
		uint64_t value = 0x2827262524232221;
		memcpy(member, &value, sizeof(value));
	} else {
		memcpy(member, expected + row->wire_at, used);
	}
}

static void put_u32(uint8_t *to, uint32_t value)
{
	for (int b = 0; b < 4; b++)
		to[b] = (uint8_t)(value >> 8 * b);
}

/* The longest secret, at the end of the page. */
static void fill_place(const struct row *row, struct proto_msg *msg, uint8_t *expected)
{
	uint32_t longest = row->type == PROTO_UPLOAD       ? 4096
			   : !strcmp(row->field, "key_at") ? 64
							   : 512;
	const uint32_t values[] = {longest, PAGE_BYTES - longest};

	for (int i = 0; i < 2; i++) {
		memcpy((uint8_t *)msg + row[i - 1].at, &values[i], sizeof(values[i]));
		put_u32(expected + row[i - 1].wire_at, values[i]);
	}
}

static size_t encode_filled(const struct row *row, struct proto_msg *msg, uint8_t *expected)
{
	size_t len = wire_bytes(row->type);

	memset(msg, 0, sizeof(*msg));
	memset(expected, 0, len);
	msg->type = row->type;
	msg->serial = 0xa1b2c3d4;
	if (is_place(row))
		fill_place(row, msg, expected);
	else
		fill(row, msg, expected);
	assert_int_equal(proto_encode(msg, wire, len), len);
	return len;
}

static bool is_count(const struct row *row)
{
	return row + 1 < layout + ROWS && (is_kind(row + 1, "bytes") || is_place(row + 1));
}

static void each_field_round_trips_at_its_offset(void **state)
{
	static uint8_t expected[PROTO_WIRE_BYTES_MAX];
	struct proto_msg msg, back;

	(void)state;
	for (const struct row *row = layout; row < layout + ROWS; row++) {
		if (is_count(row))
			continue; /* set together with its bytes */
		size_t len = encode_filled(row, &msg, expected);
		assert_memory_equal(wire + PROTO_HEADER_BYTES, expected + PROTO_HEADER_BYTES,
			len - PROTO_HEADER_BYTES);
		memset(&back, 0xff, sizeof(back));
		assert_int_equal(proto_decode(wire, len, &back), 0);
		assert_memory_equal(&back, &msg, sizeof(msg));
	}
}

static void every_type_has_its_length_name_and_header(void **state)
{
	unsigned int types = 0;

	(void)state;
	for (uint16_t type = 0; type < TYPE_MAX; type++) {
		struct proto_msg msg = {.type = type, .serial = 0x01020304}, back;
		if (!proto_wire_bytes(type)) {
			assert_string_equal(proto_type_name(type), "unknown");
			assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), -EINVAL);
			continue;
		}
		types++;
		size_t len = wire_bytes(type);
		assert_int_equal(proto_wire_bytes(type), len);
		assert_true(len <= PROTO_WIRE_BYTES_MAX);
		assert_string_not_equal(proto_type_name(type), "unknown");
		const uint8_t header[] = {'T', 'G', 'T', 'C', 2, 0, (uint8_t)type, 0, (uint8_t)len,
			(uint8_t)(len >> 8), 0, 0, 4, 3, 2, 1};
		assert_int_equal(proto_encode(&msg, wire, len), len);
		assert_memory_equal(wire, header, sizeof(header));
		assert_int_equal(proto_decode(wire, len, &back), 0);
		assert_memory_equal(&back, &msg, sizeof(msg));
	}
	assert_int_equal(types, TYPES);
}

static void assert_refused(size_t len, int err)
{
	static const struct proto_msg zero;
	struct proto_msg msg;

	memset(&msg, 0xff, sizeof(msg));
	assert_int_equal(proto_decode(wire, len, &msg), err);
	assert_memory_equal(&msg, &zero, sizeof(msg));
}

static void any_other_length_is_refused(void **state)
{
	(void)state;
	for (uint16_t type = 0; type < TYPE_MAX; type++) {
		struct proto_msg msg = {.type = type};
		size_t full = proto_wire_bytes(type);
		if (!full)
			continue;
		assert_int_equal(proto_encode(&msg, wire, full - 1), -EMSGSIZE);
		assert_int_equal(proto_encode(&msg, wire, full), full);
		for (size_t len = 0; len < full; len++)
			assert_refused(len, -EBADMSG);
		wire[full] = 0;
		assert_refused(full + 1, -EBADMSG);
		assert_refused(PROTO_WIRE_BYTES_MAX, -EBADMSG);
		wire[8]++; /* the header's idea of the length */
		assert_refused(full, -EBADMSG);
		assert_refused(full + 1, -EBADMSG);
	}
}

static void foreign_headers_are_refused(void **state)
{
	struct proto_msg msg = {.type = PROTO_PING};

	(void)state;
	for (size_t byte = 0; byte < 8; byte++) {
		bool version = byte == 4 || byte == 5;
		assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), PROTO_HEADER_BYTES);
		wire[byte] ^= 0x80;
		assert_refused(PROTO_HEADER_BYTES, version ? -EPROTONOSUPPORT : -EBADMSG);
	}
	assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), PROTO_HEADER_BYTES);
	wire[4] = 0;
	assert_refused(PROTO_HEADER_BYTES, -EPROTONOSUPPORT);
}

static void strings_end_in_their_field_and_nothing_follows(void **state)
{
	static uint8_t expected[PROTO_WIRE_BYTES_MAX];
	struct proto_msg msg;

	(void)state;
	for (const struct row *row = layout; row < layout + ROWS; row++) {
		if (!is_kind(row, "string"))
			continue;
		size_t len = encode_filled(row, &msg, expected);
		uint8_t *last = wire + row->wire_at + row->bytes - 1;
		*last = 'x';
		assert_refused(len, -EBADMSG);
		*last = 0;
		wire[row->wire_at + row->bytes / 2] = 0;
		assert_refused(len, -EBADMSG);

		((char *)&msg + row->at)[row->bytes - 1] = 'x';
		assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), -EINVAL);
	}
}

static void counts_stay_in_their_field_and_nothing_follows(void **state)
{
	static uint8_t expected[PROTO_WIRE_BYTES_MAX];
	static const uint32_t beyond[] = {1, 0x10000, 0x80000000, UINT32_MAX};
	struct proto_msg msg;

	(void)state;
	for (const struct row *row = layout; row < layout + ROWS; row++) {
		if (!is_kind(row, "bytes"))
			continue;
		for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
			size_t len = encode_filled(row, &msg, expected);
			uint32_t count = beyond[i] == 1 ? (uint32_t)row->bytes + 1 : beyond[i];
			put_u32(wire + row[-1].wire_at, count);
			assert_refused(len, -EBADMSG);
			memcpy((uint8_t *)&msg + row[-1].at, &count, sizeof(count));
			assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), -EINVAL);
		}
		size_t len = encode_filled(row, &msg, expected);
		wire[row[-1].wire_at]--; /* 64 or 4096 becomes one less in its low byte */
		if (row->bytes == PROTO_TEXT_BYTES)
			wire[row[-1].wire_at + 1]--;
		assert_refused(len, -EBADMSG);
	}
}

/* A key, a passphrase, an upload: none is in a record, and none reaches beyond the page. */
static void a_secret_is_in_the_page_and_not_on_the_wire(void **state)
{
	static uint8_t expected[PROTO_WIRE_BYTES_MAX];
	struct proto_msg msg;
	unsigned secrets = 0;

	(void)state;
	for (const struct row *row = layout; row < layout + ROWS; row++) {
		if (!is_place(row))
			continue;
		secrets++;
		size_t len = encode_filled(row, &msg, expected);
		struct proto_secret secret = proto_secret_of(&msg);
		assert_int_equal(secret.at + secret.len_bytes, PAGE_BYTES);
		memset(secret.bytes, 0x5a, secret.len_bytes);
		assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), len);
		assert_null(memchr(wire, 0x5a, len));

		const uint32_t wrong[][2] = {
			{secret.len_bytes, PAGE_BYTES - secret.len_bytes + 1},
			{secret.len_bytes, UINT32_MAX},
			{1, PAGE_BYTES},
			{secret.len_bytes + 1, 0},
			{UINT32_MAX, 1},
			{0, 1},
		};
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			(void)encode_filled(row, &msg, expected);
			for (int k = 0; k < 2; k++) {
				put_u32(wire + row[k - 1].wire_at, wrong[i][k]);
				memcpy((uint8_t *)&msg + row[k - 1].at, &wrong[i][k], 4);
			}
			assert_refused(len, -EBADMSG);
			assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), -EINVAL);
		}
	}
	assert_int_equal(secrets, 8);
}

/* A channel's message is used again and again: what an earlier one held must not go out. */
static void leftovers_in_the_message_stay_there(void **state)
{
	struct proto_msg msg, back;

	(void)state;
	memset(&msg, 0x55, sizeof(msg));
	msg.type = PROTO_TEXT;
	msg.text.len = 3;
	assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), 4116);
	assert_int_equal(proto_decode(wire, 4116, &back), 0);
	assert_memory_equal(back.text.bytes, "UUU\0\0\0\0\0", 8);

	memset(&msg, 0x55, sizeof(msg));
	msg.type = PROTO_DETACH;
	memcpy(msg.volume.uuid, "abc", 4);
	assert_int_equal(proto_encode(&msg, wire, sizeof(wire)), 56);
	assert_int_equal(proto_decode(wire, 56, &back), 0);
	assert_memory_equal(back.volume.uuid, "abc\0\0\0\0\0", 8);
}

static void statuses_have_names(void **state)
{
	(void)state;
	assert_string_equal(proto_status_name(PROTO_OK), "ok");
	assert_string_equal(proto_status_name(PROTO_NOT_FOUND), "not found");
	for (uint32_t i = 0; i <= PROTO_UNAPPROVED; i++)
		assert_string_not_equal(proto_status_name(i), "unknown");
	assert_string_equal(proto_status_name(PROTO_UNAPPROVED + 1), "unknown");
	assert_string_equal(proto_status_name(UINT32_MAX), "unknown");
}

/* The heading that opens a message's table: "### NAME (type), N bytes". */
static bool read_heading(const char *line, uint16_t *type)
{
	char name[32];
	unsigned int number, bytes;

	if (sscanf(line, "### %31s (%u), %u bytes", name, &number, &bytes) != 3)
		return false;
	*type = (uint16_t)number;
	assert_string_equal(name, proto_type_name(*type));
	assert_int_equal(bytes, proto_wire_bytes(*type));
	return true;
}

static const struct row *documented_row(uint16_t type, const char *line)
{
	char kind[16], field[32];
	size_t wire_at, bytes;

	if (sscanf(line, "| %zu | %zu | %15s | %31s |", &wire_at, &bytes, kind, field) != 4)
		return NULL;
	for (const struct row *row = layout; row < layout + ROWS; row++) {
		if (row->type == type && row->wire_at == wire_at && row->bytes == bytes &&
			is_kind(row, kind) && !strcmp(row->field, field))
			return row;
	}
	fail_msg("PROTOCOL.md, type %u: no such field: %s", type, line);
	return NULL;
}

static void the_document_says_the_same(void **state)
{
	const char *dir = getenv("SRCDIR");
	bool seen[ROWS] = {false};
	unsigned int types = 0;
	uint16_t type = 0;
	char path[4096], line[1024];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/docs/PROTOCOL.md", dir ? dir : ".");
	FILE *f = fopen(path, "r");
	if (!f) {
		fail_msg("%s: %s", path, strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "## ", 3))
			type = 0;
		if (read_heading(line, &type)) {
			types++;
			continue;
		}
		const struct row *row = type ? documented_row(type, line) : NULL;
		if (row) {
			assert_false(seen[row - layout]);
			seen[row - layout] = true;
		}
	}
	(void)fclose(f);
	assert_int_equal(types, TYPES);
	for (size_t i = 0; i < ROWS; i++) {
		if (!seen[i])
			fail_msg("PROTOCOL.md lacks %s.%s", layout[i].message, layout[i].field);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_field_round_trips_at_its_offset),
		cmocka_unit_test(every_type_has_its_length_name_and_header),
		cmocka_unit_test(any_other_length_is_refused),
		cmocka_unit_test(foreign_headers_are_refused),
		cmocka_unit_test(strings_end_in_their_field_and_nothing_follows),
		cmocka_unit_test(counts_stay_in_their_field_and_nothing_follows),
		cmocka_unit_test(a_secret_is_in_the_page_and_not_on_the_wire),
		cmocka_unit_test(leftovers_in_the_message_stay_there),
		cmocka_unit_test(statuses_have_names),
		cmocka_unit_test(the_document_says_the_same),
	};
	return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
