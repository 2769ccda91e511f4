/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A level into the store. It is built whole in levels/.new-NAME, where nobody looks for levels, and gets
 * its name by one rename(2), or, in place of a destroyed one, by one exchange of the two directories.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "durable.h"
#include "erasure.h"
#include "jsonhelp.h"
#include "keystore_backup.h"
#include "keystore_private.h"
#include "log.h"
#include "secret.h"
#include "text.h"

static bool exists(int dir_fd, const char *name)
{
	struct stat st;

	return !fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW);
}

enum import_obstacle keystore_import_obstacle(const struct keystore *ks,
	const struct package_level *from, struct package_reader r, bool force,
	const struct volume **volume)
{
	const struct level *here = keystore_level(ks, from->name);
	struct package_volume p;

	*volume = NULL;
	if (!here && !force && text_names_uuid(from->name))
		return IMPORT_NAME_IS_UUID;
	if (here && here->state != KEY_DESTROYED)
		return IMPORT_LEVEL_EXISTS;
	if (here && !force)
		return IMPORT_LEVEL_DESTROYED;
	if (here && here->fingerprint[0] && strcmp(here->fingerprint, from->fingerprint))
		return IMPORT_OTHER_KEY;
	if (from->volumes > KEYSTORE_VOLUMES_MAX ||
		(!here && ks->level_count >= KEYSTORE_LEVELS_MAX))
		return IMPORT_TOO_MANY;
	while (!package_next_volume(&r, &p)) {
		*volume = keystore_volume(ks, p.uuid);
		if (*volume && (*volume)->level != here)
			return IMPORT_UUID_TAKEN;
	}
	*volume = NULL;
	return IMPORT_FREE;
}

static void erase_files(int dir_fd)
{
	const char *name;
	DIR *names;

	if (durable_open_names(dir_fd, &names))
		return;
	while (!durable_next_name(names, &name) && name) {
		if (strcmp(name, VOLUMES_DIR) && durable_erase_unsynced(dir_fd, name, true))
			log_warning("cannot erase %s of an import that failed", name);
	}
	(void)closedir(names);
}

/* Takes back what was built. Nobody was told of it, but its keys are real. */
static void erase_unfinished(int levels_fd, const char *temporary)
{
	int dir_fd = durable_open_dir(levels_fd, temporary);
	if (dir_fd < 0)
		return;
	int volumes_fd = durable_open_dir(dir_fd, VOLUMES_DIR);
	if (volumes_fd >= 0) {
		erase_files(volumes_fd);
		(void)close(volumes_fd);
		(void)unlinkat(dir_fd, VOLUMES_DIR, AT_REMOVEDIR);
	}
	erase_files(dir_fd);
	(void)close(dir_fd);
	if (unlinkat(levels_fd, temporary, AT_REMOVEDIR) || durable_sync_dir(levels_fd))
		log_warning("cannot remove %s, left over from an import", temporary);
}

/* The destroyed level whose place was taken: kept, below the one that came back. */
static int keep_former(int levels_fd, const char *temporary, const char *level)
{
	int dir_fd = durable_open_dir(levels_fd, level);
	if (dir_fd < 0)
		return dir_fd;
	int rc = renameat(levels_fd, temporary, dir_fd, LEVEL_FORMER_DIR) ? -errno : 0;
	if (!rc)
		rc = durable_sync_dir(dir_fd);
	if (!rc)
		rc = durable_sync_dir(levels_fd);
	(void)close(dir_fd);
	return rc;
}

void store_settle_import(int levels_fd, const char *temporary)
{
	const char *level = durable_name_of_temporary(temporary);

	int dir_fd = durable_open_dir(levels_fd, temporary);
	if (dir_fd < 0) {
		log_warning("%s: %s", temporary, strerror(-dir_fd));
		return;
	}
	bool former = exists(dir_fd, LEVEL_TOMBSTONE_FILE);
	(void)close(dir_fd);
	int rc = former ? keep_former(levels_fd, temporary, level) : 0;
	if (rc)
		log_error("level %s: its former directory stays in %s: %s", level, temporary,
			strerror(-rc));
	if (!former)
		erase_unfinished(levels_fd, temporary);
}

/* A level that belongs to no store yet. */
static struct level *new_level(const struct package_level *from, enum key_state state)
{
	struct level *level = calloc(1, sizeof(*level));
	if (!level)
		return NULL;
	level->state = state;
	level->created_at = from->created_at;
	memcpy(level->name, from->name, sizeof(level->name));
	memcpy(level->fingerprint, from->fingerprint, sizeof(level->fingerprint));
	return level;
}

static struct volume *new_volume(struct level *level, const struct package_volume *from)
{
	struct volume *volume = store_add_volume(level, from->uuid);
	char *path = volume ? strdup(from->path) : NULL;
	if (!path)
		return NULL;
	free(volume->path);
	volume->path = path; /* the volume owns it */
	volume->state = KEY_ACTIVE;
	volume->cipher = from->cipher;
	volume->sector_bytes = from->sector_bytes;
	volume->data_offset_bytes = from->data_offset_bytes;
	volume->size_bytes = from->size_bytes;
	volume->created_at = from->created_at;
	memcpy(volume->fingerprint, from->fingerprint, sizeof(volume->fingerprint));
	return volume;
}

static int write_level(
	const struct keystore *ks, int dir_fd, const struct level *level, const uint8_t *key)
{
	struct record rec = {
		.kind = RECORD_LEVEL_KEY,
		.state = level->state == KEY_ACTIVE ? RECORD_ACTIVE : RECORD_SUSPENDED,
		.created_at = level->created_at,
		.changed_at = clock_wall_seconds(),
	};

	if (level->leaky)
		rec.body = (char *)(uintptr_t)level->leaky->name; /* only read */
	memcpy(rec.level, level->name, sizeof(rec.level));
	memcpy(rec.fingerprint, level->fingerprint, sizeof(rec.fingerprint));
	return store_write_level_key(ks, dir_fd, &rec, key);
}

static int write_volume(
	int volumes_fd, const struct volume *volume, const uint8_t *level_key, const uint8_t *key)
{
	char name[STORE_NAME_BYTES];
	uint8_t *file = NULL;
	size_t file_bytes;

	int rc = store_seal_volume(volume, volume->created_at, level_key, key, &file, &file_bytes);
	if (rc)
		return rc;
	store_volume_file(name, volume->uuid, VOLUME_KEY_SUFFIX);
	rc = durable_write_new(volumes_fd, name, file, file_bytes);
	free(file);
	return rc;
}

static int build_volumes(
	int dir_fd, struct level *level, const uint8_t *level_key, struct package_reader *r)
{
	struct package_volume from;
	int rc = durable_mkdir(dir_fd, VOLUMES_DIR);
	int volumes_fd = rc ? rc : durable_open_dir(dir_fd, VOLUMES_DIR);

	if (volumes_fd < 0)
		return volumes_fd;
	while (!(rc = package_next_volume(r, &from))) {
		rc = store_find_volume(level, from.uuid) ? -EBADMSG : 0; /* twice in the package */
		const struct volume *volume = rc ? NULL : new_volume(level, &from);
		if (!rc)
			rc = volume ? write_volume(volumes_fd, volume, level_key, from.key)
				    : -ENOMEM;
		if (rc)
			break;
	}
	if (rc == -ENODATA)
		rc = durable_sync_dir(volumes_fd);
	(void)close(volumes_fd);
	return rc;
}

/* All files of the level, durable under a name that is none. */
static int build(const struct keystore *ks, int levels_fd, const char *temporary,
	struct level *level, const struct package_level *from, struct package_reader *r)
{
	int rc = durable_mkdir(levels_fd, temporary);
	int dir_fd = rc ? rc : durable_open_dir(levels_fd, temporary);

	if (dir_fd < 0)
		return dir_fd;
	rc = build_volumes(dir_fd, level, from->key, r);
	if (!rc)
		rc = write_level(ks, dir_fd, level, from->key);
	if (!rc)
		rc = durable_sync_dir(dir_fd);
	(void)close(dir_fd);
	return rc;
}

/* From here on the level is there. */
static int give_name(int levels_fd, const char *temporary, const char *level)
{
	/* Also in place of the directories that a crash in keystore_level_create() left. */
	bool taken = exists(levels_fd, level);

	if (renameat2(levels_fd, temporary, levels_fd, level, taken ? RENAME_EXCHANGE : 0))
		return -errno;
	int rc = durable_sync_dir(levels_fd);
	if (rc) {
		log_error(
			"level %s was imported, but perhaps not durably: %s", level, strerror(-rc));
		return rc;
	}
	if (taken)
		store_settle_import(levels_fd, temporary);
	return 0;
}

/* Moves what fresh has into the store's own level; then fresh is empty. */
static void adopt(struct level *into, struct level *fresh)
{
	const struct level former = *into;

	*into = *fresh;
	*fresh = (struct level){.volumes = NULL};
	for (size_t i = 0; i < into->volume_count; i++)
		into->volumes[i]->level = into;
	for (size_t i = 0; i < former.volume_count; i++)
		store_free_volume(former.volumes[i]);
	free(former.volumes);
}

static void free_level(struct level *level)
{
	for (size_t i = 0; i < level->volume_count; i++)
		store_free_volume(level->volumes[i]);
	free(level->volumes);
	free(level);
}

static int make(struct keystore *ks, const struct package_level *from, struct package_reader *r,
	struct level *fresh)
{
	char temporary[STORE_NAME_BYTES];

	int rc = durable_temporary_name(from->name, temporary, sizeof(temporary));
	int levels_fd = rc ? rc : durable_open_dir(ks->dir_fd, LEVELS_DIR);
	if (levels_fd < 0)
		return levels_fd;
	if (exists(levels_fd, temporary))
		store_settle_import(levels_fd, temporary);
	rc = build(ks, levels_fd, temporary, fresh, from, r);
	if (!rc)
		rc = give_name(levels_fd, temporary, from->name);
	if (rc && exists(levels_fd, temporary))
		store_settle_import(levels_fd, temporary);
	(void)close(levels_fd);
	return rc;
}

/*
 * A key that was destroyed here may have left remnants in a custody of class "clear": the next
 * certificate of the level must say so, whatever custody the store is in by then.
 */
static const struct custody *leaky_custody(const struct keystore *ks, struct level *here)
{
	const struct scope scope = {.level = here};
	char *text = NULL;

	if (here->leaky)
		return here->leaky;
	struct json_object *certificate =
		erasure_read_certificate(ks, &scope, &text) ? NULL : json_tokener_parse(text);
	bool purged = !strcmp(json_string(certificate, "erase_class"), "purge");
	json_object_put(certificate);
	free(text);
	return purged ? &custody_elsewhere : &custody_file;
}

int keystore_import_level(struct keystore *ks, const struct package_level *from,
	struct package_reader *r, struct level **level)
{
	struct level *here = keystore_level(ks, from->name);
	bool active = from->state == RECORD_ACTIVE && !here;

	struct level *fresh = new_level(from, active ? KEY_ACTIVE : KEY_SUSPENDED);
	if (!fresh)
		return -ENOMEM;
	fresh->leaky = here ? leaky_custody(ks, here) : &custody_elsewhere;
	/* Its place in the index first: after the rename nothing may fail. */
	struct level *into = here ? here : store_add_level(ks, from->name);
	int rc = into ? make(ks, from, r, fresh) : -ENOMEM;
	if (!rc) {
		adopt(into, fresh);
		*level = into; /* the store owns it */
	} else if (into && !here) {
		ks->level_count--; /* it was the last */
		free_level(into);
	}
	free_level(fresh);
	return rc;
}
