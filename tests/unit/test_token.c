/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyd/custody/token.h and the row of keyd/custody/custody.h on it, with a SoftHSM2 token in the test's own directory: what
 * is sealed comes back from its own key alone, what is destroyed is gone, and a token that was taken away
 * is not taken for an empty one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "custody.h"
#include "scratch.h"
#include "secret.h"
#include "token.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

enum { MANY = 70, ROOT_FILE_BYTES = 188, STORE_ID_AT = 16 };

static struct proto_passphrase pin, wrong;
static struct token *token;
static char module[] = MODULE, label[] = "keys";
static struct custody_config config = {.pkcs11_module = module, .pkcs11_token = label};
static struct custody_place place;
static const uint8_t plain[WRAP_KEY_BYTES] = "thirty-two bytes of level key...";

static void set(struct proto_passphrase *p, const char *text)
{
	memset(p, 0, sizeof(*p));
	p->len_bytes = (uint32_t)strlen(text);
	memcpy(p->bytes, text, p->len_bytes);
}

static int make_token(const char *name)
{
	char command[256];

	(void)snprintf(command, sizeof(command),
		"softhsm2-util --init-token --free --label %s --pin 1234 --so-pin 5678 >/dev/null",
		name);
	return system(command);
}

static int fresh(void **state)
{
	char text[256];

	set(&pin, "1234");
	set(&wrong, "1235");
	if (scratch_make(state) || mkdir(scratch_path("tokens"), 0700))
		return -1;
	(void)snprintf(text, sizeof(text), "directories.tokendir = %s/tokens\nlog.level = ERROR\n",
		scratch);
	if (scratch_write(scratch_path("conf"), text, strlen(text)) ||
		setenv("SOFTHSM2_CONF", scratch_path("conf"), 1) || make_token(label))
		return -1;
	place = (struct custody_place){
		.dir_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .config = &config};
	return place.dir_fd < 0;
}

static int stop(void **state)
{
	token_close(token);
	token = NULL;
	(void)close(place.dir_fd);
	return scratch_remove(state);
}

static void take_away(void)
{
	assert_int_equal(rename(scratch_path("tokens"), scratch_path("away")), 0);
}

static void bring_back(void)
{
	assert_int_equal(rename(scratch_path("away"), scratch_path("tokens")), 0);
}

static void open_token(void)
{
	assert_int_equal(token_open(MODULE, label, &pin, &token), 0);
}

static struct token_key key_called(const char *name)
{
	struct token_key key = {0};

	(void)snprintf(key.label, sizeof(key.label), "%s", name);
	memcpy(key.id, name, strlen(name));
	return key;
}

/* ---- token.h ------------------------------------------------------------------------------------- */

static void what_is_sealed_comes_back_from_its_key_alone(void **state)
{
	struct token_key one = key_called("one"), two = key_called("two");
	uint8_t sealed[sizeof(plain) + TOKEN_OVERHEAD_BYTES], again[sizeof(plain)];
	static const uint8_t nothing[sizeof(plain)];

	(void)state;
	open_token();
	assert_int_equal(token_seal(token, &one, "aad", 3, plain, sizeof(plain), sealed), -ENOENT);
	assert_int_equal(token_make(token, &one), 0);
	assert_int_equal(token_make(token, &two), 0);
	assert_int_equal(token_seal(token, &one, "aad", 3, plain, sizeof(plain), sealed), 0);
	assert_int_equal(token_unseal(token, &one, "aad", 3, sealed, sizeof(sealed), again), 0);
	assert_memory_equal(again, plain, sizeof(plain));
	assert_int_equal(
		token_unseal(token, &one, "add", 3, sealed, sizeof(sealed), again), -EBADMSG);
	assert_memory_equal(again, nothing, sizeof(again));
	assert_int_equal(
		token_unseal(token, &two, "aad", 3, sealed, sizeof(sealed), again), -EBADMSG);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		assert_int_equal(token_unseal(token, &one, "aad", 3, sealed, sizeof(sealed), again),
			-EBADMSG);
		sealed[i] ^= 1;
	}
	assert_int_equal(
		token_unseal(token, &one, "aad", 3, sealed, TOKEN_OVERHEAD_BYTES - 1, again),
		-EBADMSG);
	/* Failures leave no operation behind that would be in the way. */
	assert_int_equal(token_unseal(token, &one, "aad", 3, sealed, sizeof(sealed), again), 0);
}

static void two_sealings_differ(void **state)
{
	struct token_key one = key_called("one");
	uint8_t first[sizeof(plain) + TOKEN_OVERHEAD_BYTES], second[sizeof(first)];

	(void)state;
	open_token();
	assert_int_equal(token_make(token, &one), 0);
	assert_int_equal(token_seal(token, &one, "", 0, plain, sizeof(plain), first), 0);
	assert_int_equal(token_seal(token, &one, "", 0, plain, sizeof(plain), second), 0);
	assert_memory_not_equal(first, second, TOKEN_NONCE_BYTES);
	assert_memory_not_equal(
		first + TOKEN_NONCE_BYTES, second + TOKEN_NONCE_BYTES, sizeof(plain));
}

static void a_destroyed_key_is_gone_and_no_other(void **state)
{
	struct token_key one = key_called("one"), two = key_called("two");
	uint8_t sealed[sizeof(plain) + TOKEN_OVERHEAD_BYTES], again[sizeof(plain)];

	(void)state;
	open_token();
	assert_int_equal(token_make(token, &one), 0);
	assert_int_equal(token_make(token, &two), 0);
	assert_int_equal(token_seal(token, &one, "", 0, plain, sizeof(plain), sealed), 0);
	assert_int_equal(token_destroy(token, &one), 0);
	assert_int_equal(token_has(token, &one), 0);
	assert_int_equal(token_has(token, &two), 1);
	assert_int_equal(token_destroy(token, &one), 0); /* again is no harm */
	assert_int_equal(token_make(token, &one), 0);    /* one of that name is another key */
	assert_int_equal(token_unseal(token, &one, "", 0, sealed, sizeof(sealed), again), -EBADMSG);
}

static void keys_are_destroyed_by_prefix_however_many(void **state)
{
	struct token_key other = key_called("store 2 a");
	char name[32];

	(void)state;
	open_token();
	assert_int_equal(token_make(token, &other), 0);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "store 1 %d", i);
		struct token_key key = key_called(name);
		assert_int_equal(token_make(token, &key), 0);
	}
	assert_int_equal(token_destroy_all(token, "store 1 "), 0);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "store 1 %d", i);
		struct token_key key = key_called(name);
		assert_int_equal(token_has(token, &key), 0);
	}
	assert_int_equal(token_has(token, &other), 1);
}

static void what_is_wrong_with_opening_is_told_apart(void **state)
{
	const struct proto_passphrase none = {0};

	(void)state;
	assert_int_equal(token_open(MODULE, label, &wrong, &token), -EKEYREJECTED);
	assert_null(token);
	assert_int_equal(token_open(MODULE, label, &none, &token), -EKEYREJECTED);
	assert_int_equal(token_open(MODULE, label, NULL, &token), -EKEYREJECTED);
	assert_int_equal(token_open(NULL, label, &pin, &token), -ENOPKG);
	assert_int_equal(token_open(MODULE, NULL, &pin, &token), -ENOPKG);
	assert_int_equal(token_open("/nonexistent.so", label, &pin, &token), -ELIBACC);
	assert_int_equal(token_open(MODULE, "key", &pin, &token), -ENOMEDIUM);
	assert_int_equal(make_token("keys"), 0);
	assert_int_equal(token_open(MODULE, label, &pin, &token), -EMLINK);
}

/* Whoever is logged in already in this process must not make any PIN the right one. */
static void a_second_login_needs_the_pin_too(void **state)
{
	struct token *second;

	(void)state;
	open_token();
	assert_int_equal(token_open(MODULE, label, &wrong, &second), -EKEYREJECTED);
	assert_int_equal(token_open(MODULE, label, &pin, &second), 0);
	token_close(second);
}

/* ---- custody_pkcs11 ------------------------------------------------------------------------------ */

static struct custody_keeper *make_store(uint8_t root[ROOT_KEY_BYTES])
{
	struct custody_keeper *keeper;

	assert_int_equal(custody_pkcs11.create(&place, &pin, root, &keeper), 0);
	return keeper;
}

static void the_root_key_comes_back_with_the_pin(void **state)
{
	uint8_t root[ROOT_KEY_BYTES], again[ROOT_KEY_BYTES];
	struct custody_keeper *keeper;

	(void)state;
	custody_pkcs11.release(make_store(root));
	assert_int_equal(custody_pkcs11.load(&place, &wrong, again, &keeper), -EKEYREJECTED);
	assert_null(keeper);
	assert_int_equal(custody_pkcs11.load(&place, NULL, again, &keeper), -EKEYREJECTED);
	assert_int_equal(custody_pkcs11.load(&place, &pin, again, &keeper), 0);
	assert_memory_equal(root, again, sizeof(root));
	custody_pkcs11.release(keeper);
	assert_int_equal(custody_pkcs11.erase(&place), -EKEYEXPIRED); /* not without the PIN */
	place.passphrase = &wrong;
	assert_int_equal(custody_pkcs11.erase(&place), -EKEYREJECTED);
	place.passphrase = &pin;
	assert_int_equal(custody_pkcs11.erase(&place), 0);
	assert_int_equal(custody_pkcs11.erase(&place), 0); /* again is no harm */
	assert_int_equal(custody_pkcs11.load(&place, &pin, again, &keeper), -ENOENT);
}

static void every_changed_byte_of_the_file_is_damage(void **state)
{
	uint8_t root[ROOT_KEY_BYTES];
	struct custody_keeper *keeper;
	size_t len;

	(void)state;
	custody_pkcs11.release(make_store(root));
	char *file = scratch_read(scratch_path("root.pkcs11"), &len);
	assert_non_null(file);
	assert_int_equal(len, ROOT_FILE_BYTES);
	for (size_t i = 0; i < len; i++) {
		file[i] ^= 1;
		assert_int_equal(scratch_write(scratch_path("root.pkcs11"), file, len), 0);
		assert_int_equal(custody_pkcs11.load(&place, &pin, root, &keeper), -EBADMSG);
		file[i] ^= 1;
	}
	assert_int_equal(scratch_write(scratch_path("root.pkcs11"), file, len - 1), 0);
	assert_int_equal(custody_pkcs11.load(&place, &pin, root, &keeper), -EBADMSG);
	free(file);
}

static void a_level_key_opens_as_long_as_its_object_lives(void **state)
{
	const struct custody_levels *levels = custody_pkcs11.levels;
	uint8_t root[ROOT_KEY_BYTES], again[WRAP_KEY_BYTES];
	uint8_t one[CUSTODY_SEALED_LEVEL_BYTES], two[CUSTODY_SEALED_LEVEL_BYTES];

	(void)state;
	struct custody_keeper *keeper = make_store(root);
	assert_int_equal(levels->seal(keeper, "one", plain, one), 0);
	assert_int_equal(
		levels->seal(keeper, "root", plain, two), 0); /* a level may be called so */
	assert_int_equal(levels->open(keeper, "one", one, again), 0);
	assert_memory_equal(again, plain, sizeof(plain));
	assert_int_equal(levels->open(keeper, "root", one, again), -EBADMSG);
	assert_int_equal(levels->destroy(keeper, "one"), 0);
	assert_int_equal(levels->open(keeper, "one", one, again), -EBADMSG);
	assert_int_equal(levels->destroy(keeper, "one"), 0);
	assert_int_equal(levels->open(keeper, "root", two, again), 0);
	assert_int_equal(levels->check(keeper), 0);
	custody_pkcs11.release(keeper);
}

/* SoftHSM2 without its files finds no objects and calls nothing an error. */
static void a_token_that_is_away_says_nothing_about_levels(void **state)
{
	const struct custody_levels *levels = custody_pkcs11.levels;
	uint8_t root[ROOT_KEY_BYTES], again[WRAP_KEY_BYTES];
	uint8_t sealed[CUSTODY_SEALED_LEVEL_BYTES], other[CUSTODY_SEALED_LEVEL_BYTES];

	(void)state;
	struct custody_keeper *keeper = make_store(root);
	assert_int_equal(levels->seal(keeper, "one", plain, sealed), 0);
	take_away();
	assert_int_equal(levels->check(keeper), -EREMOTEIO);
	assert_int_equal(levels->open(keeper, "one", sealed, again), -EREMOTEIO);
	assert_int_equal(levels->seal(keeper, "two", plain, other), -EREMOTEIO);
	assert_int_equal(levels->destroy(keeper, "one"), -EREMOTEIO);
	place.keeper = keeper;
	assert_int_equal(custody_pkcs11.erase(&place), -EREMOTEIO);
	custody_pkcs11.release(keeper);
	place.keeper = NULL;
	bring_back();
	assert_int_equal(custody_pkcs11.load(&place, &pin, again, &keeper), 0);
	assert_int_equal(levels->open(keeper, "one", sealed, again), 0);
	custody_pkcs11.release(keeper);
	assert_int_equal(levels->check(NULL), -EREMOTEIO);
	assert_int_equal(levels->open(NULL, "one", sealed, again), -EREMOTEIO);
	assert_int_equal(levels->destroy(NULL, "one"), -EREMOTEIO);
}

/* What a crash between the file and the object leaves is in nobody's way. */
static void a_root_key_that_was_not_finished_is_replaced(void **state)
{
	uint8_t root[ROOT_KEY_BYTES], again[ROOT_KEY_BYTES];
	struct custody_keeper *keeper;
	size_t len;

	(void)state;
	place.next = true;
	custody_pkcs11.release(make_store(root));
	char *file = scratch_read(scratch_path(".next-root.pkcs11"), &len);
	assert_non_null(file);
	keeper = make_store(root); /* over it */
	custody_pkcs11.release(keeper);
	assert_int_equal(custody_pkcs11.load(&place, &pin, again, &keeper), 0);
	assert_memory_equal(root, again, sizeof(root));
	place.keeper = keeper;
	assert_int_equal(custody_pkcs11.erase(&place), 0);
	custody_pkcs11.release(keeper);
	place.keeper = NULL;
	/* The first one's object went, too. */
	assert_int_equal(scratch_write(scratch_path(".next-root.pkcs11"), file, len), 0);
	assert_int_equal(custody_pkcs11.load(&place, &pin, again, &keeper), -EIDRM);
	free(file);
}

int main(void)
{
#define FRESH(f) cmocka_unit_test_setup_teardown(f, fresh, stop)
	const struct CMUnitTest tests[] = {
		FRESH(what_is_sealed_comes_back_from_its_key_alone),
		FRESH(two_sealings_differ),
		FRESH(a_destroyed_key_is_gone_and_no_other),
		FRESH(keys_are_destroyed_by_prefix_however_many),
		FRESH(what_is_wrong_with_opening_is_told_apart),
		FRESH(a_second_login_needs_the_pin_too),
		FRESH(the_root_key_comes_back_with_the_pin),
		FRESH(every_changed_byte_of_the_file_is_damage),
		FRESH(a_level_key_opens_as_long_as_its_object_lives),
		FRESH(a_token_that_is_away_says_nothing_about_levels),
		FRESH(a_root_key_that_was_not_finished_is_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
