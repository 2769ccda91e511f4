/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The root key in the NV memory of a TPM 2.0. Each root key has an epoch, one more than the last one's,
 * and lies in the first index when that is even, else in the second; the store's file says which counts.
 * So a further one can be made while the last still counts, and a store that is older than the TPM's
 * root key is seen.
 */
#include "custody.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include "log.h"
#include "secret.h"
#include "tpm2.h"

static const char magic[CUSTODY_MAGIC_BYTES] = "TGTKEYD tpm2 v1"; /* the version is part of it */
static const char slot_magic[8] = {'T', 'G', 'T', 'K', 'E', 'Y', 'D', '\n'};

enum {
	TAG_BYTES = 16,
	PIN_BYTES_MIN = 4, /* the TPM counts wrong ones */
	DEFAULT_NV_INDEX = 0x01800100,

	FLAG_PIN = 1,
	FLAG_RENEWED = 2, /* on the terms of the epoch before */
};

/* As on the medium, little-endian. */
struct root_file {
	char magic[16];
	uint64_t epoch;
	uint32_t nv_index; /* the first of two */
	uint32_t pcrs;
	uint32_t flags;
	uint32_t zero;
	uint8_t tag[TAG_BYTES];               /* random: also the salt of the PIN */
	uint8_t digest[CUSTODY_DIGEST_BYTES]; /* of all bytes before: tells damage */
};
_Static_assert(sizeof(struct root_file) == 88, "the file format has no padding");

/* As in the TPM. */
struct slot {
	uint8_t root[ROOT_KEY_BYTES];
	char magic[8];
	uint64_t epoch;
	uint8_t tag[TAG_BYTES];
};
_Static_assert(sizeof(struct slot) == 64, "the NV format has no padding");

struct custody_keeper {
	uint8_t auth[TPM2_AUTH_BYTES]; /* made from the PIN, for reading back */
};

/* ---- The file ------------------------------------------------------------------------------------ */

static int read_file(const struct custody_place *place, struct root_file *f)
{
	int rc = custody_read_file(&custody_tpm2, place, magic, f, sizeof(*f));
	if (!rc && le32toh(f->pcrs) >> TPM2_PCRS)
		rc = -EBADMSG;
	return rc;
}

static int write_file(const struct custody_place *place, struct root_file *f)
{
	return custody_write_file(&custody_tpm2, place, magic, f, sizeof(*f));
}

static bool has_pin(const struct root_file *f)
{
	return le32toh(f->flags) & FLAG_PIN;
}

/* The index of the root key that the file speaks of, or of the one before and after it. */
static uint32_t index_of(const struct root_file *f, bool other)
{
	return le32toh(f->nv_index) + (((le64toh(f->epoch) & 1) != 0) != other);
}

static struct tpm2_terms terms_of(const struct root_file *f, const struct custody_keeper *keeper)
{
	return (struct tpm2_terms){
		.pcrs = le32toh(f->pcrs), .auth = has_pin(f) ? keeper->auth : NULL};
}

/* ---- The PIN ------------------------------------------------------------------------------------- */

/* auth = SHA-256(tag || PIN): the TPM itself makes guessing slow. */
static int auth_from(const struct root_file *f, const struct proto_passphrase *pin, uint8_t *auth)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
		 EVP_DigestUpdate(ctx, f->tag, sizeof(f->tag)) &&
		 EVP_DigestUpdate(ctx, pin->bytes, pin->len_bytes) &&
		 EVP_DigestFinal_ex(ctx, auth, NULL);

	EVP_MD_CTX_free(ctx); /* cleanses */
	return ok ? 0 : -EIO;
}

/* A keeper with the authorization that the file asks for. */
static int new_keeper(const struct root_file *f, const struct proto_passphrase *pin,
	struct custody_keeper **keeper)
{
	struct custody_keeper *k = secret_alloc(sizeof(*k));
	if (!k)
		return -errno;
	int rc = has_pin(f) ? auth_from(f, pin, k->auth) : 0;
	if (rc) {
		secret_free(k);
		return rc;
	}
	*keeper = k;
	return 0;
}

static void tpm2_release(struct custody_keeper *keeper)
{
	secret_free(keeper);
}

static bool tpm2_needs_passphrase(const struct custody_place *place)
{
	struct root_file f;

	return !read_file(place, &f) && has_pin(&f);
}

/* ---- Slots --------------------------------------------------------------------------------------- */

/* 0; -ESTALE: it keeps another root key than the file speaks of. */
static int read_slot(struct tpm2 *tpm, const struct root_file *f,
	const struct custody_keeper *keeper, uint8_t root[ROOT_KEY_BYTES])
{
	const struct tpm2_terms terms = terms_of(f, keeper);

	struct slot *slot = secret_alloc(sizeof(*slot));
	if (!slot)
		return -errno;
	int rc = tpm2_read(tpm, index_of(f, false), &terms, (uint8_t *)slot, sizeof(*slot));
	if (!rc && (memcmp(slot->magic, slot_magic, sizeof(slot_magic)) ||
			   slot->epoch != f->epoch || memcmp(slot->tag, f->tag, TAG_BYTES)))
		rc = -ESTALE;
	if (!rc)
		memcpy(root, slot->root, sizeof(slot->root));
	secret_free(slot);
	return rc;
}

/* Writes root into the file's slot, and reads it back. */
static int fill_slot(struct tpm2 *tpm, const struct root_file *f,
	const struct custody_keeper *keeper, const uint8_t root[ROOT_KEY_BYTES])
{
	const struct tpm2_terms terms = terms_of(f, keeper);
	uint32_t index = index_of(f, false);

	struct slot *slot = secret_alloc(sizeof(*slot));
	if (!slot)
		return -errno;
	memcpy(slot->root, root, sizeof(slot->root));
	memcpy(slot->magic, slot_magic, sizeof(slot_magic));
	slot->epoch = f->epoch;
	memcpy(slot->tag, f->tag, TAG_BYTES);
	int rc = tpm2_define(tpm, index, &terms, sizeof(*slot));
	if (!rc)
		rc = tpm2_write(tpm, index, (const uint8_t *)slot, sizeof(*slot));
	memset(slot, 0, sizeof(*slot));
	if (!rc)
		rc = read_slot(tpm, f, keeper, slot->root);
	if (!rc && memcmp(slot->root, root, sizeof(slot->root)) != 0)
		rc = -EIO;
	secret_free(slot);
	return rc;
}

/* Reads back what was overwritten. */
static int check_zeros(struct tpm2 *tpm, uint32_t index, const struct tpm2_terms *terms)
{
	static const struct slot zeros;

	struct slot *slot = secret_alloc(sizeof(*slot));
	if (!slot)
		return -errno;
	int rc = tpm2_read(tpm, index, terms, (uint8_t *)slot, sizeof(*slot));
	if (!rc && memcmp(slot, &zeros, sizeof(zeros)) != 0)
		rc = -EIO;
	secret_free(slot);
	return rc;
}

/* Overwrites the index and takes it away. terms, where they are known: to read back in between. */
static int clear_slot(struct tpm2 *tpm, uint32_t index, const struct tpm2_terms *terms)
{
	static const struct slot zeros;

	int there = tpm2_exists(tpm, index);
	if (there <= 0)
		return there;
	int rc = tpm2_write(tpm, index, (const uint8_t *)&zeros, sizeof(zeros));
	if (!rc && terms)
		rc = check_zeros(tpm, index, terms);
	if (!rc)
		rc = tpm2_undefine(tpm, index);
	if (!rc)
		rc = tpm2_exists(tpm, index);
	return rc > 0 ? -EIO : rc;
}

/* ---- The row ------------------------------------------------------------------------------------- */

static const char *tcti_of(const struct custody_place *place)
{
	return place->config ? place->config->tpm2_tcti : NULL;
}

static uint32_t first_index_of(const struct custody_place *place)
{
	return place->config && place->config->tpm2_nv_index ? place->config->tpm2_nv_index
							     : DEFAULT_NV_INDEX;
}

/* The epoch after the one that counts, in the same indices; the first, in those that keyd.conf names. */
static int next_epoch(const struct custody_place *place, struct root_file *f)
{
	struct custody_place present = *place;
	struct root_file last;

	present.next = false;
	*f = (struct root_file){0};
	int rc = read_file(&present, &last);
	if (!rc) {
		f->epoch = htole64(le64toh(last.epoch) + 1);
		f->nv_index = last.nv_index;
		f->pcrs = last.pcrs;
		f->flags = last.flags;
	} else if (rc == -ENOENT) {
		f->epoch = htole64(1);
		f->nv_index = htole32(first_index_of(place));
		rc = 0;
	}
	return rc ? rc : wrap_new_key(f->tag, sizeof(f->tag));
}

/* Indices that this store has not made are left alone: they may keep another's root key. */
static int check_free(struct tpm2 *tpm, const struct root_file *f)
{
	if (le64toh(f->epoch) != 1)
		return 0;
	int there = tpm2_exists(tpm, index_of(f, false));
	if (!there)
		there = tpm2_exists(tpm, index_of(f, true));
	return there > 0 ? -EEXIST : there;
}

/* The file comes first, so that an interrupted one is found by erase(). */
static int make_epoch(struct tpm2 *tpm, const struct custody_place *place, struct root_file *f,
	const struct custody_keeper *keeper, uint8_t root[ROOT_KEY_BYTES])
{
	int rc = check_free(tpm, f);
	if (!rc)
		rc = write_file(place, f);
	if (!rc)
		rc = clear_slot(tpm, index_of(f, false), NULL);
	if (!rc)
		rc = wrap_new_key(root, ROOT_KEY_BYTES);
	if (!rc)
		rc = fill_slot(tpm, f, keeper, root);
	return rc;
}

static int create_epoch(const struct custody_place *place, struct root_file *f,
	const struct custody_keeper *keeper, uint8_t root[ROOT_KEY_BYTES])
{
	struct tpm2 *tpm;

	int rc = tpm2_open(tcti_of(place), &tpm);
	if (rc)
		return rc;
	rc = make_epoch(tpm, place, f, keeper, root);
	tpm2_close(tpm);
	return rc;
}

static int tpm2_create(const struct custody_place *place, const struct proto_passphrase *passphrase,
	uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper)
{
	bool pin = passphrase && passphrase->len_bytes;
	struct root_file f;

	*keeper = NULL;
	if (pin && passphrase->len_bytes < PIN_BYTES_MIN)
		return -EKEYREJECTED;
	int rc = next_epoch(place, &f);
	f.flags = htole32(pin ? FLAG_PIN : 0);
	f.pcrs = htole32(place->config ? place->config->tpm2_pcrs : 0);
	if (!rc)
		rc = new_keeper(&f, passphrase, keeper);
	if (!rc)
		rc = create_epoch(place, &f, *keeper, root);
	if (rc) {
		tpm2_release(*keeper);
		*keeper = NULL;
	}
	return rc;
}

static int tpm2_renew(const struct custody_place *place, struct custody_keeper *keeper,
	uint8_t root[ROOT_KEY_BYTES])
{
	struct custody_place present = *place;
	struct root_file f, last;

	present.next = false;
	int rc = read_file(&present, &last);
	if (!rc)
		rc = next_epoch(place, &f);
	if (rc)
		return rc;
	f.flags |= htole32(FLAG_RENEWED);
	memcpy(f.tag, last.tag, sizeof(f.tag)); /* the salt of the PIN, which nobody gives again */
	return create_epoch(place, &f, keeper, root);
}

static int tpm2_load(const struct custody_place *place, const struct proto_passphrase *passphrase,
	uint8_t root[ROOT_KEY_BYTES], struct custody_keeper **keeper)
{
	struct custody_keeper *k = NULL;
	struct tpm2 *tpm = NULL;
	struct root_file f;

	*keeper = NULL;
	int rc = read_file(place, &f);
	if (!rc && has_pin(&f) && (!passphrase || !passphrase->len_bytes))
		rc = -EKEYREJECTED;
	if (!rc)
		rc = new_keeper(&f, passphrase, &k);
	if (!rc)
		rc = tpm2_open(tcti_of(place), &tpm);
	if (!rc)
		rc = read_slot(tpm, &f, k, root);
	if (rc == -ENOENT && tpm) /* else it is the file that is not there */
		rc = tpm2_exists(tpm, index_of(&f, true)) > 0 ? -ESTALE : -ENXIO;
	tpm2_close(tpm);
	if (rc) {
		tpm2_release(k);
		return rc;
	}
	*keeper = k; /* the store owns it */
	return 0;
}

static int tpm2_settle(const struct custody_place *place, struct custody_keeper *keeper)
{
	struct root_file f;
	struct tpm2 *tpm;

	int rc = read_file(place, &f);
	if (!rc)
		rc = tpm2_open(tcti_of(place), &tpm);
	if (rc)
		return rc;
	const struct tpm2_terms terms = terms_of(&f, keeper);
	/* On other terms it cannot be read any more, and each try would count as a wrong PIN. */
	bool same_terms = le32toh(f.flags) & FLAG_RENEWED;
	rc = clear_slot(tpm, index_of(&f, true), same_terms ? &terms : NULL);
	tpm2_close(tpm);
	return rc;
}

/* Which indices a damaged file meant nobody can tell: then they are those of keyd.conf. */
static int clear_slots(const struct custody_place *place, const struct root_file *f)
{
	struct tpm2 *tpm;

	int rc = tpm2_open(tcti_of(place), &tpm);
	if (rc)
		return rc;
	rc = clear_slot(tpm, index_of(f, false), NULL);
	if (!rc && !place->next)
		rc = clear_slot(tpm, index_of(f, true), NULL);
	tpm2_close(tpm);
	return rc;
}

static int tpm2_erase(const struct custody_place *place)
{
	struct root_file f;

	int rc = read_file(place, &f);
	if (rc == -ENOENT)
		return 0;
	if (rc)
		f = (struct root_file){.nv_index = htole32(first_index_of(place))};
	rc = clear_slots(place, &f);
	return rc ? rc : custody_erase_file(&custody_tpm2, place);
}

const struct custody custody_tpm2 = {
	.name = "tpm2",
	.file = "root.tpm2",
	.erase_class = "purge",
	.erase_class_reason = "the root key was replaced in the TPM, and the old one overwritten "
			      "and removed there: "
			      "copies of the wrapped keys that flash, journals or snapshots kept "
			      "cannot be opened "
			      "any more",
	.needs_passphrase = tpm2_needs_passphrase,
	.create = tpm2_create,
	.load = tpm2_load,
	.renew = tpm2_renew,
	.settle = tpm2_settle,
	.erase = tpm2_erase,
	.release = tpm2_release,
};
