/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "durable.h"
#include "keystore_private.h"
#include "log.h"
#include "rewrap.h"
#include "reserve.h"
#include "secret.h"
#include "text.h"
#include "zeroize_record.h"

/* A state directory that others may enter is closed to them; somebody else's is refused. */
static int open_own_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) ? -errno : 0;
	if (!rc && st.st_uid != geteuid())
		rc = -EPERM;
	if (!rc && (st.st_mode & 077) && fchmod(fd, 0700))
		rc = -errno;
	if (rc) {
		(void)close(fd);
		return rc;
	}
	return fd;
}

static int lock_store(int dir_fd)
{
	int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		(void)close(fd);
		return rc;
	}
	return fd;
}

/* True when keys lie there that a new root key would orphan. */
static bool has_levels(const struct keystore *ks)
{
	struct stat st;

	return !fstatat(ks->dir_fd, LEVELS_DIR, &st, AT_SYMLINK_NOFOLLOW);
}

static void free_level(struct level *level)
{
	for (size_t i = 0; i < level->volume_count; i++)
		store_free_volume(level->volumes[i]);
	free(level->volumes);
	free(level);
}

bool keystore_is_locked(const struct keystore *ks)
{
	return ks->custody && !ks->root;
}

static struct custody_place place_of(const struct keystore *ks)
{
	return (struct custody_place){
		.dir_fd = ks->dir_fd, .config = ks->custody_config, .keeper = ks->keeper};
}

void keystore_zeroize(struct keystore *ks, int64_t when)
{
	if (ks->custody && ks->custody->release)
		ks->custody->release(ks->keeper);
	ks->keeper = NULL;
	secret_free(ks->root);
	ks->root = NULL;
	ks->custody = NULL;
	ks->zeroized_at = when;
}

/* Whatever is in the file, or what else lies in the directory. */
static bool was_zeroized(struct keystore *ks)
{
	struct stat st;

	if (fstatat(ks->dir_fd, ZEROIZED_FILE, &st, AT_SYMLINK_NOFOLLOW))
		return false;
	keystore_zeroize(ks, st.st_mtime ? (int64_t)st.st_mtime : 1);
	return true;
}

void keystore_lock(struct keystore *ks)
{
	if (ks->custody && ks->custody->release)
		ks->custody->release(ks->keeper);
	ks->keeper = NULL;
	secret_free(ks->root);
	ks->root = NULL;
	for (size_t i = 0; i < ks->level_count; i++)
		free_level(ks->levels[i]);
	free(ks->levels);
	ks->levels = NULL;
	ks->level_count = 0;
	ks->keyed = false;
}

int keystore_unlock(struct keystore *ks, const struct proto_passphrase *passphrase)
{
	struct custody_place place = place_of(ks);

	uint8_t *root = secret_alloc(ROOT_KEY_BYTES);
	if (!root)
		return -errno;
	int rc = ks->custody->load(&place, passphrase, root, &ks->keeper);
	if (rc) {
		secret_free(root);
		return rc;
	}
	ks->root = root; /* the store owns it */
	rc = store_load(ks);
	if (!rc && rewrap_finish(ks, NULL))
		log_warning("it is tried again when a key is destroyed, or keyd starts");
	if (rc)
		keystore_lock(ks);
	return rc;
}

/* The session that was lost is of no use any more, whatever becomes of the new one. */
static int open_new_session(struct keystore *ks, const struct proto_passphrase *passphrase)
{
	uint8_t *root = secret_alloc(ROOT_KEY_BYTES);
	if (!root)
		return -errno;
	ks->custody->release(ks->keeper);
	ks->keeper = NULL;
	struct custody_place place = place_of(ks);
	int rc = ks->custody->load(&place, passphrase, root, &ks->keeper);
	if (!rc && CRYPTO_memcmp(root, ks->root, ROOT_KEY_BYTES) != 0) { /* another store's file */
		ks->custody->release(ks->keeper);
		ks->keeper = NULL;
		rc = -EBADMSG;
	}
	secret_free(root);
	return rc;
}

static bool has_lost_session(const struct keystore *ks)
{
	const struct custody_levels *levels = ks->custody->levels;

	return levels && levels->check(ks->keeper);
}

bool keystore_needs_pin(const struct keystore *ks)
{
	return has_lost_session(ks) || rewrap_is_unfinished(ks);
}

int keystore_reconnect(struct keystore *ks, const struct proto_passphrase *passphrase)
{
	int rc = has_lost_session(ks) ? open_new_session(ks, passphrase) : 0;

	if (!rc && rewrap_is_unfinished(ks))
		rc = rewrap_finish(ks, passphrase);
	return rc;
}

static int load_root(struct keystore *ks)
{
	struct custody_place place = place_of(ks);

	int rc = rewrap_recover(ks);
	if (rc)
		return rc;
	if (!ks->custody)
		return has_levels(ks) ? -ENOKEY : 0;
	return ks->custody->needs_passphrase(&place) ? 0 : keystore_unlock(ks, NULL);
}

static const char *open_problem(int rc)
{
	switch (rc) {
	case -EBUSY:
		return "another keyd is running on it";
	case -EPERM:
		return "it belongs to another user";
	case -ENOKEY:
		return "there are levels but no root key: put it back from a backup";
	default:
		return custody_strerror(rc);
	}
}

int keystore_open(struct keystore *ks, const char *dir, const struct custody_config *custody_config)
{
	*ks = (struct keystore){.dir_fd = -1, .lock_fd = -1, .custody_config = custody_config};
	ks->dir = strdup(dir);
	int rc = ks->dir ? 0 : -ENOMEM;
	if (!rc) {
		ks->dir_fd = open_own_dir(dir);
		rc = ks->dir_fd < 0 ? ks->dir_fd : 0;
	}
	if (!rc) {
		ks->lock_fd = lock_store(ks->dir_fd);
		rc = ks->lock_fd < 0 ? ks->lock_fd : 0;
	}
	if (!rc) {
		reserve_open(ks->dir_fd);
	}
	if (!rc && !was_zeroized(ks))
		rc = load_root(ks);
	if (rc) {
		log_error("cannot open the key store %s: %s", dir, open_problem(rc));
		keystore_close(ks);
	}
	return rc;
}

void keystore_close(struct keystore *ks)
{
	keystore_lock(ks);
	reserve_close();
	free(ks->dir);
	if (ks->lock_fd >= 0)
		(void)close(ks->lock_fd);
	if (ks->dir_fd >= 0)
		(void)close(ks->dir_fd);
	*ks = (struct keystore){.dir_fd = -1, .lock_fd = -1};
}

int keystore_init(struct keystore *ks, const char *name, const struct proto_passphrase *passphrase)
{
	const struct custody *custody = custody_find(name);
	if (!custody)
		return -EINVAL;
	const struct custody *present;
	if (ks->custody || ks->zeroized_at || custody_of_store(ks->dir_fd, &present) || present)
		return -EEXIST;
	uint8_t *root = secret_alloc(ROOT_KEY_BYTES);
	if (!root)
		return -errno;
	struct custody_place next = place_of(ks), place = next;
	next.next = true;
	int rc = custody->create(&next, passphrase, root, &ks->keeper);
	next.keeper = place.keeper = ks->keeper;
	if (!rc)
		rc = durable_adopt(ks->dir_fd, custody->file);
	/* Last: a store with levels/ and without a root key is a damaged one. */
	if (!rc)
		rc = durable_mkdir(ks->dir_fd, LEVELS_DIR);
	if (rc) {
		(void)unlinkat(ks->dir_fd, LEVELS_DIR, AT_REMOVEDIR); /* made, but not synced */
		if (custody->erase(&next) || custody->erase(&place))
			log_error("what was made of a root key stays in %s", ks->dir);
		if (custody->release)
			custody->release(ks->keeper);
		ks->keeper = NULL;
		secret_free(root);
		return rc;
	}
	ks->custody = custody;
	ks->root = root; /* the store owns it */
	return 0;
}

struct level *keystore_level(const struct keystore *ks, const char *name)
{
	for (size_t i = 0; i < ks->level_count; i++) {
		if (!strcmp(ks->levels[i]->name, name))
			return ks->levels[i];
	}
	return NULL;
}

struct volume *keystore_volume(const struct keystore *ks, const char *uuid)
{
	struct volume *volume = NULL;

	for (size_t i = 0; i < ks->level_count && !volume; i++)
		volume = store_find_volume(ks->levels[i], uuid);
	return volume;
}

struct volume *keystore_volume_at(const struct keystore *ks, const char *path, size_t index)
{
	for (size_t i = 0; i < ks->level_count; i++) {
		const struct level *level = ks->levels[i];
		for (size_t k = 0; k < level->volume_count; k++) {
			if (!strcmp(level->volumes[k]->path, path) && !index--)
				return level->volumes[k];
		}
	}
	return NULL;
}

enum key_state keystore_volume_state(const struct volume *volume)
{
	static const enum key_state strictest_first[] = {
		KEY_DESTROYED, KEY_DESTROYING, KEY_DAMAGED, KEY_SANITIZING, KEY_SUSPENDED};

	for (size_t i = 0; i < sizeof(strictest_first) / sizeof(strictest_first[0]); i++) {
		enum key_state state = strictest_first[i];
		if (volume->state == state || volume->level->state == state)
			return state;
	}
	return KEY_ACTIVE;
}

const char *keystore_state_name(enum key_state state)
{
	switch (state) {
	case KEY_ACTIVE:
		return "active";
	case KEY_SUSPENDED:
		return "suspended";
	case KEY_DESTROYING:
		return "destroying";
	case KEY_SANITIZING:
		return "sanitizing";
	case KEY_DESTROYED:
		return "destroyed";
	case KEY_DAMAGED:
		return "damaged";
	}
	return "unknown";
}

/* Room for one more pointer, or NULL: the array grows by doubling. */
static void *grow(void *items, size_t count, size_t max)
{
	if (count >= max)
		return NULL;
	if (count & (count - 1) || (count == 0 && items))
		return items;
	return reallocarray(items, count ? 2 * count : 1, sizeof(void *));
}

struct level *store_add_level(struct keystore *ks, const char *name)
{
	struct level **levels = grow(ks->levels, ks->level_count, KEYSTORE_LEVELS_MAX);
	if (!levels)
		return NULL;
	ks->levels = levels;
	struct level *level = calloc(1, sizeof(*level));
	if (!level || text_copy(level->name, sizeof(level->name), name)) {
		free(level);
		return NULL;
	}
	level->state = KEY_DAMAGED; /* until shown otherwise */
	levels[ks->level_count++] = level;
	return level;
}

struct volume *store_add_volume(struct level *level, const char *uuid)
{
	struct volume **volumes = grow(level->volumes, level->volume_count, KEYSTORE_VOLUMES_MAX);
	if (!volumes)
		return NULL;
	level->volumes = volumes;
	struct volume *volume = calloc(1, sizeof(*volume));
	if (volume)
		volume->path = strdup("");
	if (!volume || !volume->path || text_copy(volume->uuid, sizeof(volume->uuid), uuid)) {
		store_free_volume(volume);
		return NULL;
	}
	volume->level = level;
	volume->state = KEY_DAMAGED;
	volumes[level->volume_count++] = volume;
	return volume;
}

struct volume *store_find_volume(const struct level *level, const char *uuid)
{
	for (size_t i = 0; i < level->volume_count; i++) {
		if (!strcmp(level->volumes[i]->uuid, uuid))
			return level->volumes[i];
	}
	return NULL;
}

void store_free_volume(struct volume *volume)
{
	if (!volume)
		return;
	keystore_forget_header(volume);
	free(volume->path);
	free(volume);
}
