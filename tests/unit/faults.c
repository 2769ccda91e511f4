/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <libcryptsetup.h>
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/kdf.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CALLERS = 4,
	INNER = 2,        /* frames of this file: due(), and what stands for the function */
	PLACES = 1 << 14, /* a power of two */
};

struct place {
	uint64_t id; /* 0: free */
	unsigned run, calls;
	unsigned failed; /* a bit for each of the first calls */
};

/* Shared with children. */
static struct state {
	struct place places[PLACES];
	unsigned run;
	bool armed, running;
	const char *fired;
	void *callers[CALLERS + INNER];
	int depth;
} * state;

void *__real_mmap(void *a, size_t b, int c, int d, int e, off_t f);

void faults_begin(void)
{
	void *warm_up[1];

	(void)backtrace(warm_up, 1); /* loads libgcc, which may not be when a call fails */
	if (!state)
		state = __real_mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(state, 0, sizeof(*state));
}

void faults_run(void)
{
	state->run++;
	state->fired = NULL;
	state->running = true;
}

void faults_end(void)
{
	state->running = false;
}

void faults_arm(void)
{
	if (state)
		state->armed = true;
}

void faults_disarm(void)
{
	if (state)
		state->armed = false;
}

const char *faults_fired(void)
{
	return state->fired;
}

const char *faults_place(void)
{
	static char text[CALLERS * 24];
	extern const char __executable_start[];
	size_t used = 0;

	text[0] = '\0';
	for (int i = INNER; i < state->depth && used < sizeof(text); i++) {
		int n = snprintf(text + used, sizeof(text) - used, " %#tx",
			(const char *)state->callers[i] - __executable_start - 1);
		used += n > 0 ? (size_t)n : 0;
	}
	return text;
}

static struct place *find(uint64_t id)
{
	size_t i = id % PLACES;

	while (state->places[i].id && state->places[i].id != id)
		i = (i + 1) % PLACES;
	state->places[i].id = id;
	return &state->places[i];
}

/* True: this call is to fail. */
static __attribute__((noinline)) bool due(const char *name)
{
	uint64_t id = 0xcbf29ce484222325; /* FNV-1a, of addresses */

	if (!state || !state->armed || !state->running || state->fired)
		return false;
	state->armed = false; /* backtrace() may call */
	state->depth = backtrace(state->callers, CALLERS + INNER);
	state->armed = true;
	for (int i = 1; i < state->depth; i++)
		id = (id ^ (uintptr_t)state->callers[i]) * 0x100000001b3;
	struct place *place = find(id | 1);
	if (place->run != state->run)
		place->calls = 0;
	place->run = state->run;
	unsigned call = place->calls++;
	if (call >= FAULTS_REPEATED || (place->failed & (1u << call)))
		return false;
	place->failed |= 1u << call;
	state->fired = name;
	return true;
}

/* ---- The functions: what each returns when it fails, and in errno ------------------------------ */

#define FAIL(ret, name, value, err, params, args)                                                  \
	ret __real_##name params;                                                                  \
	ret __wrap_##name params;                                                                  \
	__attribute__((noinline)) ret __wrap_##name params                                         \
	{                                                                                          \
		if (due(#name)) {                                                                  \
			errno = (err) ? (err) : errno;                                             \
			return (ret)(value);                                                       \
		}                                                                                  \
		return __real_##name args;                                                         \
	}
#define FAIL1(ret, name, value, err, A)    FAIL(ret, name, value, err, (A a), (a))
#define FAIL2(ret, name, value, err, A, B) FAIL(ret, name, value, err, (A a, B b), (a, b))
#define FAIL3(ret, name, value, err, A, B, C)                                                      \
	FAIL(ret, name, value, err, (A a, B b, C c), (a, b, c))
#define FAIL4(ret, name, value, err, A, B, C, D)                                                   \
	FAIL(ret, name, value, err, (A a, B b, C c, D d), (a, b, c, d))
#define FAIL5(ret, name, value, err, A, B, C, D, E)                                                \
	FAIL(ret, name, value, err, (A a, B b, C c, D d, E e), (a, b, c, d, e))
#define FAIL6(ret, name, value, err, A, B, C, D, E, F)                                             \
	FAIL(ret, name, value, err, (A a, B b, C c, D d, E e, F f), (a, b, c, d, e, f))
#define FAIL8(ret, name, value, err, A, B, C, D, E, F, G, H)                                       \
	FAIL(ret, name, value, err, (A a, B b, C c, D d, E e, F f, G g, H h),                      \
		(a, b, c, d, e, f, g, h))

/* Memory. */
FAIL1(void *, malloc, NULL, ENOMEM, size_t)
FAIL2(void *, calloc, NULL, ENOMEM, size_t, size_t)
FAIL2(void *, realloc, NULL, ENOMEM, void *, size_t)
FAIL3(void *, reallocarray, NULL, ENOMEM, void *, size_t, size_t)
FAIL1(char *, strdup, NULL, ENOMEM, const char *)
FAIL2(char *, strndup, NULL, ENOMEM, const char *, size_t)
FAIL2(int, mlock, -1, ENOMEM, const void *, size_t)
FAIL3(int, madvise, -1, EINVAL, void *, size_t, int)
FAIL3(int, mprotect, -1, ENOMEM, void *, size_t, int)
FAIL6(void *, mmap, MAP_FAILED, ENOMEM, void *, size_t, int, int, int, off_t)

/* Files. */
FAIL2(int, fstat, -1, EIO, int, struct stat *)
FAIL2(int, lstat, -1, EIO, const char *, struct stat *)
FAIL4(int, fstatat, -1, EIO, int, const char *, struct stat *, int)
FAIL2(int, ftruncate, -1, EIO, int, off_t)
FAIL4(int, fallocate, -1, ENOSPC, int, int, off_t, off_t)
FAIL2(int, flock, -1, EIO, int, int)
FAIL1(int, fsync, -1, EIO, int)
FAIL1(int, fdatasync, -1, EIO, int)
FAIL3(ssize_t, read, -1, EIO, int, void *, size_t)
FAIL3(ssize_t, getrandom, -1, EIO, void *, size_t, unsigned)
FAIL4(ssize_t, pread, -1, EIO, int, void *, size_t, off_t)
FAIL3(ssize_t, write, -1, ENOSPC, int, const void *, size_t)
FAIL4(ssize_t, pwrite, -1, EIO, int, const void *, size_t, off_t)
FAIL4(int, renameat, -1, EIO, int, const char *, int, const char *)
FAIL5(int, renameat2, -1, EIO, int, const char *, int, const char *, unsigned)
FAIL3(int, unlinkat, -1, EIO, int, const char *, int)
FAIL3(int, mkdirat, -1, ENOSPC, int, const char *, mode_t)
FAIL2(int, mkdir, -1, ENOSPC, const char *, mode_t)
FAIL1(struct dirent *, readdir, NULL, EIO, DIR *)
FAIL1(DIR *, fdopendir, NULL, ENOMEM, int)
FAIL2(int, memfd_create, -1, EMFILE, const char *, unsigned)

int __real_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, ...);
__attribute__((noinline)) int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
	va_list args;

	if (due("openat")) {
		errno = EMFILE;
		return -1;
	}
	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __real_openat(dir_fd, path, flags, mode);
}

/* The descriptor is gone whatever close(2) says. */
int __real_close(int fd);
int __wrap_close(int fd);
__attribute__((noinline)) int __wrap_close(int fd)
{
	bool fails = due("close");
	int rc = __real_close(fd);

	if (fails)
		errno = EIO;
	return fails ? -1 : rc;
}

/* Connections and processes. */
FAIL3(int, socket, -1, EMFILE, int, int, int)
FAIL3(ssize_t, sendmsg, -1, ENOBUFS, int, const struct msghdr *, int)
FAIL3(ssize_t, recvmsg, -1, ENOBUFS, int, struct msghdr *, int)
FAIL5(int, getsockopt, -1, ENOBUFS, int, int, int, void *, socklen_t *)
FAIL2(int, pidfd_open, -1, EMFILE, pid_t, unsigned)

/* OpenSSL. */
FAIL(EVP_MD_CTX *, EVP_MD_CTX_new, NULL, 0, (void), ())
FAIL3(int, EVP_DigestInit_ex, 0, 0, EVP_MD_CTX *, const EVP_MD *, ENGINE *)
FAIL3(int, EVP_DigestUpdate, 0, 0, EVP_MD_CTX *, const void *, size_t)
FAIL3(int, EVP_DigestFinal_ex, 0, 0, EVP_MD_CTX *, unsigned char *, unsigned *)
FAIL5(int, EVP_DigestSignInit, 0, 0, EVP_MD_CTX *, EVP_PKEY_CTX **, const EVP_MD *, ENGINE *,
	EVP_PKEY *)
FAIL5(int, EVP_DigestSign, 0, 0, EVP_MD_CTX *, unsigned char *, size_t *, const unsigned char *,
	size_t)
FAIL5(int, EVP_DigestVerifyInit, 0, 0, EVP_MD_CTX *, EVP_PKEY_CTX **, const EVP_MD *, ENGINE *,
	EVP_PKEY *)
FAIL(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, NULL, 0, (void), ())
FAIL4(int, EVP_CIPHER_CTX_ctrl, 0, 0, EVP_CIPHER_CTX *, int, int, void *)
FAIL5(int, EVP_EncryptInit_ex, 0, 0, EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *,
	const unsigned char *, const unsigned char *)
FAIL5(int, EVP_EncryptUpdate, 0, 0, EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *,
	int)
FAIL3(int, EVP_EncryptFinal_ex, 0, 0, EVP_CIPHER_CTX *, unsigned char *, int *)
FAIL5(int, EVP_DecryptInit_ex, 0, 0, EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *,
	const unsigned char *, const unsigned char *)
FAIL5(int, EVP_DecryptUpdate, 0, 0, EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *,
	int)
FAIL3(EVP_MAC *, EVP_MAC_fetch, NULL, 0, OSSL_LIB_CTX *, const char *, const char *)
FAIL1(EVP_MAC_CTX *, EVP_MAC_CTX_new, NULL, 0, EVP_MAC *)
FAIL4(int, EVP_MAC_init, 0, 0, EVP_MAC_CTX *, const unsigned char *, size_t, const OSSL_PARAM *)
FAIL3(int, EVP_MAC_update, 0, 0, EVP_MAC_CTX *, const unsigned char *, size_t)
FAIL4(int, EVP_MAC_final, 0, 0, EVP_MAC_CTX *, unsigned char *, size_t *, size_t)
FAIL4(EVP_PKEY *, EVP_PKEY_new_raw_private_key, NULL, 0, int, ENGINE *, const unsigned char *,
	size_t)
FAIL3(EVP_KDF *, EVP_KDF_fetch, NULL, 0, OSSL_LIB_CTX *, const char *, const char *)
FAIL1(EVP_KDF_CTX *, EVP_KDF_CTX_new, NULL, 0, EVP_KDF *)
FAIL4(int, EVP_KDF_derive, 0, 0, EVP_KDF_CTX *, unsigned char *, size_t, const OSSL_PARAM *)
FAIL3(unsigned char *, SHA256, NULL, 0, const unsigned char *, size_t, unsigned char *)
FAIL1(BIO *, BIO_new, NULL, 0, const BIO_METHOD *)
FAIL2(BIO *, BIO_new_mem_buf, NULL, 0, const void *, int)
FAIL2(int, i2d_PUBKEY, -1, 0, const EVP_PKEY *, unsigned char **)
FAIL2(int, PEM_write_bio_PUBKEY, 0, 0, BIO *, const EVP_PKEY *)
FAIL4(CMS_ContentInfo *, CMS_encrypt, NULL, 0, STACK_OF(X509) *, BIO *, const EVP_CIPHER *,
	unsigned)
FAIL2(int, CMS_dataFinal, 0, 0, CMS_ContentInfo *, BIO *)
FAIL2(BIO *, CMS_dataInit, NULL, 0, CMS_ContentInfo *, BIO *)
FAIL2(int, i2d_CMS_ContentInfo, -1, 0, const CMS_ContentInfo *, unsigned char **)
FAIL4(int, X509_digest, 0, 0, const X509 *, const EVP_MD *, unsigned char *, unsigned *)

/* libcryptsetup. */
FAIL2(int, crypt_metadata_locking, -EIO, 0, struct crypt_device *, int)
FAIL2(int, crypt_init, -ENOMEM, 0, struct crypt_device **, const char *)
FAIL2(int, crypt_set_pbkdf_type, -ENOMEM, 0, struct crypt_device *, const struct crypt_pbkdf_type *)
FAIL8(int, crypt_format, -EIO, 0, struct crypt_device *, const char *, const char *, const char *,
	const char *, const char *, size_t, void *)
FAIL3(int, crypt_token_json_set, -ENOSPC, 0, struct crypt_device *, int, const char *)
FAIL1(uint64_t, crypt_get_data_offset, 0, 0, struct crypt_device *)

/* json-c. */
FAIL(struct json_object *, json_object_new_object, NULL, ENOMEM, (void), ())
FAIL(struct json_object *, json_object_new_array, NULL, ENOMEM, (void), ())
FAIL1(struct json_object *, json_object_new_string, NULL, ENOMEM, const char *)
FAIL1(struct json_object *, json_object_new_uint64, NULL, ENOMEM, uint64_t)
FAIL1(struct json_object *, json_object_new_boolean, NULL, ENOMEM, json_bool)
FAIL3(int, json_object_object_add, -1, ENOMEM, struct json_object *, const char *,
	struct json_object *)
FAIL2(int, json_object_array_add, -1, ENOMEM, struct json_object *, struct json_object *)
FAIL2(const char *, json_object_to_json_string_ext, NULL, ENOMEM, struct json_object *, int)
FAIL3(const char *, json_object_to_json_string_length, NULL, ENOMEM, struct json_object *, int,
	size_t *)
FAIL(struct json_tokener *, json_tokener_new, NULL, ENOMEM, (void), ())
