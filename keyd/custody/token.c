/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/p11-kit.h>

#include "log.h"
#include "secret.h"
#include "text.h"
#include "wrap.h"

enum { SLOTS_MAX = 64, FOUND_MAX = 64, DESTROY_ROUNDS_MAX = 256, AES_KEY_BYTES = 32 };

struct token {
	CK_FUNCTION_LIST *p11; /* p11-kit's: shared use of a module is sorted out there */
	bool initialized;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session; /* CK_INVALID_HANDLE: none */
	char serial[TOKEN_SERIAL_BYTES];
};

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS secret_key_class = CKO_SECRET_KEY;

/* What the callers of this file can do something about; anything else is -EREMOTEIO. */
static const struct {
	CK_RV rv;
	int error;
} meanings[] = {
	{CKR_HOST_MEMORY, ENOMEM},
	{CKR_DEVICE_MEMORY, ENOSPC},
	{CKR_PIN_INCORRECT, EKEYREJECTED},
	{CKR_PIN_INVALID, EKEYREJECTED},
	{CKR_PIN_LEN_RANGE, EKEYREJECTED},
	{CKR_PIN_LOCKED, EKEYREVOKED},
	{CKR_PIN_EXPIRED, EKEYREVOKED},
	{CKR_OBJECT_HANDLE_INVALID, ENOENT},
	{CKR_KEY_HANDLE_INVALID, ENOENT},
	{CKR_ENCRYPTED_DATA_INVALID, EBADMSG},
	{CKR_ENCRYPTED_DATA_LEN_RANGE, EBADMSG},
	{CKR_MECHANISM_INVALID, ELIBBAD},
	{CKR_MECHANISM_PARAM_INVALID, ELIBBAD},
	{CKR_ATTRIBUTE_TYPE_INVALID, ELIBBAD},
	{CKR_ATTRIBUTE_VALUE_INVALID, ELIBBAD},
	{CKR_TEMPLATE_INCONSISTENT, ELIBBAD},
	{CKR_KEY_SIZE_RANGE, ELIBBAD},
};

static int error_of(const char *call, CK_RV rv)
{
	int error = EREMOTEIO;

	if (rv == CKR_OK)
		return 0;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].rv == rv)
			error = meanings[i].error;
	}
	log_warning("token: %s: %s (0x%lx)", call, p11_kit_strerror(rv), rv);
	return -error;
}

/* ---- Module, slot, session ----------------------------------------------------------------------- */

/* The standard's texts are padded with blanks and have no end. */
static void copy_padded(char *text, size_t cap, const unsigned char *padded)
{
	size_t len = cap - 1;

	while (len && (padded[len - 1] == ' ' || !padded[len - 1]))
		len--;
	memcpy(text, padded, len);
	text[len] = '\0';
}

static int load_module(struct token *token, const char *module)
{
	token->p11 = p11_kit_module_load(module, 0);
	if (!token->p11) {
		const char *why = p11_kit_message();
		log_error("cannot load the PKCS#11 module %s: %s", module, why ? why : "no reason");
		return -ELIBACC;
	}
	CK_RV rv = p11_kit_module_initialize(token->p11);
	if (rv != CKR_OK) {
		log_error("cannot initialize the PKCS#11 module %s: %s", module,
			p11_kit_strerror(rv));
		return -ELIBACC;
	}
	token->initialized = true;
	return 0;
}

static int find_slot(struct token *token, const char *wanted)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	bool found = false;

	CK_RV rv = token->p11->C_GetSlotList(CK_TRUE, slots, &count);
	if (rv != CKR_OK)
		return error_of("C_GetSlotList", rv);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_TOKEN_INFO info;
		char label[TOKEN_LABEL_BYTES];
		if (token->p11->C_GetTokenInfo(slots[i], &info) != CKR_OK)
			continue; /* another's trouble */
		copy_padded(label, sizeof(label), info.label);
		if (strcmp(label, wanted))
			continue;
		if (found)
			return -EMLINK;
		found = true;
		token->slot = slots[i];
		copy_padded(token->serial, sizeof(token->serial), info.serialNumber);
	}
	return found ? 0 : -ENOMEDIUM;
}

static int check_mechanism(struct token *token, CK_MECHANISM_TYPE type, CK_FLAGS wanted)
{
	CK_MECHANISM_INFO info;

	CK_RV rv = token->p11->C_GetMechanismInfo(token->slot, type, &info);
	if (rv != CKR_OK || (info.flags & wanted) != wanted)
		return -ELIBBAD;
	return 0;
}

static int log_in(struct token *token, const struct proto_passphrase *pin)
{
	CK_FUNCTION_LIST *p11 = token->p11;
	CK_UTF8CHAR *bytes = (CK_UTF8CHAR *)(uintptr_t)pin->bytes; /* only read */

	CK_RV rv = p11->C_OpenSession(
		token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &token->session);
	if (rv != CKR_OK) {
		token->session = CK_INVALID_HANDLE;
		return error_of("C_OpenSession", rv);
	}
	rv = p11->C_Login(token->session, CKU_USER, bytes, pin->len_bytes);
	if (rv == CKR_USER_ALREADY_LOGGED_IN) { /* which would take any PIN for the right one */
		(void)p11->C_Logout(token->session);
		rv = p11->C_Login(token->session, CKU_USER, bytes, pin->len_bytes);
	}
	return error_of("C_Login", rv);
}

int token_open(const char *module, const char *label, const struct proto_passphrase *pin,
	struct token **token)
{
	*token = NULL;
	if (!module || !label)
		return -ENOPKG;
	if (!pin || !pin->len_bytes)
		return -EKEYREJECTED;
	struct token *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	int rc = load_module(t, module);
	if (!rc)
		rc = find_slot(t, label);
	if (!rc)
		rc = check_mechanism(t, CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
	if (!rc)
		rc = check_mechanism(t, CKM_AES_KEY_GEN, CKF_GENERATE);
	if (!rc)
		rc = log_in(t, pin);
	if (rc) {
		token_close(t);
		return rc;
	}
	*token = t; /* caller owns it */
	return 0;
}

void token_close(struct token *token)
{
	if (!token)
		return;
	if (token->session != CK_INVALID_HANDLE) {
		(void)token->p11->C_Logout(token->session);
		(void)token->p11->C_CloseSession(token->session);
	}
	if (token->initialized)
		(void)p11_kit_module_finalize(token->p11);
	if (token->p11)
		p11_kit_module_release(token->p11);
	free(token);
}

const char *token_serial(const struct token *token)
{
	return token->serial;
}

/* ---- Finding ------------------------------------------------------------------------------------- */

/* Which objects a search takes up. */
struct search {
	const struct token_key *key; /* by its id; NULL: any */
	const char *prefix;          /* of the label; NULL: any */
	CK_OBJECT_HANDLE found[FOUND_MAX];
	size_t count;
};

static bool label_begins(struct token *token, CK_OBJECT_HANDLE object, const char *prefix)
{
	char label[TOKEN_KEY_LABEL_BYTES];
	CK_ATTRIBUTE attribute = {CKA_LABEL, label, sizeof(label)};
	size_t len = strlen(prefix);

	CK_RV rv = token->p11->C_GetAttributeValue(token->session, object, &attribute, 1);
	return rv == CKR_OK && attribute.ulValueLen >= len && !memcmp(label, prefix, len);
}

static CK_RV take_matches(struct token *token, struct search *search)
{
	CK_OBJECT_HANDLE object;
	CK_ULONG got = 1;
	CK_RV rv = CKR_OK;

	while (rv == CKR_OK && got && search->count < FOUND_MAX) {
		rv = token->p11->C_FindObjects(token->session, &object, 1, &got);
		if (rv == CKR_OK && got &&
			(!search->prefix || label_begins(token, object, search->prefix)))
			search->found[search->count++] = object;
	}
	return rv;
}

static int find(struct token *token, struct search *search)
{
	CK_ATTRIBUTE wanted[] = {
		{CKA_CLASS, &secret_key_class, sizeof(secret_key_class)},
		{CKA_TOKEN, &yes, sizeof(yes)},
		{CKA_ID, NULL, TOKEN_KEY_ID_BYTES},
	};
	CK_ULONG count = sizeof(wanted) / sizeof(wanted[0]);

	if (search->key)
		wanted[2].pValue = (void *)(uintptr_t)search->key->id; /* only read */
	else
		count--;
	search->count = 0;
	CK_RV rv = token->p11->C_FindObjectsInit(token->session, wanted, count);
	if (rv != CKR_OK)
		return error_of("C_FindObjectsInit", rv);
	rv = take_matches(token, search);
	CK_RV end = token->p11->C_FindObjectsFinal(token->session);
	return error_of("C_FindObjects", rv != CKR_OK ? rv : end);
}

static int find_one(struct token *token, const struct token_key *key, CK_OBJECT_HANDLE *object)
{
	struct search search = {.key = key};

	int rc = find(token, &search);
	if (!rc && !search.count)
		rc = -ENOENT;
	if (!rc)
		*object = search.found[0];
	return rc;
}

int token_has(struct token *token, const struct token_key *key)
{
	CK_OBJECT_HANDLE object;

	int rc = find_one(token, key, &object);
	return rc == -ENOENT ? 0 : rc ? rc : 1;
}

/* ---- Making and destroying ----------------------------------------------------------------------- */

/* What makes the key worth the token. */
static int check_made(struct token *token, CK_OBJECT_HANDLE object)
{
	CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE, local = CK_FALSE;
	CK_ATTRIBUTE looked_at[] = {
		{CKA_SENSITIVE, &sensitive, sizeof(sensitive)},
		{CKA_EXTRACTABLE, &extractable, sizeof(extractable)},
		{CKA_LOCAL, &local, sizeof(local)},
	};

	CK_RV rv = token->p11->C_GetAttributeValue(
		token->session, object, looked_at, sizeof(looked_at) / sizeof(looked_at[0]));
	if (rv != CKR_OK)
		return error_of("C_GetAttributeValue", rv);
	return sensitive && !extractable && local ? 0 : -ELIBBAD;
}

int token_make(struct token *token, const struct token_key *key)
{
	CK_KEY_TYPE type = CKK_AES;
	CK_ULONG len_bytes = AES_KEY_BYTES;
	CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
	CK_ATTRIBUTE template[] = {
		{CKA_CLASS, &secret_key_class, sizeof(secret_key_class)},
		{CKA_KEY_TYPE, &type, sizeof(type)},
		{CKA_VALUE_LEN, &len_bytes, sizeof(len_bytes)},
		{CKA_TOKEN, &yes, sizeof(yes)},
		{CKA_PRIVATE, &yes, sizeof(yes)},
		{CKA_SENSITIVE, &yes, sizeof(yes)},
		{CKA_EXTRACTABLE, &no, sizeof(no)},
		{CKA_ENCRYPT, &yes, sizeof(yes)},
		{CKA_DECRYPT, &yes, sizeof(yes)},
		{CKA_WRAP, &no, sizeof(no)},
		{CKA_UNWRAP, &no, sizeof(no)},
		{CKA_LABEL, (void *)(uintptr_t)key->label, strlen(key->label)},
		{CKA_ID, (void *)(uintptr_t)key->id, sizeof(key->id)},
		/* The last two are not known to every token. */
		{CKA_MODIFIABLE, &no, sizeof(no)},
		{CKA_COPYABLE, &no, sizeof(no)},
	};
	CK_ULONG count = sizeof(template) / sizeof(template[0]);
	CK_OBJECT_HANDLE object;

	CK_RV rv = token->p11->C_GenerateKey(token->session, &mechanism, template, count, &object);
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_TEMPLATE_INCONSISTENT ||
		rv == CKR_ATTRIBUTE_VALUE_INVALID)
		rv = token->p11->C_GenerateKey(
			token->session, &mechanism, template, count - 2, &object);
	if (rv != CKR_OK)
		return error_of("C_GenerateKey", rv);
	int rc = check_made(token, object);
	if (rc && token_destroy(token, key))
		log_error("the key %s stays in the token", key->label);
	return rc;
}

static int destroy_found(struct token *token, struct search *search)
{
	int rc = find(token, search);

	for (size_t i = 0; !rc && i < search->count; i++)
		rc = error_of("C_DestroyObject",
			token->p11->C_DestroyObject(token->session, search->found[i]));
	return rc;
}

int token_destroy(struct token *token, const struct token_key *key)
{
	struct search search = {.key = key};

	int rc = destroy_found(token, &search);
	if (!rc)
		rc = find(token, &search);
	return !rc && search.count ? -EIO : rc;
}

int token_destroy_all(struct token *token, const char *prefix)
{
	struct search search = {.prefix = prefix};

	if (!prefix[0]) /* would be every key in the token */
		return -EINVAL;

	for (unsigned round = 0; round < DESTROY_ROUNDS_MAX; round++) {
		int rc = destroy_found(token, &search);
		if (rc || !search.count)
			return rc;
	}
	return -EIO; /* a token that says it does, and does not */
}

/* ---- Sealing ------------------------------------------------------------------------------------- */

static CK_GCM_PARAMS gcm_params(const uint8_t *nonce, const void *aad, size_t aad_bytes)
{
	return (CK_GCM_PARAMS){
		.pIv = (CK_BYTE_PTR)(uintptr_t)nonce, /* only read */
		.ulIvLen = TOKEN_NONCE_BYTES,
		.ulIvBits = 8UL * TOKEN_NONCE_BYTES,
		.pAAD = (CK_BYTE_PTR)(uintptr_t)aad,
		.ulAADLen = aad_bytes,
		.ulTagBits = 8UL * TOKEN_TAG_BYTES,
	};
}

int token_seal(struct token *token, const struct token_key *key, const void *aad, size_t aad_bytes,
	const uint8_t *plain, size_t len_bytes, uint8_t *sealed)
{
	CK_GCM_PARAMS params = gcm_params(sealed, aad, aad_bytes);
	CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof(params)};
	CK_ULONG out_bytes = len_bytes + TOKEN_TAG_BYTES;
	CK_OBJECT_HANDLE object;
	uint8_t salt[WRAP_SALT_BYTES];

	/* The nonce differs for another plaintext even if the random bits repeat (wrap.h). */
	int rc = wrap_new_salt(plain, len_bytes, aad, aad_bytes, plain, len_bytes, salt);
	if (!rc)
		rc = find_one(token, key, &object);
	if (rc)
		return rc;
	memcpy(sealed, salt, TOKEN_NONCE_BYTES);
	CK_RV rv = token->p11->C_EncryptInit(token->session, &mechanism, object);
	if (rv != CKR_OK)
		return error_of("C_EncryptInit", rv);
	rv = token->p11->C_Encrypt(token->session, (CK_BYTE_PTR)(uintptr_t)plain, len_bytes,
		sealed + TOKEN_NONCE_BYTES, &out_bytes);
	if (rv != CKR_OK)
		return error_of("C_Encrypt", rv);
	return out_bytes == len_bytes + TOKEN_TAG_BYTES ? 0 : -ELIBBAD;
}

/* Decrypts into out, which has room for in_bytes: some modules want that much. */
static int decrypt(struct token *token, CK_OBJECT_HANDLE object, CK_GCM_PARAMS *params,
	const uint8_t *in, size_t in_bytes, uint8_t *out)
{
	CK_MECHANISM mechanism = {CKM_AES_GCM, params, sizeof(*params)};
	CK_ULONG out_bytes = in_bytes;

	CK_RV rv = token->p11->C_DecryptInit(token->session, &mechanism, object);
	if (rv != CKR_OK)
		return error_of("C_DecryptInit", rv);
	rv = token->p11->C_Decrypt(
		token->session, (CK_BYTE_PTR)(uintptr_t)in, in_bytes, out, &out_bytes);
	if (rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED)
		rv = CKR_ENCRYPTED_DATA_INVALID; /* what some say to a wrong tag */
	if (rv != CKR_OK)
		return error_of("C_Decrypt", rv);
	return out_bytes == in_bytes - TOKEN_TAG_BYTES ? 0 : -EBADMSG;
}

int token_unseal(struct token *token, const struct token_key *key, const void *aad,
	size_t aad_bytes, const uint8_t *sealed, size_t sealed_bytes, uint8_t *plain)
{
	CK_GCM_PARAMS params = gcm_params(sealed, aad, aad_bytes);
	CK_OBJECT_HANDLE object;

	if (sealed_bytes < TOKEN_OVERHEAD_BYTES || sealed_bytes > TOKEN_SEALED_BYTES_MAX)
		return -EBADMSG;
	uint8_t *out = secret_alloc(sealed_bytes);
	if (!out)
		return -errno;
	int rc = find_one(token, key, &object);
	if (!rc)
		rc = decrypt(token, object, &params, sealed + TOKEN_NONCE_BYTES,
			sealed_bytes - TOKEN_NONCE_BYTES, out);
	if (!rc)
		memcpy(plain, out, sealed_bytes - TOKEN_OVERHEAD_BYTES);
	else if (sealed_bytes > TOKEN_OVERHEAD_BYTES)
		secret_wipe(plain, sealed_bytes - TOKEN_OVERHEAD_BYTES);
	secret_free(out);
	return rc;
}

/* ---- For people ---------------------------------------------------------------------------------- */

const char *token_strerror(int rc)
{
	switch (rc) {
	case -ENOPKG:
		return "name pkcs11-module and pkcs11-token in keyd.conf(5) and restart keyd";
	case -ELIBACC:
		return "the PKCS#11 module cannot be loaded: see keyd's log and pkcs11-module in "
		       "keyd.conf(5)";
	case -ENOMEDIUM:
		return "no token is called so: see pkcs11-token in keyd.conf(5)";
	case -EMLINK:
		return "several tokens are called so: give them different labels";
	case -ELIBBAD:
		return "the token cannot keep AES keys and use them with GCM: take another";
	case -EKEYREVOKED:
		return "the token's PIN is locked or expired: its security officer sets a new one "
		       "with the token's own tools";
	case -EREMOTEIO:
		return "the token does not answer: when it does again, keyadm unlock";
	case -EREMCHG:
		return "the new root key counts, but the old one is not proven gone";
	case -EKEYEXPIRED:
		return "the token's PIN is needed for that: give it with keyadm unlock";
	default:
		return strerror(-rc);
	}
}
