/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tpm2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include "log.h"
#include "secret.h"

struct tpm2 {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR salt_key; /* sessions are salted with it, so that the bus shows nothing */
};

static const TPMT_SYM_DEF session_cipher = {
	.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

/* ---- Errors -------------------------------------------------------------------------------------- */

static int errno_of(TSS2_RC rc)
{
	TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

	if (layer == TSS2_TCTI_RC_LAYER)
		return -ENODEV;
	if (layer && layer != TSS2_RESMGR_TPM_RC_LAYER)
		return -EIO;
	rc &= ~TSS2_RC_LAYER_MASK;
	/* Format 1 names the parameter, handle or session at fault, too (part 2, section 6.6). */
	switch (rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc) {
	case TPM2_RC_AUTH_FAIL:
	case TPM2_RC_BAD_AUTH:
		return -EKEYREJECTED;
	case TPM2_RC_LOCKOUT:
		return -EBUSY;
	case TPM2_RC_POLICY_FAIL:
	case TPM2_RC_PCR_CHANGED:
		return -EACCES;
	case TPM2_RC_HANDLE:
		return -ENOENT;
	case TPM2_RC_NV_DEFINED:
		return -EEXIST;
	case TPM2_RC_NV_SPACE:
		return -ENOSPC;
	case TPM2_RC_NV_UNINITIALIZED:
		return -ENODATA;
	default:
		return -EIO;
	}
}

static int check(const char *what, TSS2_RC rc)
{
	if (rc == TSS2_RC_SUCCESS)
		return 0;
	int err = errno_of(rc);
	if (err != -ENOENT)
		log_error("the TPM: %s: %s", what, Tss2_RC_Decode(rc));
	return err;
}

/* The owner hierarchy is asked without a password: that it has one is another thing than a wrong PIN. */
static int check_owner(const char *what, TSS2_RC rc)
{
	int err = check(what, rc);
	return err == -EKEYREJECTED ? -EOPNOTSUPP : err;
}

/* ---- The connection ------------------------------------------------------------------------------ */

static int make_salt_key(struct tpm2 *tpm)
{
	static const TPM2B_PUBLIC template = {
		.publicArea = {
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT |
					    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
					    TPMA_OBJECT_SENSITIVEDATAORIGIN |
					    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
			.parameters.eccDetail =
				{
					.symmetric = {.algorithm = TPM2_ALG_AES,
						.keyBits.aes = 128,
						.mode.aes = TPM2_ALG_CFB},
					.scheme.scheme = TPM2_ALG_NULL,
					.curveID = TPM2_ECC_NIST_P256,
					.kdf.scheme = TPM2_ALG_NULL,
				},
		}};
	static const TPM2B_SENSITIVE_CREATE sensitive;
	static const TPM2B_DATA outside;
	static const TPML_PCR_SELECTION pcrs;

	return check("making a session key",
		Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, ESYS_TR_NONE,
			ESYS_TR_NONE, &sensitive, &template, &outside, &pcrs, &tpm->salt_key, NULL,
			NULL, NULL, NULL));
}

int tpm2_open(const char *tcti, struct tpm2 **out)
{
	(void)setenv("TSS2_LOG", "all+none", 0); /* what goes wrong is logged here */
	struct tpm2 *tpm = calloc(1, sizeof(*tpm));
	if (!tpm)
		return -ENOMEM;
	tpm->salt_key = ESYS_TR_NONE;
	int rc = check("connecting", Tss2_TctiLdr_Initialize(tcti, &tpm->tcti));
	if (rc)
		rc = -ENODEV;
	if (!rc)
		rc = check("connecting", Esys_Initialize(&tpm->esys, tpm->tcti, NULL));
	if (!rc)
		rc = make_salt_key(tpm);
	if (rc) {
		tpm2_close(tpm);
		return rc;
	}
	*out = tpm;
	return 0;
}

static void flush(struct tpm2 *tpm, ESYS_TR *handle)
{
	if (*handle != ESYS_TR_NONE)
		(void)Esys_FlushContext(tpm->esys, *handle);
	*handle = ESYS_TR_NONE;
}

void tpm2_close(struct tpm2 *tpm)
{
	if (!tpm)
		return;
	if (tpm->esys) {
		flush(tpm, &tpm->salt_key);
		Esys_Finalize(&tpm->esys);
	}
	if (tpm->tcti)
		Tss2_TctiLdr_Finalize(&tpm->tcti);
	free(tpm);
}

/* ---- Sessions ------------------------------------------------------------------------------------ */

/* flags: TPMA_SESSION_DECRYPT for what is sent, TPMA_SESSION_ENCRYPT for what comes back. */
static int start_session(struct tpm2 *tpm, TPM2_SE type, TPMA_SESSION flags, ESYS_TR *session)
{
	*session = ESYS_TR_NONE;
	int rc = check(
		"starting a session", Esys_StartAuthSession(tpm->esys, tpm->salt_key, ESYS_TR_NONE,
					      ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, type,
					      &session_cipher, TPM2_ALG_SHA256, session));
	if (!rc)
		rc = check(
			"starting a session", Esys_TRSess_SetAttributes(tpm->esys, *session,
						      flags | TPMA_SESSION_CONTINUESESSION,
						      TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT |
							      TPMA_SESSION_CONTINUESESSION));
	return rc;
}

/* What a policy session has to show before an index on these terms can be read. */
static int assert_terms(struct tpm2 *tpm, const struct tpm2_terms *terms, ESYS_TR session)
{
	static const TPM2B_DIGEST as_they_are;
	TPML_PCR_SELECTION pcrs = {.count = 1,
		.pcrSelections[0] = {.hash = TPM2_ALG_SHA256, .sizeofSelect = TPM2_PCRS / 8}};

	for (size_t i = 0; i < TPM2_PCRS / 8; i++)
		pcrs.pcrSelections[0].pcrSelect[i] = (BYTE)(terms->pcrs >> (8 * i));
	int rc =
		check("reading the PCRs", Esys_PolicyPCR(tpm->esys, session, ESYS_TR_NONE,
						  ESYS_TR_NONE, ESYS_TR_NONE, &as_they_are, &pcrs));
	if (!rc && terms->auth)
		rc = check("asking for the PIN", Esys_PolicyAuthValue(tpm->esys, session,
							 ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE));
	return rc;
}

/* The policy of an index on these terms: empty without PCRs. */
static int policy_of(struct tpm2 *tpm, const struct tpm2_terms *terms, TPM2B_DIGEST *policy)
{
	TPM2B_DIGEST *digest = NULL;
	ESYS_TR trial;

	policy->size = 0;
	if (!terms->pcrs)
		return 0;
	int rc = start_session(tpm, TPM2_SE_TRIAL, 0, &trial);
	if (!rc)
		rc = assert_terms(tpm, terms, trial);
	if (!rc)
		rc = check(
			"computing a policy", Esys_PolicyGetDigest(tpm->esys, trial, ESYS_TR_NONE,
						      ESYS_TR_NONE, ESYS_TR_NONE, &digest));
	if (!rc)
		*policy = *digest;
	Esys_Free(digest);
	flush(tpm, &trial);
	return rc;
}

/* ---- Indices ------------------------------------------------------------------------------------- */

static int open_index(struct tpm2 *tpm, uint32_t index, ESYS_TR *handle)
{
	*handle = ESYS_TR_NONE;
	return check(
		"looking for an NV index", Esys_TR_FromTPMPublic(tpm->esys, index, ESYS_TR_NONE,
						   ESYS_TR_NONE, ESYS_TR_NONE, handle));
}

static void close_index(struct tpm2 *tpm, ESYS_TR *handle)
{
	if (*handle != ESYS_TR_NONE)
		(void)Esys_TR_Close(tpm->esys, handle);
}

int tpm2_exists(struct tpm2 *tpm, uint32_t index)
{
	ESYS_TR handle;

	int rc = open_index(tpm, index, &handle);
	close_index(tpm, &handle);
	return rc == -ENOENT ? 0 : rc ? rc : 1;
}

int tpm2_define(struct tpm2 *tpm, uint32_t index, const struct tpm2_terms *terms, size_t len_bytes)
{
	TPM2B_NV_PUBLIC public = {
		.nvPublic = {
			.nvIndex = index,
			.nameAlg = TPM2_ALG_SHA256,
			.attributes = TPMA_NV_OWNERWRITE |
				      (terms->pcrs ? TPMA_NV_POLICYREAD : TPMA_NV_AUTHREAD) |
				      (terms->auth ? 0 : TPMA_NV_NO_DA),
			.dataSize = (UINT16)len_bytes,
		}};
	ESYS_TR session = ESYS_TR_NONE, handle = ESYS_TR_NONE;
	TPM2B_AUTH auth = {0};

	if (terms->auth) {
		auth.size = TPM2_AUTH_BYTES;
		memcpy(auth.buffer, terms->auth, TPM2_AUTH_BYTES);
	}
	int rc = policy_of(tpm, terms, &public.nvPublic.authPolicy);
	if (!rc)
		rc = start_session(tpm, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT, &session);
	if (!rc)
		rc = check_owner("defining an NV index",
			Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE,
				ESYS_TR_NONE, &auth, &public, &handle));
	secret_wipe(&auth, sizeof(auth));
	close_index(tpm, &handle);
	flush(tpm, &session);
	return rc;
}

int tpm2_write(struct tpm2 *tpm, uint32_t index, const uint8_t *data, size_t len_bytes)
{
	TPM2B_MAX_NV_BUFFER buffer = {.size = (UINT16)len_bytes};
	ESYS_TR session = ESYS_TR_NONE, handle;

	if (len_bytes > TPM2_DATA_BYTES_MAX)
		return -EINVAL;
	memcpy(buffer.buffer, data, len_bytes);
	int rc = open_index(tpm, index, &handle);
	if (!rc)
		rc = start_session(tpm, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT, &session);
	if (!rc)
		rc = check_owner("writing an NV index",
			Esys_NV_Write(tpm->esys, ESYS_TR_RH_OWNER, handle, session, ESYS_TR_NONE,
				ESYS_TR_NONE, &buffer, 0));
	secret_wipe(&buffer, sizeof(buffer));
	flush(tpm, &session);
	close_index(tpm, &handle);
	return rc;
}

/* ESYS keeps the last answer in memory that it frees unwiped: another answer goes over it. */
static void wipe_last_answer(struct tpm2 *tpm, ESYS_TR session)
{
	TPM2B_DIGEST *random = NULL;

	(void)Esys_GetRandom(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
		sizeof(((TPMU_HA *)0)->sha512), &random);
	Esys_Free(random);
}

static int set_auth(struct tpm2 *tpm, ESYS_TR handle, const struct tpm2_terms *terms)
{
	TPM2B_AUTH auth = {.size = TPM2_AUTH_BYTES};

	if (!terms->auth)
		return 0;
	memcpy(auth.buffer, terms->auth, TPM2_AUTH_BYTES);
	int rc = check("setting the PIN", Esys_TR_SetAuth(tpm->esys, handle, &auth));
	secret_wipe(&auth, sizeof(auth));
	return rc;
}

static int read_index(
	struct tpm2 *tpm, ESYS_TR handle, ESYS_TR session, uint8_t *data, size_t len_bytes)
{
	TPM2B_MAX_NV_BUFFER *buffer = NULL;

	int rc = check("reading an NV index",
		Esys_NV_Read(tpm->esys, handle, handle, session, ESYS_TR_NONE, ESYS_TR_NONE,
			(UINT16)len_bytes, 0, &buffer));
	if (!rc && buffer->size != len_bytes)
		rc = -EIO;
	if (!rc)
		memcpy(data, buffer->buffer, len_bytes);
	if (buffer)
		secret_wipe(buffer, sizeof(*buffer));
	Esys_Free(buffer);
	return rc;
}

int tpm2_read(struct tpm2 *tpm, uint32_t index, const struct tpm2_terms *terms, uint8_t *data,
	size_t len_bytes)
{
	ESYS_TR session = ESYS_TR_NONE, wiping = ESYS_TR_NONE, handle;

	int rc = open_index(tpm, index, &handle);
	if (!rc)
		rc = set_auth(tpm, handle, terms);
	if (!rc)
		rc = start_session(tpm, TPM2_SE_HMAC, TPMA_SESSION_ENCRYPT, &wiping);
	if (!rc)
		rc = start_session(tpm, terms->pcrs ? TPM2_SE_POLICY : TPM2_SE_HMAC,
			TPMA_SESSION_ENCRYPT, &session);
	if (!rc && terms->pcrs)
		rc = assert_terms(tpm, terms, session);
	if (!rc) {
		rc = read_index(tpm, handle, session, data, len_bytes);
		wipe_last_answer(tpm, wiping);
	}
	flush(tpm, &session);
	flush(tpm, &wiping);
	close_index(tpm, &handle);
	return rc;
}

int tpm2_undefine(struct tpm2 *tpm, uint32_t index)
{
	ESYS_TR session = ESYS_TR_NONE, handle;

	int rc = open_index(tpm, index, &handle);
	if (!rc)
		rc = start_session(tpm, TPM2_SE_HMAC, 0, &session);
	if (!rc)
		rc = check_owner("removing an NV index",
			Esys_NV_UndefineSpace(tpm->esys, ESYS_TR_RH_OWNER, handle, session,
				ESYS_TR_NONE, ESYS_TR_NONE));
	if (rc)
		close_index(tpm, &handle);
	flush(tpm, &session);
	return rc;
}
