/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "rewrap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durable.h"
#include "keystore_private.h"
#include "log.h"
#include "secret.h"

static const char marker_name[] = "rewrap";

enum { MARKER_BYTES_MAX = 64 };

static struct custody_place place_of(const struct keystore *ks, bool next)
{
	return (struct custody_place){
		.dir_fd = ks->dir_fd, .config = ks->custody_config, .next = next};
}

/* ---- The file that decides ---------------------------------------------------------------------- */

struct marker {
	bool committed;
	const struct custody *from, *to;
};

static int write_marker(const struct keystore *ks, const struct marker *marker)
{
	char text[MARKER_BYTES_MAX];

	int n = snprintf(text, sizeof(text), "%s %s %s\n", marker->committed ? "commit" : "prepare",
		marker->from->name, marker->to->name);
	if (n < 0 || (size_t)n >= sizeof(text))
		return -EINVAL;
	return durable_write(ks->dir_fd, marker_name, text, (size_t)n);
}

/* 0, -ENOENT, -EBADMSG. */
static int read_marker(const struct keystore *ks, struct marker *marker)
{
	char phase[8], from[PROTO_CUSTODY_BYTES], to[PROTO_CUSTODY_BYTES], end;
	uint8_t *data;
	size_t len_bytes;

	int rc = durable_read(ks->dir_fd, marker_name, MARKER_BYTES_MAX, &data, &len_bytes);
	if (rc)
		return rc == -EFBIG ? -EBADMSG : rc;
	int fields = sscanf((const char *)data, "%7s %15s %15s%c", phase, from, to, &end);
	free(data);
	if (fields != 4 || end != '\n')
		return -EBADMSG;
	marker->committed = !strcmp(phase, "commit");
	marker->from = custody_find(from);
	marker->to = custody_find(to);
	return marker->from && marker->to && (marker->committed || !strcmp(phase, "prepare"))
		       ? 0
		       : -EBADMSG;
}

static int remove_marker(const struct keystore *ks)
{
	if (unlinkat(ks->dir_fd, marker_name, 0) && errno != ENOENT)
		return -errno;
	return durable_sync_dir(ks->dir_fd);
}

/* ---- Every directory with sealed files ---------------------------------------------------------- */

/* What is done to each: level is its name, or NULL in the store's own directory. */
struct walk {
	struct keystore *ks;
	const char *level;
	int (*visit)(struct walk *walk, int dir_fd, const char *name);
	struct reseal *reseal; /* for the visitors that seal */
};

static int visit_name(void *arg, int dir_fd, const char *name)
{
	struct walk *walk = arg;

	return walk->visit(walk, dir_fd, name);
}

/* Takes dir_fd, or an error in its place. */
static int walk_dir(struct walk *walk, int dir_fd)
{
	if (dir_fd < 0)
		return dir_fd == -ENOENT ? 0 : dir_fd;
	int rc = store_each_name(dir_fd, visit_name, walk);
	if (!rc)
		rc = durable_sync_dir(dir_fd);
	(void)close(dir_fd);
	return rc;
}

static int walk_level(void *arg, int levels_fd, const char *name)
{
	struct walk *walk = arg;

	int dir_fd = durable_open_dir(levels_fd, name);
	if (dir_fd == -ENOTDIR || dir_fd == -ELOOP)
		return 0;
	walk->level = name;
	int rc = walk_dir(walk, dir_fd);
	if (!rc)
		rc = walk_dir(walk, store_open_volumes_dir(walk->ks, name));
	walk->level = NULL;
	return rc;
}

static int walk_store(struct walk *walk)
{
	int rc = walk_dir(walk, durable_open_dir(walk->ks->dir_fd, KEYS_DIR));
	if (!rc)
		rc = walk_dir(walk, durable_open_dir(walk->ks->dir_fd, REQUESTS_DIR));
	int levels_fd = rc ? rc : durable_open_dir(walk->ks->dir_fd, LEVELS_DIR);
	if (levels_fd < 0)
		return levels_fd == -ENOENT ? 0 : levels_fd;
	rc = store_each_name(levels_fd, walk_level, walk);
	(void)close(levels_fd);
	return rc;
}

/* ---- Sealing again ------------------------------------------------------------------------------- */

struct reseal {
	const struct rewrap *rewrap;
	const struct keystore *ks;
	const uint8_t *root;           /* the new one */
	struct custody_keeper *keeper; /* of the new custody */
	const char *leaky;             /* the custody that is left, if it is of class "clear" */
	size_t done, total;
};

/*
 * Whether name in this directory is sealed under the root key, and counts: 1 or 0; or -errno, for what is passed
 * over here is lost with the old root key. The key of a level that is not alive does not count: whoever put it
 * back must not get it under the new root key, too.
 */
static int is_sealed(const struct walk *walk, int dir_fd, const char *name)
{
	enum record_kind kind;

	if (durable_is_temporary(name) || durable_prepared_for(name))
		return 0;
	int rc = store_peek_kind(dir_fd, name, &kind);
	if (rc)
		return rc == -EBADMSG ? 0 : rc;
	if (kind != RECORD_LEVEL_KEY)
		return kind != RECORD_VOLUME_KEY;
	const struct level *level = walk->level ? keystore_level(walk->ks, walk->level) : NULL;
	return level && level->state != KEY_DESTROYED && level->state != KEY_DESTROYING;
}

static int count_one(struct walk *walk, int dir_fd, const char *name)
{
	int sealed = is_sealed(walk, dir_fd, name);

	if (sealed < 0)
		return sealed;
	walk->reseal->total += (size_t)sealed;
	return 0;
}

/* From what the old custody's device made of a level's key to what the new one's makes of it. */
static int rekey_level(void *arg, const struct record *rec, uint8_t *key, size_t *key_bytes)
{
	const struct reseal *reseal = arg;
	const struct custody *from = reseal->ks->custody, *to = reseal->rewrap->to;
	int rc = 0;

	if (rec->kind != RECORD_LEVEL_KEY || (!from->levels && !to->levels))
		return 0;
	if (*key_bytes != store_level_key_bytes(from))
		return -EBADMSG;
	uint8_t *plain = secret_alloc(WRAP_KEY_BYTES);
	if (!plain)
		return -errno;
	if (from->levels)
		rc = from->levels->open(reseal->ks->keeper, rec->level, key, plain);
	else
		memcpy(plain, key, WRAP_KEY_BYTES);
	if (!rc && to->levels)
		rc = to->levels->seal(reseal->keeper, rec->level, plain, key);
	else if (!rc)
		memcpy(key, plain, WRAP_KEY_BYTES);
	*key_bytes = store_level_key_bytes(to);
	secret_free(plain);
	return rc;
}

/* What does not open under the old root key is damaged: it stays as it is. */
static int reseal_one(struct walk *walk, int dir_fd, const char *name)
{
	struct reseal *reseal = walk->reseal;
	const struct record_rekey rekey = {.rekey = rekey_level, .arg = reseal};
	uint8_t *file = NULL, *sealed = NULL;
	size_t file_bytes, sealed_bytes;

	int rc = is_sealed(walk, dir_fd, name);
	if (rc <= 0)
		return rc;
	rc = durable_read(dir_fd, name, record_file_bytes_max(), &file, &file_bytes);
	if (!rc)
		rc = record_reseal(file, file_bytes, walk->ks->root, reseal->root, reseal->leaky,
			&rekey, &sealed, &sealed_bytes);
	free(file);
	if (rc == -EBADMSG || rc == -EPROTONOSUPPORT || rc == -EFBIG) {
		log_warning("%s of level %s is damaged and stays under the old root key", name,
			walk->level ? walk->level : "(none)");
		return 0;
	}
	if (!rc)
		rc = durable_prepare(dir_fd, name, sealed, sealed_bytes);
	free(sealed);
	if (!rc && reseal->rewrap->progress)
		reseal->rewrap->progress(reseal->rewrap->arg, ++reseal->done, reseal->total);
	return rc;
}

/* Whether copies of what the present custody kept may live on after it is left. */
static bool is_leaky(const struct keystore *ks, const struct rewrap *rewrap)
{
	return ks->custody != rewrap->to && !strcmp(ks->custody->erase_class, "clear");
}

static int reseal_all(struct keystore *ks, const struct rewrap *rewrap, const uint8_t *root,
	struct custody_keeper *keeper)
{
	struct reseal reseal = {
		.rewrap = rewrap,
		.ks = ks,
		.root = root,
		.keeper = keeper,
		.leaky = is_leaky(ks, rewrap) ? ks->custody->name : NULL,
	};
	struct walk walk = {.ks = ks, .visit = count_one, .reseal = &reseal};

	int rc = walk_store(&walk);
	walk.visit = reseal_one;
	return rc ? rc : walk_store(&walk);
}

/* ---- Forward and back ---------------------------------------------------------------------------- */

static int adopt_one(struct walk *walk, int dir_fd, const char *next_name)
{
	const char *name = durable_prepared_for(next_name);

	(void)walk;
	return name ? durable_adopt(dir_fd, name) : 0;
}

static int drop_one(struct walk *walk, int dir_fd, const char *next_name)
{
	(void)walk;
	return durable_prepared_for(next_name) ? durable_erase_unsynced(dir_fd, next_name, true)
					       : 0;
}

/* All that was prepared takes its place; the custody's file last, so that it says when that is done. */
static int go_forward(struct keystore *ks, const struct marker *marker)
{
	struct walk walk = {.ks = ks, .visit = adopt_one};

	int rc = walk_store(&walk);
	if (!rc)
		rc = durable_adopt(ks->dir_fd, marker->to->file);
	if (rc == -ENOENT) /* before an earlier crash */
		rc = 0;
	return rc ? rc : durable_sync_dir(ks->dir_fd);
}

/* As if nothing had been begun. with: keeper and passphrase of the new custody. */
static int go_back(
	struct keystore *ks, const struct marker *marker, const struct custody_place *with)
{
	struct custody_place next = place_of(ks, true);
	struct walk walk = {.ks = ks, .visit = drop_one};

	next.keeper = with->keeper;
	next.passphrase = with->passphrase;

	int rc = walk_store(&walk);
	int erased = marker->to->erase(&next);
	if (!rc)
		rc = erased;
	return rc ? rc : remove_marker(ks);
}

/* A crash in keystore_init() leaves a root key that never came into force. */
static int drop_unfinished_init(struct keystore *ks, const struct proto_passphrase *passphrase)
{
	struct custody_place next = place_of(ks, true);
	int rc = 0;

	next.passphrase = passphrase;
	for (size_t i = 0; !rc && custody_at(i); i++)
		rc = custody_at(i)->erase(&next);
	return rc;
}

/* What only the PIN can undo keeps no whole store from being opened: rewrap_finish() does it later. */
static int choose_custody(struct keystore *ks, int undone)
{
	if (undone == -EKEYEXPIRED)
		log_warning("what was made in the token stays there until its PIN is given: keyadm "
			    "unlock");
	else if (undone)
		return undone;
	return custody_of_store(ks->dir_fd, &ks->custody);
}

int rewrap_recover(struct keystore *ks)
{
	const struct custody_place nothing = {0};
	struct marker marker;

	int rc = read_marker(ks, &marker);
	if (rc == -ENOENT)
		return choose_custody(ks, drop_unfinished_init(ks, NULL));
	if (rc) {
		log_error("%s is damaged: put it back from a backup", marker_name);
		return rc;
	}
	log_info("%s a new root key, custody %s to %s, that a crash interrupted",
		marker.committed ? "completing" : "taking back", marker.from->name,
		marker.to->name);
	if (!marker.committed)
		return choose_custody(ks, go_back(ks, &marker, &nothing));
	rc = go_forward(ks, &marker);
	if (rc)
		return rc;
	ks->custody = marker.to;
	return 0;
}

/* with: keeper and passphrase of the custody that was left, or never entered. */
static int finish(struct keystore *ks, const struct custody_place *with)
{
	struct custody_place place = place_of(ks, false);
	struct marker marker;

	place.keeper = with->keeper;
	place.passphrase = with->passphrase;
	int rc = read_marker(ks, &marker);
	if (rc && rc != -ENOENT)
		return rc;
	bool unfinished = !rc;
	if (unfinished && !marker.committed) /* the old root key counts */
		return go_back(ks, &marker, with);
	rc = !unfinished && with->passphrase ? drop_unfinished_init(ks, with->passphrase) : 0;
	if (unfinished && marker.from != marker.to)
		rc = marker.from->erase(&place);
	if (!rc && ks->custody->settle)
		rc = ks->custody->settle(&place, ks->keeper);
	if (rc)
		log_error("what the old custody kept is not proven gone: %s", custody_strerror(rc));
	return rc || !unfinished ? rc : remove_marker(ks);
}

int rewrap_finish(struct keystore *ks, const struct proto_passphrase *passphrase)
{
	const struct custody_place with = {.passphrase = passphrase};

	return finish(ks, &with);
}

bool rewrap_is_unfinished(const struct keystore *ks)
{
	const struct custody_place next = place_of(ks, true);
	char name[CUSTODY_FILE_NAME_BYTES];
	struct marker marker;
	struct stat st;
	bool found = !read_marker(ks, &marker);

	for (size_t i = 0; !found && custody_at(i); i++) {
		custody_file_name(custody_at(i), &next, name);
		found = !fstatat(ks->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW);
	}
	return found;
}

/* ---- The transaction ----------------------------------------------------------------------------- */

static int make_root(const struct keystore *ks, const struct rewrap *rewrap, uint8_t *root,
	struct custody_keeper **keeper)
{
	struct custody_place next = place_of(ks, true);

	if (rewrap->renew)
		return rewrap->to->renew(&next, ks->keeper, root);
	return rewrap->to->create(&next, rewrap->passphrase, root, keeper);
}

static int prepare(struct keystore *ks, const struct rewrap *rewrap, uint8_t *root,
	struct custody_keeper **keeper)
{
	struct marker marker = {.from = ks->custody, .to = rewrap->to};

	int rc = write_marker(ks, &marker);
	if (!rc)
		rc = make_root(ks, rewrap, root, keeper);
	if (!rc)
		rc = reseal_all(ks, rewrap, root, *keeper);
	if (!rc)
		rc = durable_sync_dir(ks->dir_fd);
	if (!rc)
		return 0;
	int back = go_back(ks, &marker, &(struct custody_place){.keeper = *keeper});
	if (back)
		log_error("what was prepared for the new root key stays until keyd starts again: "
			  "%s",
			custody_strerror(back));
	return rc;
}

static int commit(struct keystore *ks, const struct custody *to)
{
	struct marker marker = {.committed = true, .from = ks->custody, .to = to};

	int rc = write_marker(ks, &marker);
	if (!rc)
		rc = go_forward(ks, &marker);
	if (!rc)
		return 0;
	log_error("the change of the root key is interrupted: %s: it ends when keyd starts again",
		strerror(-rc));
	return -EUCLEAN;
}

/* *left: the keeper of the custody that was left, now the caller's; NULL: none. */
static void take_over(struct keystore *ks, const struct rewrap *rewrap, uint8_t *root,
	struct custody_keeper *keeper, struct custody_keeper **left)
{
	for (size_t i = 0; is_leaky(ks, rewrap) && i < ks->level_count; i++) {
		if (!ks->levels[i]->leaky)
			ks->levels[i]->leaky = ks->custody;
	}
	secret_free(ks->root);
	ks->root = root; /* the store owns it */
	if (!rewrap->renew) {
		*left = ks->keeper;
		ks->keeper = keeper; /* the store owns it */
	}
	ks->custody = rewrap->to;
}

/* Before any of it is on the medium: also a change that is taken back leaves remnants there. */
static int note_entering(struct keystore *ks, const struct custody *to)
{
	bool clear = !strcmp(to->erase_class, "clear");
	int rc = 0;

	if (!clear || !strcmp(ks->custody->erase_class, "clear"))
		return 0;
	for (size_t i = 0; !rc && i < ks->level_count; i++)
		rc = store_note_leaky(ks, ks->levels[i], to);
	return rc;
}

int rewrap_store(struct keystore *ks, const struct rewrap *rewrap)
{
	const struct custody *from = ks->custody;
	struct custody_keeper *keeper = NULL;
	struct custody_place left = {0};

	int rc = rewrap_finish(ks, NULL); /* of the one before */
	if (rc)
		return rc;
	rc = note_entering(ks, rewrap->to);
	if (rc)
		return rc;
	uint8_t *root = secret_alloc(ROOT_KEY_BYTES);
	if (!root)
		return -errno;
	rc = prepare(ks, rewrap, root, &keeper);
	if (!rc)
		rc = commit(ks, rewrap->to);
	if (rc) {
		if (rewrap->to->release)
			rewrap->to->release(keeper);
		secret_free(root);
		return rc;
	}
	take_over(ks, rewrap, root, keeper, &left.keeper);
	rc = finish(ks, &left);
	if (from->release)
		from->release(left.keeper);
	return rc ? -EREMCHG : 0;
}
