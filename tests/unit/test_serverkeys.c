/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The keys in keys/ of the store: made once, told when they are not the ones from before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <openssl/evp.h>

#include "../../keyd/records/audit_head.h"
#include "../../keyd/common/jsonhelp.h"
#include "../../keyd/common/secret.h"
#include "../../keyd/records/serverkeys.h"
#include "scratch.h"

enum { HEAD_BYTES = 232, VERSION_AT = 8 }; /* docs/KEYSTORE.md */

static struct keyd keyd;

/* As main.c does it, without sockets. */
static int start(void)
{
	struct audit_key key;

	keyd = (struct keyd){0};
	int rc = keystore_open(&keyd.store, scratch_path("store"), NULL);
	if (rc)
		return rc;
	rc = serverkeys_audit_key(&keyd.store, &key);
	if (!rc)
		rc = audit_log_open(&keyd.audit, keyd.store.dir_fd, key.bytes ? &key : NULL);
	return !rc && keyd.store.root ? serverkeys_begin(&keyd) : rc;
}

static void stop(void)
{
	serverkeys_end(&keyd);
	audit_log_close(&keyd.audit);
	keystore_close(&keyd.store);
}

static int make_store(void **state)
{
	struct level *level;

	if (scratch_make(state) || start() || keystore_init(&keyd.store, "file", NULL) ||
		serverkeys_begin(&keyd) || keystore_level_create(&keyd.store, "open", &level) ||
		keystore_level_create(&keyd.store, "shut", &level))
		return -1;
	return keystore_level_set_state(&keyd.store, level, KEY_SUSPENDED);
}

static int remove_store(void **state)
{
	stop();
	return scratch_remove(state);
}

static struct audit_verdict verdict(void)
{
	const struct audit_check check = {.key = &keyd.audit.key};
	struct audit_verdict v;

	assert_int_equal(audit_verify(keyd.store.dir_fd, &check, &v), 0);
	return v;
}

static uint8_t version_of(const char *path)
{
	size_t len;
	char *data = scratch_read(path, &len);
	assert_non_null(data);
	uint8_t version = (uint8_t)data[VERSION_AT];
	free(data);
	return version;
}

/* Makes the level's file the one that an earlier keyd would have sealed: AES-256-GCM with a nonce. */
static void seal_as_version_1(const char *path)
{
	uint8_t key[WRAP_KEY_BYTES];
	size_t len;
	int n;
	uint8_t *file = (uint8_t *)scratch_read(path, &len);

	assert_non_null(file);
	uint8_t *nonce = file + HEAD_BYTES, *cipher = nonce + WRAP_NONCE_BYTES;
	assert_int_equal(len, HEAD_BYTES + WRAP_KEY_BYTES + WRAP_OVERHEAD_BYTES);
	assert_int_equal(
		wrap_open(keyd.store.root, file, HEAD_BYTES, nonce, len - HEAD_BYTES, key), 0);
	file[VERSION_AT] = 1;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	assert_int_equal(
		EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, keyd.store.root, nonce), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, file, HEAD_BYTES), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, cipher, &n, key, sizeof(key)), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, cipher + sizeof(key), &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(
				 ctx, EVP_CTRL_AEAD_GET_TAG, WRAP_TAG_BYTES, cipher + sizeof(key)),
		1);
	EVP_CIPHER_CTX_free(ctx);
	len = HEAD_BYTES + WRAP_KEY_BYTES + WRAP_OLD_OVERHEAD_BYTES;
	assert_int_equal(scratch_write(path, file, len), 0);
	free(file);
}

static void remove_keys(void)
{
	assert_int_equal(unlink(scratch_path("store/keys/audit.key")), 0);
	assert_int_equal(unlink(scratch_path("store/keys/signing.key")), 0);
	assert_int_equal(unlink(scratch_path("store/audit.head")), 0);
}

static void damage(const char *path)
{
	size_t len;
	char *data = scratch_read(path, &len);
	assert_non_null(data);
	data[len - 1] ^= 1;
	assert_int_equal(scratch_write(path, data, len), 0);
	free(data);
}

static bool log_has(const char *text)
{
	size_t len;
	char *log = scratch_read(scratch_path("store/audit.log"), &len);
	assert_non_null(log);
	bool found = strstr(log, text) != NULL;
	free(log);
	return found;
}

static void a_store_has_keys_and_keeps_them(void **state)
{
	struct signature_public signer = keyd.signer;
	char id[FINGERPRINT_BYTES];

	(void)state;
	assert_int_equal(scratch_write(scratch_path("store/keys/.new-audit.key"), "crash", 5), 0);
	memcpy(id, keyd.audit.key.id, sizeof(id));
	assert_true(signer.pem[0] && id[0]);
	stop();
	assert_int_equal(start(), 0);
	assert_string_equal(keyd.signer.pem, signer.pem);
	assert_string_equal(keyd.audit.key.id, id);
	assert_false(keyd.audit.key.replaces_lost);
	assert_int_equal(verdict().first_bad_line, 0);
	assert_false(log_has("\"failed\""));
	assert_int_not_equal(access(scratch_path("store/keys/.new-audit.key"), F_OK), 0);
}

static void a_store_of_an_earlier_keyd_gets_them(void **state)
{
	(void)state;
	seal_as_version_1(scratch_path("store/levels/open/level.key"));
	seal_as_version_1(scratch_path("store/levels/shut/level.key"));
	stop();
	remove_keys();
	assert_int_equal(unlink(scratch_path("store/audit.log")), 0);

	assert_int_equal(start(), 0);
	assert_false(keyd.audit.key.replaces_lost);
	assert_int_equal(keyd.audit.key.first_keyed, 1);
	assert_int_equal(verdict().first_bad_line, 0);
	assert_false(log_has("\"failed\""));
	assert_int_equal(version_of(scratch_path("store/levels/open/level.key")), 3);
	assert_int_equal(version_of(scratch_path("store/levels/shut/level.key")), 3);
	assert_int_equal(keystore_level(&keyd.store, "open")->state, KEY_ACTIVE);
	assert_int_equal(keystore_level(&keyd.store, "shut")->state, KEY_SUSPENDED);
	stop();
	assert_int_equal(start(), 0);
	assert_int_equal(keystore_level(&keyd.store, "open")->state, KEY_ACTIVE);
	assert_int_equal(keystore_level(&keyd.store, "shut")->state, KEY_SUSPENDED);
}

/* Interrupted before the levels were sealed again: the next start goes on. */
static void the_marking_is_made_up_for(void **state)
{
	(void)state;
	seal_as_version_1(scratch_path("store/levels/open/level.key"));
	stop();
	assert_int_equal(start(), 0);
	assert_int_equal(version_of(scratch_path("store/levels/open/level.key")), 3);
	assert_false(log_has("\"failed\""));
}

static void a_store_robbed_of_its_keys_is_no_earlier_one(void **state)
{
	(void)state;
	seal_as_version_1(
		scratch_path("store/levels/open/level.key")); /* one marked level is enough */
	stop();
	remove_keys();
	assert_int_equal(unlink(scratch_path("store/audit.log")), 0);
	assert_int_equal(start(), 0);
	assert_true(keyd.audit.key.replaces_lost);
	assert_int_equal(verdict().first_bad_line, 1);
	assert_non_null(strstr(verdict().reason, "was lost"));
	stop();
	assert_int_equal(start(), 0);
	assert_int_equal(verdict().first_bad_line, 1);
}

static void a_damaged_key_is_replaced_and_that_is_told(void **state)
{
	struct signature_public signer = keyd.signer;

	(void)state;
	stop();
	damage(scratch_path("store/keys/audit.key"));
	damage(scratch_path("store/keys/signing.key"));
	assert_int_equal(start(), 0);
	assert_true(keyd.audit.key.replaces_lost);
	assert_string_not_equal(keyd.signer.id, signer.id);
	assert_true(log_has("signing-key") && log_has("the one before is missing or damaged"));
	assert_int_not_equal(verdict().first_bad_line, 0);
	assert_int_equal(keystore_level(&keyd.store, "open")->state, KEY_ACTIVE);
}

static void one_key_is_not_taken_for_the_other(void **state)
{
	(void)state;
	stop();
	assert_int_equal(rename(scratch_path("store/keys/signing.key"),
				 scratch_path("store/keys/audit.key")),
		0);
	assert_int_equal(start(), 0);
	assert_true(keyd.audit.key.replaces_lost);
}

static void a_signed_document_is_verified_with_the_public_key(void **state)
{
	struct json_object *json = json_object_new_object();
	char signer[SIGNATURE_ID_BYTES];

	(void)state;
	assert_true(json_add_string(json, "path", "/srv/\"\xc3\xa4\""));
	assert_int_equal(serverkeys_sign(&keyd, json), 0);
	const char *text = json_object_to_json_string_ext(
		json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	assert_int_equal(signature_verify(text, strlen(text), &keyd.signer, signer), 0);
	json_object_put(json);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_store, remove_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_store_has_keys_and_keeps_them),
		STORE_TEST(a_store_of_an_earlier_keyd_gets_them),
		STORE_TEST(the_marking_is_made_up_for),
		STORE_TEST(a_store_robbed_of_its_keys_is_no_earlier_one),
		STORE_TEST(a_damaged_key_is_replaced_and_that_is_told),
		STORE_TEST(one_key_is_not_taken_for_the_other),
		STORE_TEST(a_signed_document_is_verified_with_the_public_key),
	};
	return cmocka_run_group_tests_name("serverkeys", tests, NULL, NULL);
}
