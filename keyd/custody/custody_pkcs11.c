/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The root key wrapped by a key object of a PKCS#11 token, and each level's key by one of its own there.
 * All objects of a store carry its id in their labels, so that several stores may share a token.
 */
#include "custody.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/sha.h>

#include "log.h"
#include "secret.h"
#include "text.h"
#include "token.h"

static const char magic[CUSTODY_MAGIC_BYTES] = "TGTKEYD p11  v1"; /* the version is part of it */

enum { STORE_ID_BYTES = 16 };

_Static_assert(CUSTODY_SEALED_LEVEL_BYTES == WRAP_KEY_BYTES + TOKEN_OVERHEAD_BYTES,
	"a level key as the token seals it");

/* As on the medium. */
struct root_file {
	char magic[16];
	uint8_t store_id[STORE_ID_BYTES]; /* random */
	char token_label[40];             /* this and the next: for people */
	char token_serial[24];
	uint8_t sealed[ROOT_KEY_BYTES + TOKEN_OVERHEAD_BYTES]; /* zeros: being made */
	uint8_t digest[CUSTODY_DIGEST_BYTES]; /* of all bytes before; protects nothing */
};
_Static_assert(sizeof(struct root_file) == 188, "the file format has no padding");

struct custody_keeper {
	struct token *token;
	uint8_t store_id[STORE_ID_BYTES];
	bool fresh; /* the session was opened just now: the token is there */
};

/* ---- Names in the token -------------------------------------------------------------------------- */

/* What the labels of all the store's level keys begin with. */
static void level_prefix(const uint8_t store_id[STORE_ID_BYTES], char prefix[TOKEN_KEY_LABEL_BYTES])
{
	char hex[2 * STORE_ID_BYTES + 1];

	text_hex(store_id, STORE_ID_BYTES, hex);
	(void)snprintf(prefix, TOKEN_KEY_LABEL_BYTES, "tgt-crypt %s level ", hex);
}

/* A level's name is never used again in a store: so neither is the key's. NULL: the root key's. */
static int name_key(
	const uint8_t store_id[STORE_ID_BYTES], const char *level, struct token_key *key)
{
	char hex[2 * STORE_ID_BYTES + 1];

	text_hex(store_id, STORE_ID_BYTES, hex);
	int n = snprintf(key->label, sizeof(key->label), "tgt-crypt %s %s%s", hex,
		level ? "level " : "root", level ? level : "");
	if (n < 0 || (size_t)n >= sizeof(key->label))
		return -EINVAL;
	_Static_assert(sizeof(key->id) == SHA256_DIGEST_LENGTH, "the id is the label's digest");
	return SHA256((const uint8_t *)key->label, (size_t)n, key->id) ? 0 : -EIO;
}

/*
 * 0 when the token has the store's root key. One that was taken away finds nothing at all, and may not
 * even call that an error: without this nothing that is missing may be taken for gone.
 */
static int prove_presence(const struct custody_keeper *keeper)
{
	struct token_key root = {0};

	if (!keeper)
		return -EREMOTEIO;
	int rc = name_key(keeper->store_id, NULL, &root);
	if (rc)
		return rc;
	rc = token_has(keeper->token, &root);
	return rc == 1 ? 0 : -EREMOTEIO;
}

/* The same, and that it can be used: some modules say of a wrong tag only that something failed. */
static int prove_use(const struct custody_keeper *keeper)
{
	static const uint8_t plain[WRAP_TAG_BYTES];
	uint8_t sealed[sizeof(plain) + TOKEN_OVERHEAD_BYTES], again[sizeof(plain)];
	struct token_key root = {0};

	int rc = prove_presence(keeper);
	if (!rc)
		rc = name_key(keeper->store_id, NULL, &root);
	if (!rc)
		rc = token_seal(keeper->token, &root, NULL, 0, plain, sizeof(plain), sealed);
	if (!rc)
		rc = token_unseal(keeper->token, &root, NULL, 0, sealed, sizeof(sealed), again);
	return rc;
}

/* ---- The file ------------------------------------------------------------------------------------ */

static int read_file(const struct custody_place *place, struct root_file *f)
{
	return custody_read_file(&custody_pkcs11, place, magic, f, sizeof(*f));
}

static int write_file(const struct custody_place *place, struct root_file *f)
{
	return custody_write_file(&custody_pkcs11, place, magic, f, sizeof(*f));
}

/* ---- Sessions ------------------------------------------------------------------------------------ */

static void pkcs11_release(struct custody_keeper *keeper)
{
	if (!keeper)
		return;
	token_close(keeper->token);
	free(keeper);
}

static int log_in(const struct custody_place *place, const struct proto_passphrase *pin,
	struct custody_keeper **keeper)
{
	const struct custody_config *config = place->config;

	struct custody_keeper *made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	int rc = token_open(config ? config->pkcs11_module : NULL,
		config ? config->pkcs11_token : NULL, pin, &made->token);
	if (rc) {
		free(made);
		return rc;
	}
	made->fresh = true;
	*keeper = made; /* caller owns it */
	return 0;
}

/* ---- Erasing ------------------------------------------------------------------------------------- */

/*
 * All objects of the store, the root key last, because it shows that the token is there. In a session that
 * has just been opened its absence is believed: an earlier call came so far.
 */
static int erase_objects(
	const struct custody_keeper *keeper, const uint8_t store_id[STORE_ID_BYTES])
{
	struct token *token = keeper->token;
	char prefix[TOKEN_KEY_LABEL_BYTES];
	struct token_key root = {0};

	level_prefix(store_id, prefix);
	int rc = name_key(store_id, NULL, &root);
	if (rc)
		return rc;
	int had = token_has(token, &root);
	if (had < 0)
		return had;
	if (!had && !keeper->fresh)
		return -EREMOTEIO;
	rc = token_destroy_all(token, prefix);
	if (!rc && had && token_has(token, &root) != 1)
		rc = -EREMOTEIO;
	return rc ? rc : token_destroy(token, &root);
}

static int erase_in_token(const struct custody_place *place, const struct root_file *f)
{
	struct custody_keeper *opened = NULL;

	if (place->keeper)
		return erase_objects(place->keeper, f->store_id);
	if (!place->passphrase)
		return -EKEYEXPIRED;
	int rc = log_in(place, place->passphrase, &opened);
	if (!rc)
		rc = erase_objects(opened, f->store_id);
	pkcs11_release(opened);
	return rc;
}

/* The file last: without it nobody knows the objects' names. */
static int pkcs11_erase(const struct custody_place *place)
{
	struct root_file f;

	int rc = read_file(place, &f);
	if (rc == -ENOENT)
		return 0;
	if (rc == -EBADMSG)
		log_error("a damaged file does not tell what the store has in the token: look for "
			  "objects that are labelled \"tgt-crypt ...\" there");
	else if (rc || (rc = erase_in_token(place, &f)))
		return rc;
	return custody_erase_file(&custody_pkcs11, place);
}

/* ---- The root key -------------------------------------------------------------------------------- */

static bool pkcs11_needs_passphrase(const struct custody_place *place)
{
	(void)place;
	return true;
}

/* Two root keys in the token would leave nothing that tells whose the level keys are. */
static bool is_there_already(const struct custody_place *place)
{
	struct stat st;

	return place->next &&
	       !fstatat(place->dir_fd, custody_pkcs11.file, &st, AT_SYMLINK_NOFOLLOW);
}

/* The file is there before the object, to name it if this is interrupted. */
static int make_root(const struct custody_place *place, struct custody_keeper *keeper,
	uint8_t root[ROOT_KEY_BYTES])
{
	struct root_file f = {0};
	struct token_key key = {0};

	memcpy(f.magic, magic, sizeof(magic));
	memcpy(f.store_id, keeper->store_id, sizeof(f.store_id));
	int rc = text_copy(f.token_label, sizeof(f.token_label), place->config->pkcs11_token);
	if (!rc)
		rc = text_copy(f.token_serial, sizeof(f.token_serial), token_serial(keeper->token));
	if (!rc)
		rc = name_key(f.store_id, NULL, &key);
	if (!rc)
		rc = write_file(place, &f);
	if (!rc)
		rc = token_make(keeper->token, &key);
	if (!rc)
		rc = wrap_new_key(root, ROOT_KEY_BYTES);
	if (!rc)
		rc = token_seal(keeper->token, &key, &f, offsetof(struct root_file, sealed), root,
			ROOT_KEY_BYTES, f.sealed);
	return rc ? rc : write_file(place, &f);
}

static int pkcs11_create(const struct custody_place *place,
	const struct proto_passphrase *passphrase, uint8_t root[ROOT_KEY_BYTES],
	struct custody_keeper **keeper)
{
	struct custody_place with_session = *place;

	*keeper = NULL;
	if (is_there_already(place))
		return -EALREADY;
	int rc = log_in(place, passphrase, &with_session.keeper);
	if (rc)
		return rc;
	rc = pkcs11_erase(&with_session); /* what an interrupted call left */
	if (!rc)
		rc = wrap_new_key(with_session.keeper->store_id, STORE_ID_BYTES);
	if (!rc)
		rc = make_root(place, with_session.keeper, root);
	if (rc) {
		secret_wipe(root, ROOT_KEY_BYTES);
		if (pkcs11_erase(&with_session))
			log_error("what was made of a root key may stay in the token");
		pkcs11_release(with_session.keeper);
		return rc;
	}
	with_session.keeper->fresh = false;
	*keeper = with_session.keeper; /* caller owns it */
	return 0;
}

static int open_root(
	struct custody_keeper *keeper, const struct root_file *f, uint8_t root[ROOT_KEY_BYTES])
{
	struct token_key key = {0};

	memcpy(keeper->store_id, f->store_id, sizeof(keeper->store_id));
	int rc = name_key(f->store_id, NULL, &key);
	if (!rc)
		rc = token_unseal(keeper->token, &key, f, offsetof(struct root_file, sealed),
			f->sealed, sizeof(f->sealed), root);
	if (rc == -ENOENT) {
		log_error("the token with the serial number %s has no key %s",
			token_serial(keeper->token), key.label);
		rc = -EIDRM;
	}
	return rc;
}

static int pkcs11_load(const struct custody_place *place, const struct proto_passphrase *passphrase,
	uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper)
{
	struct custody_keeper *opened = NULL;
	struct root_file f;

	*keeper = NULL;
	int rc = read_file(place, &f);
	if (!rc)
		rc = log_in(place, passphrase, &opened);
	if (rc)
		return rc;
	rc = open_root(opened, &f, root);
	if (rc) {
		pkcs11_release(opened);
		return rc;
	}
	opened->fresh = false;
	*keeper = opened; /* caller owns it */
	return 0;
}

/* ---- Level keys ---------------------------------------------------------------------------------- */

static int level_seal(struct custody_keeper *keeper, const char *level,
	const uint8_t key[WRAP_KEY_BYTES], uint8_t sealed[CUSTODY_SEALED_LEVEL_BYTES])
{
	struct token_key wrapping = {0};

	int rc = prove_presence(keeper);
	if (!rc)
		rc = name_key(keeper->store_id, level, &wrapping);
	if (rc)
		return rc;
	int had = token_has(keeper->token, &wrapping);
	if (had < 0)
		return had;
	if (!had)
		rc = token_make(keeper->token, &wrapping);
	if (!rc)
		rc = token_seal(keeper->token, &wrapping, level, strlen(level), key, WRAP_KEY_BYTES,
			sealed);
	return rc;
}

static int level_open(struct custody_keeper *keeper, const char *level,
	const uint8_t sealed[CUSTODY_SEALED_LEVEL_BYTES], uint8_t key[WRAP_KEY_BYTES])
{
	struct token_key wrapping = {0};

	if (!keeper)
		return -EREMOTEIO;
	int rc = name_key(keeper->store_id, level, &wrapping);
	if (!rc)
		rc = token_unseal(keeper->token, &wrapping, level, strlen(level), sealed,
			CUSTODY_SEALED_LEVEL_BYTES, key);
	if (rc != -ENOENT && rc != -EBADMSG)
		return rc;
	if (prove_use(keeper))
		return -EREMOTEIO;
	if (rc == -ENOENT)
		log_error("level %s: the token has no key for it any more", level);
	return -EBADMSG;
}

static int level_destroy(struct custody_keeper *keeper, const char *level)
{
	struct token_key wrapping = {0};

	int rc = prove_presence(keeper);
	if (!rc)
		rc = name_key(keeper->store_id, level, &wrapping);
	if (!rc)
		rc = token_destroy(keeper->token, &wrapping);
	return rc ? rc : prove_presence(keeper); /* else "not found" would say nothing */
}

static const struct custody_levels token_levels = {
	.checked = "the level's wrapping key in the token was destroyed and is not found there any "
		   "more",
	.check = prove_presence,
	.seal = level_seal,
	.open = level_open,
	.destroy = level_destroy,
};

const struct custody custody_pkcs11 = {
	.name = "pkcs11",
	.file = "root.pkcs11",
	.erase_class = "purge",
	.erase_class_reason =
		"the level's key is kept wrapped by a key of its own that never leaves the token: "
		"destroyed there, no copy of the wrapped keys can be opened any more",
	.levels = &token_levels,
	.needs_passphrase = pkcs11_needs_passphrase,
	.create = pkcs11_create,
	.load = pkcs11_load,
	.erase = pkcs11_erase,
	.release = pkcs11_release,
};
