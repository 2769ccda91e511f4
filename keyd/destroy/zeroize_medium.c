/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "zeroize_medium.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "custody.h"
#include "durable.h"
#include "keystore_private.h"
#include "log.h"
#include "text.h"
#include "zeroize_record.h"

/* A walk over some or all of the store's keys: erases them, or counts them when progress is NULL. */
struct walk {
	struct erasure_progress *progress;
	uint64_t seen;
	uint64_t budget;           /* of files erased */
	unsigned failed_custodies; /* bit i for row i: its file tells what to try again */
	int first_error;           /* also of counting: what was not seen may be there */
};

static void note_error(struct walk *walk, int rc)
{
	if (rc && !walk->first_error)
		walk->first_error = rc;
	if (rc && walk->progress && !walk->progress->first_error)
		walk->progress->first_error = rc;
}

static bool is_root_file(const struct walk *walk, const char *name)
{
	const char *prepared = durable_prepared_for(name);

	for (unsigned i = 0; walk->failed_custodies >> i; i++) {
		if ((walk->failed_custodies & 1u << i) &&
			!strcmp(prepared ? prepared : name, custody_at(i)->file))
			return false;
	}
	return !strncmp(name, "root.", 5) || !strcmp(name, "rewrap") ||
	       durable_is_temporary(name) || prepared;
}

/* What tells of destroyed keys holds none. */
static bool is_level_file(const struct walk *walk, const char *name)
{
	(void)walk;
	return strstr(name, "certificate") == NULL;
}

static bool any_file(const struct walk *walk, const char *name)
{
	(void)walk;
	(void)name;
	return true;
}

static bool is_dir(int dir_fd, const char *name)
{
	struct stat st;

	return !fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode);
}

/* False when the budget is used up. Files that resist do not use it up. */
static bool visit(struct walk *walk, int dir_fd, const char *name)
{
	walk->seen++;
	if (!walk->progress)
		return true;
	int rc = durable_erase_unsynced(dir_fd, name, walk->progress->last_attempt);
	if (rc) {
		log_warning("cannot erase %s: %s", name, strerror(-rc));
		note_error(walk, rc);
		return true;
	}
	walk->progress->erased++;
	return walk->budget-- > 1;
}

/* Visits the files of dir_fd that match; its directories when into is given. False: the budget is used up. */
static bool walk_dir(struct walk *walk, int dir_fd,
	bool (*matches)(const struct walk *walk, const char *name),
	bool (*into)(struct walk *walk, int dir_fd))
{
	const char *name = NULL;
	bool more = true;
	DIR *names;

	int rc = durable_open_names(dir_fd, &names);
	if (rc) {
		note_error(walk, rc);
		return true;
	}
	while (more && !(rc = durable_next_name(names, &name)) && name) {
		if (!is_dir(dir_fd, name)) {
			more = !matches(walk, name) || visit(walk, dir_fd, name);
			continue;
		}
		int below_fd = into ? durable_open_dir(dir_fd, name) : -ENOTDIR;
		if (below_fd >= 0) {
			more = into(walk, below_fd);
			(void)close(below_fd);
		} else if (into) {
			note_error(walk, below_fd);
		}
	}
	(void)closedir(names);
	note_error(walk, rc);
	if (walk->progress)
		note_error(walk, durable_sync_dir(dir_fd));
	return more;
}

static bool no_file(const struct walk *walk, const char *name)
{
	(void)walk;
	(void)name;
	return false;
}

/* Volumes, and the destroyed level that this one was before, which may have been another one before that. */
static bool walk_below(struct walk *walk, int dir_fd)
{
	return walk_dir(walk, dir_fd, is_level_file, walk_below);
}

static bool walk_level(struct walk *walk, int level_fd)
{
	return walk_dir(walk, level_fd, is_level_file, NULL);
}

static bool walk_below_level(struct walk *walk, int level_fd)
{
	return walk_dir(walk, level_fd, no_file, walk_below);
}

/* Of every level its own key first: without it those of its volumes are lost. */
static int walk_levels(struct walk *walk, int state_fd)
{
	int levels_fd = durable_open_dir(state_fd, LEVELS_DIR);
	if (levels_fd < 0)
		return levels_fd == -ENOENT ? 0 : levels_fd;
	if (walk_dir(walk, levels_fd, is_level_file, walk_level))
		(void)walk_dir(walk, levels_fd, no_file, walk_below_level);
	(void)close(levels_fd);
	return 0;
}

/* The root key as it is, and one that was to replace it. */
static void erase_custody(
	struct walk *walk, const struct custody_place *place, const struct custody *of)
{
	for (unsigned i = 0; custody_at(i); i++) {
		const struct custody *custody = custody_at(i);
		struct custody_place own = *place;
		if (custody != of)
			own.keeper = NULL; /* another row's */
		int rc = custody->erase(&own);
		own.next = true;
		int next = custody->erase(&own);
		rc = rc ? rc : next;
		if (!rc)
			continue;
		log_error("custody %s cannot erase the root key: %s", custody->name,
			custody_strerror(rc));
		walk->failed_custodies |= 1u << i;
		note_error(walk, rc);
	}
}

static void walk_whole(struct walk *walk, int state_fd, const char *name)
{
	int dir_fd = durable_open_dir(state_fd, name);
	if (dir_fd < 0) {
		note_error(walk, dir_fd == -ENOENT ? 0 : dir_fd);
		return;
	}
	(void)walk_dir(walk, dir_fd, any_file, NULL);
	(void)close(dir_fd);
}

/* Requests hold no key, but the next store cannot read them. */
static void walk_root(struct walk *walk, int state_fd)
{
	(void)walk_dir(walk, state_fd, is_root_file, NULL);
	walk_whole(walk, state_fd, KEYS_DIR);
	walk_whole(walk, state_fd, REQUESTS_DIR);
}

/* Errors of a medium may pass; in the end a file that cannot be overwritten is unlinked all the same. */
int zeroize_medium_root(const struct custody_place *place, const struct custody *of)
{
	struct erasure_progress progress = {0};

	do {
		struct walk walk = {.progress = &progress, .budget = UINT64_MAX};
		erase_custody(&walk, place, of);
		walk_root(&walk, place->dir_fd);
	} while (erasure_try_again(&progress));
	return progress.first_error;
}

int zeroize_medium_step(int state_fd, unsigned budget, struct erasure_progress *progress)
{
	struct walk walk = {.progress = progress, .budget = budget};
	uint64_t before = progress->erased;

	note_error(&walk, walk_levels(&walk, state_fd));
	return progress->erased != before;
}

int zeroize_medium_left(int state_fd, uint64_t *left)
{
	struct walk walk = {.progress = NULL};

	walk_root(&walk, state_fd);
	int rc = walk_levels(&walk, state_fd);
	*left = walk.seen;
	return rc ? rc : walk.first_error;
}

static int move_aside(int state_fd, int aside_fd, const char *name, const char *new_name)
{
	if (renameat(state_fd, name, aside_fd, new_name) && errno != ENOENT)
		return -errno;
	int rc = durable_sync_dir(aside_fd);
	return rc ? rc : durable_sync_dir(state_fd);
}

int zeroize_medium_set_aside(int state_fd, int64_t zeroized_at)
{
	char name[sizeof("zeroized-") + TEXT_TIME_BYTES], when[TEXT_TIME_BYTES];
	uint64_t left;

	int rc = zeroize_medium_left(state_fd, &left);
	if (rc || left)
		return rc ? rc : -ENOTEMPTY;
	text_time(when, zeroized_at);
	(void)snprintf(name, sizeof(name), "zeroized-%s", when);
	rc = durable_mkdir(state_fd, name);
	int aside_fd = rc ? rc : durable_open_dir(state_fd, name);
	if (aside_fd < 0)
		return aside_fd;
	rc = move_aside(state_fd, aside_fd, LEVELS_DIR, LEVELS_DIR);
	/* The ledger stays, as the audit log does: the copies in it are alive. */
	if (!rc) /* until it has moved, the store is still a zeroized one */
		rc = move_aside(state_fd, aside_fd, ZEROIZED_FILE, LEVEL_CERTIFICATE_FILE);
	(void)close(aside_fd);
	return rc;
}
