/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_cms.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "keyadm_file.h"
#include "keyadm_format.h"
#include "keyadm_passphrase.h"
#include "secret.h"

enum { PEM_BYTES_MAX = 64 * 1024 };

/* What the callback that OpenSSL calls for a passphrase needs to know. */
struct asking {
	const char *fd_text;
	bool failed; /* the reason has been told */
};

static int give_passphrase(char *to, int cap, int writing, void *arg)
{
	struct asking *asking = arg;
	int len = -1;

	(void)writing;
	struct proto_passphrase *passphrase = secret_alloc(sizeof(*passphrase));
	if (passphrase && !keyadm_passphrase(asking->fd_text, false, "private key", passphrase) &&
		passphrase->len_bytes <= (uint32_t)cap) {
		len = (int)passphrase->len_bytes;
		memcpy(to, passphrase->bytes, passphrase->len_bytes);
	}
	secret_free(passphrase);
	asking->failed = len < 0;
	return len;
}

/* A PEM file in memory that is wiped: stdio would keep a copy. *pem is for the caller to free. */
static BIO *open_pem(const char *path, uint8_t **pem)
{
	size_t len_bytes;

	*pem = NULL;
	if (keyadm_file_read(path, PEM_BYTES_MAX, pem, &len_bytes))
		return NULL;
	BIO *bio = BIO_new_mem_buf(*pem, (int)len_bytes);
	if (!bio)
		(void)keyadm_refuse(-ENOMEM, "out of memory");
	return bio;
}

int keyadm_certificate(const char *path, uint8_t *to, size_t cap_bytes, size_t *len_bytes)
{
	uint8_t *pem;
	int err = 0;

	BIO *bio = open_pem(path, &pem);
	X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	X509 *second = certificate ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	int len = certificate ? i2d_X509(certificate, NULL) : 0;

	if (!bio)
		err = -EIO; /* told */
	else if (len <= 0)
		err = keyadm_refuse(-EINVAL, "%s is no certificate in PEM", path);
	else if (second) /* of an issuer, who would be able to open the export */
		err = keyadm_refuse(-EINVAL,
			"%s has several certificates: give the recipient's own only", path);
	else if ((size_t)len > cap_bytes)
		err = keyadm_refuse(-EFBIG, "%s is too long", path);
	if (!err) {
		(void)i2d_X509(certificate, &to);
		*len_bytes = (size_t)len;
	}
	X509_free(second);
	X509_free(certificate);
	BIO_free(bio);
	secret_free(pem);
	return err;
}

static EVP_PKEY *read_key(const char *path, const char *fd_text)
{
	struct asking asking = {.fd_text = fd_text};
	uint8_t *pem;

	BIO *bio = open_pem(path, &pem);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asking) : NULL;
	if (bio && !key && !asking.failed)
		(void)keyadm_refuse(
			-EINVAL, "%s is no private key in PEM, or has another passphrase", path);
	BIO_free(bio);
	secret_free(pem);
	return key;
}

/* All of the content, from the cipher straight to plain. The number of its bytes, or -1. */
static ssize_t decrypt(CMS_ContentInfo *cms, uint8_t *plain, size_t cap_bytes)
{
	size_t len = 0;
	int n = -1;

	BIO *chain = CMS_dataInit(cms, NULL);
	if (!chain)
		return -1;
	while (len < cap_bytes) {
		n = BIO_read(chain, plain + len, (int)(cap_bytes - len));
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	/* The end of the content is where the tag is compared. */
	bool intact = !n && BIO_method_type(chain) == BIO_TYPE_CIPHER &&
		      BIO_get_cipher_status(chain) == 1;
	BIO_free_all(chain);
	return intact ? (ssize_t)len : -1;
}

/* Only what is authenticated: EnvelopedData without a tag would open as anything. */
static bool is_authenticated(const CMS_ContentInfo *cms)
{
	return OBJ_obj2nid(CMS_get0_type(cms)) == NID_id_smime_ct_authEnvelopedData;
}

static int open_envelope(
	CMS_ContentInfo *cms, EVP_PKEY *key, uint8_t *plain, size_t cap_bytes, size_t *plain_bytes)
{
	ssize_t len =
		CMS_decrypt_set1_pkey(cms, key, NULL) == 1 ? decrypt(cms, plain, cap_bytes) : -1;
	if (len < 0)
		return keyadm_refuse(-EKEYREJECTED,
			"this private key does not open the export: it is for others, or was "
			"changed");
	*plain_bytes = (size_t)len;
	return 0;
}

int keyadm_cms_open(const uint8_t *der, size_t der_bytes, const char *key_path, const char *fd_text,
	uint8_t **plain, size_t *plain_bytes)
{
	const uint8_t *at = der;
	uint8_t *opened = NULL;
	int err = -EIO; /* told */

	CMS_ContentInfo *cms =
		der_bytes <= INT_MAX ? d2i_CMS_ContentInfo(NULL, &at, (long)der_bytes) : NULL;
	if (!cms || at != der + der_bytes || !is_authenticated(cms)) {
		err = keyadm_refuse(-EBADMSG, "that is no export, or it is cut");
		goto out;
	}
	EVP_PKEY *key = read_key(key_path, fd_text);
	if (!key)
		goto out;
	/* One byte more than the content can have: then its end is seen. */
	opened = secret_alloc(der_bytes + 1);
	err = opened ? open_envelope(cms, key, opened, der_bytes + 1, plain_bytes)
		     : keyadm_refuse(-ENOMEM, "cannot lock memory for the export: raise ulimit -l");
	EVP_PKEY_free(key);
	if (!err) {
		*plain = opened;
		opened = NULL; /* caller owns it */
	}
out:
	secret_free(opened);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return err;
}
