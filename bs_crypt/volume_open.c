/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* A volume's opening and its end: the store, its header, what discard=on asks of both. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keysession.h"
#include "volume_private.h"

static int open_store(struct volume *vol, struct volume_flags how, char *why, size_t n)
{
	struct store_flags flags = {.shared = vol->opts.shared,
		.sync = how.sync,
		.direct = how.direct,
		.discard = vol->opts.discard};
	int rc = store_open_file(vol->path, flags, &vol->store);

	/* EPERM: immutable, or for appending alone (chattr(1)). */
	if (rc == -EACCES || rc == -EROFS || rc == -EPERM) {
		flags.read_only = vol->read_only = true;
		rc = store_open_file(vol->path, flags, &vol->store);
	}
	if (rc == -EBUSY)
		(void)snprintf(why, n,
			"already open: close the other LUN, or set shared=on for a "
			"cluster");
	else if (rc == -EOPNOTSUPP)
		(void)snprintf(why, n, "cannot be read past the cache: leave bsoflags direct out");
	else if (rc == -EINVAL)
		(void)snprintf(why, n, "neither a file nor a block device");
	else if (rc)
		(void)snprintf(why, n, "cannot open: %s", strerror(-rc));
	return rc;
}

static int open_header(struct volume *vol, uint32_t block_bytes, char *why, size_t n)
{
	int rc = luks_read(vol->store->fd, &vol->luks);

	if (rc) {
		(void)snprintf(why, n,
			rc == -EKEYREJECTED
				? "the LUKS2 header's segment, IV offset or digest is not "
				  "keyd's: it was changed; restore it from a backup"
				: "no LUKS2 volume: make one with 'keyadm volume create'");
		return rc;
	}
	vol->segment = *luks_segment(vol->luks);
	uint32_t sector_bytes = vol->segment.sector_bytes;
	if (sector_bytes != block_bytes) {
		(void)snprintf(why, n,
			"its sectors have %u bytes and the LUN's blocks %u: give tgtadm "
			"--blocksize %u",
			sector_bytes, block_bytes, sector_bytes);
		return -EINVAL;
	}
	if (sector_bytes % vol->store->align_bytes) {
		(void)snprintf(why, n,
			"its sectors have %u bytes and direct I/O needs %u: leave bsoflags direct "
			"out",
			sector_bytes, vol->store->align_bytes);
		return -EINVAL;
	}
	return 0;
}

/* For the header's cipher: keyd's record will say the same, or the volume is refused. */
static int choose_engine(struct volume *vol, char *why, size_t n)
{
	const char *name = vol->segment.cipher;
	const struct cipher *cipher = cipher_find(name);
	int rc = cipher ? crypt_engine_find(vol->opts.engine, cipher, &vol->engine) : -ENOTSUP;

	if (!cipher)
		(void)snprintf(why, n, "cipher %s is not known to this version", name);
	else if (rc == -ENOENT)
		(void)snprintf(why, n, "engine=%s: no such crypto engine", vol->opts.engine);
	else if (rc == -ENOTSUP)
		(void)snprintf(why, n, "engine=%s does not know %s: leave engine= out",
			vol->opts.engine, name);
	else if (rc)
		(void)snprintf(why, n,
			"crypto engine %s failed its self-test: no volume is opened with it",
			vol->opts.engine);
	return rc;
}

/*
 * A sector that was unmapped holds no ciphertext, and reads as zeros only where discard=on says so:
 * a volume that was once used with it is not opened without. The header remembers. Other openers, who
 * may not have it on, are kept out while that begins.
 */
static int check_discard(struct volume *vol, char *why, size_t n)
{
	bool used = luks_discards(vol->luks);

	if (vol->opts.discard ? vol->read_only : !used)
		return 0; /* of a read-only store nothing is unmapped */
	if (!vol->opts.discard)
		(void)snprintf(why, n,
			"was used with discard=on, and what was unmapped would not read as zeros "
			"without it: add discard=on");
	else if (!store_discards(vol->store))
		(void)snprintf(why, n,
			"its file system or device cannot give space back: leave discard=on out");
	else if (vol->opts.shared && !used)
		(void)snprintf(why, n,
			"discard=on has to begin without other openers: open it once without "
			"shared=on");
	else
		return 0;
	return -EINVAL;
}

int volume_note_discards(struct volume *vol)
{
	struct luks *luks = NULL;

	int rc = luks_read(vol->store->fd, &luks);
	if (!rc && !luks_discards(luks))
		rc = luks_set_discards(luks);
	luks_free(luks);
	return rc;
}

/* Before the first command can unmap anything. */
static int remember_discard(struct volume *vol, char *why, size_t n)
{
	if (!vol->opts.discard || vol->read_only)
		return 0;
	pthread_mutex_lock(&vol->header_lock);
	int rc = volume_note_discards(vol);
	pthread_mutex_unlock(&vol->header_lock);
	if (rc)
		(void)snprintf(why, n,
			"cannot note discard=on in the LUKS2 header (%s): leave it out",
			strerror(-rc));
	return rc;
}

static int volume_new(const char *path, const struct opts *opts, struct volume **volume)
{
	struct volume *vol = calloc(1, sizeof(*vol));
	pthread_rwlockattr_t attr;

	if (!vol)
		return -ENOMEM;
	vol->opts = *opts;
	vol->references = 1;
	vol->state = VOLUME_NOT_READY;
	/* A wipe goes before the cipher calls that arrive after it. */
	pthread_mutex_init(&vol->header_lock, NULL);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&vol->key_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	vol->path = strdup(path);
	if (!vol->path) {
		volume_close(vol);
		return -ENOMEM;
	}
	*volume = vol;
	return 0;
}

int volume_open(const char *path, const struct opts *opts, uint32_t block_bytes,
	struct volume_flags flags, struct volume **volume, char *why, size_t why_bytes)
{
	struct volume *vol = NULL;
	int rc;

	(void)snprintf(why, why_bytes, "out of memory");
	rc = volume_new(path, opts, &vol);
	if (rc)
		return rc;
	vol->watch = flags.watch;
	rc = open_store(vol, flags, why, why_bytes);
	if (!rc)
		rc = open_header(vol, block_bytes, why, why_bytes);
	if (!rc)
		rc = check_discard(vol, why, why_bytes);
	if (!rc)
		rc = choose_engine(vol, why, why_bytes);
	if (!rc)
		rc = keysession_join(vol, &vol->member, why, why_bytes);
	if (!rc)
		rc = remember_discard(vol, why, why_bytes);
	if (rc) {
		volume_close(vol);
		return rc;
	}
	*volume = vol;
	return 0;
}

struct volume *volume_get(struct volume *vol)
{
	atomic_fetch_add(&vol->references, 1);
	return vol;
}

void volume_put(struct volume *vol)
{
	if (!vol || atomic_fetch_sub(&vol->references, 1) != 1)
		return;
	luks_free(vol->luks);
	store_close(vol->store);
	pthread_rwlock_destroy(&vol->key_lock);
	pthread_mutex_destroy(&vol->header_lock);
	free(vol->path);
	free(vol);
}

void volume_close(struct volume *vol)
{
	if (!vol)
		return;
	keysession_leave(vol->member); /* wipes the key */
	vol->member = NULL;
	volume_put(vol);
}
