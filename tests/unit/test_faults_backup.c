/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Whichever call fails, an export is whole and on record or is none, and an import is whole or is none. */
#include "sweep.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/x509.h>

#include "../fuzz/lab.h"
#include "keystore_backup.h"
#include "ledger.h"
#include "secret.h"

enum { PACKAGE_CAP = 64 * 1024, CERTIFICATE_CAP = 4096 };

static const char passphrase[] = "correct horse";

struct upload_file {
	uint8_t bytes[PACKAGE_CAP];
	size_t len;
};

static struct upload_file certificate, green, red;

static void certify(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *made = X509_new();
	uint8_t *to = certificate.bytes;

	assert_true(key && made);
	X509_NAME *subject = X509_get_subject_name(made);
	assert_int_equal(X509_set_version(made, 2), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
				 (const unsigned char *)"somebody", -1, -1, 0),
		1);
	assert_int_equal(X509_set_issuer_name(made, subject), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made), -60));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made), 3600));
	assert_int_equal(X509_set_pubkey(made, key), 1);
	assert_true(X509_sign(made, key, EVP_sha256()) > 0);
	certificate.len = (size_t)i2d_X509(made, &to);
	X509_free(made);
	EVP_PKEY_free(key);
}

static void pack(const char *name, struct upload_file *file)
{
	struct level *level = keystore_level(&small_keyd.store, name);
	struct package_head head = {.id = "exp-0123456789abcdef", .levels = 1};
	struct package_writer w = {.bytes = file->bytes, .cap_bytes = sizeof(file->bytes)};
	const struct volume *bad;

	assert_int_equal(package_begin(&w, &head), 0);
	assert_int_equal(keystore_export_level(&small_keyd.store, level, &w, &bad), 0);
	assert_int_equal(package_end(&w), 0);
	file->len = w.used_bytes;
}

static int create_green(void)
{
	struct proto_msg msg = {.type = PROTO_VOLUME_CREATE, .serial = 1};

	msg.volume_create.size_bytes = 1 << 20;
	msg.volume_create.sector_bytes = 512;
	(void)strcpy(msg.volume_create.level, "green");
	(void)strcpy(msg.volume_create.cipher, "aes-xts-plain64");
	(void)strcpy(msg.volume_create.path, "/green.img");
	if (small_keyd_order(PROTO_LEVEL_CREATE, "green") || small_keyd_ask(SMALL_ADMIN, &msg))
		return PROTO_FAILED;
	return small_keyd_order(PROTO_VOLUME_COMMIT, "");
}

static int make_uploads(void **state)
{
	(void)state;
	certify();
	small_keyd_reset();
	if (small_keyd_start() || create_green() != PROTO_OK)
		return -1;
	pack("green", &green);
	pack("red", &red);
	small_keyd_end();
	return 0;
}

static void upload_certificate(void)
{
	assert_int_equal(small_keyd_upload(certificate.bytes, certificate.len), PROTO_OK);
}

static void upload_green(void)
{
	assert_int_equal(small_keyd_upload(green.bytes, green.len), PROTO_OK);
}

/* What was exported comes back after its level was destroyed. */
static void destroy_and_upload_red(void)
{
	assert_int_equal(small_keyd_order(PROTO_LEVEL_DESTROY, "red"), PROTO_OK);
	assert_int_equal(small_keyd_upload(red.bytes, red.len), PROTO_OK);
}

static int upload(void)
{
	return small_keyd_upload(green.bytes, green.len);
}

ORDER(export_all, PROTO_EXPORT, "")
ORDER(export_red, PROTO_EXPORT, "red")
ORDER(import_all, PROTO_IMPORT, "")

static int import_forced(void)
{
	struct proto_msg msg = {.type = PROTO_IMPORT, .serial = 1};

	msg.import.force = 1;
	return small_keyd_ask(SMALL_ADMIN, &msg);
}

static int export_with_passphrase(void)
{
	struct proto_msg msg = {.type = PROTO_EXPORT, .serial = 1};

	(void)strcpy(msg.export.level, "red");
	memcpy(msg.export.passphrase.bytes, passphrase, sizeof(passphrase));
	msg.export.passphrase.len_bytes = sizeof(passphrase) - 1;
	return small_keyd_ask(SMALL_ADMIN, &msg);
}

/* Of the copy that the lab's ledger has. */
static int vouch(void)
{
	struct proto_msg msg = {.type = PROTO_VOUCH, .serial = 1};
	char path[128], ledger[1024] = "";

	(void)snprintf(path, sizeof(path), "%s/%s", lab_get()->dir, LEDGER_FILE);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, ledger, sizeof(ledger) - 1) > 0);
	(void)close(fd);
	assert_int_equal(sscanf(strstr(ledger, "exp-"), "%20[exp0-9a-f-]", msg.export_id.id), 1);
	return small_keyd_ask(SMALL_ADMIN, &msg);
}

SWEEP(certificates_are_taken_or_not, .give = upload)
SWEEP(an_export_is_made_or_not, .prepare = upload_certificate, .give = export_all)
SWEEP(an_export_of_a_level_is_made_or_not, .prepare = upload_certificate, .give = export_red)
SWEEP(an_export_with_a_passphrase_is_made_or_not, .give = export_with_passphrase)
SWEEP(a_level_is_imported_or_not, .prepare = upload_green, .give = import_all)
SWEEP(a_destroyed_level_comes_back_or_not, .prepare = destroy_and_upload_red, .give = import_forced)
SWEEP(a_copy_is_vouched_for_or_not, .give = vouch)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates_are_taken_or_not),
		cmocka_unit_test(an_export_is_made_or_not),
		cmocka_unit_test(an_export_of_a_level_is_made_or_not),
		cmocka_unit_test(an_export_with_a_passphrase_is_made_or_not),
		cmocka_unit_test(a_level_is_imported_or_not),
		cmocka_unit_test(a_destroyed_level_comes_back_or_not),
		cmocka_unit_test(a_copy_is_vouched_for_or_not),
	};

	return cmocka_run_group_tests(tests, make_uploads, NULL);
}
