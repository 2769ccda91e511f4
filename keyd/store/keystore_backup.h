/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Levels out of the key store into a package (package.h), and back into this or another store. */
#ifndef KEYD_KEYSTORE_BACKUP_H
#define KEYD_KEYSTORE_BACKUP_H

#include "keystore.h"
#include "package.h"

/* The volumes that an export of level has: those whose keys are not destroyed, or about to be, or to be replaced. */
size_t keystore_export_volumes(const struct level *level, size_t *path_bytes);

/*
 * Adds level, which is active or suspended, with its volumes. 0; -EBADMSG: the level or a volume (*bad,
 * NULL: the level) is damaged, and marked so; -ENOSPC, or -errno.
 */
int keystore_export_level(struct keystore *ks, struct level *level, struct package_writer *w,
	const struct volume **bad) __attribute__((warn_unused_result));

enum import_obstacle {
	IMPORT_FREE,
	IMPORT_LEVEL_EXISTS,
	IMPORT_LEVEL_DESTROYED, /* here, and nobody insists */
	IMPORT_OTHER_KEY,       /* the level that was destroyed here had another one */
	IMPORT_UUID_TAKEN,
	IMPORT_TOO_MANY,
	IMPORT_NAME_IS_UUID, /* such names are not given any more, and nobody insists */
};

/*
 * What stands in the way of bringing in from, whose volumes r reads next. *volume: of the store, the
 * one in the way, or NULL. force: a level that was destroyed here may come back.
 */
enum import_obstacle keystore_import_obstacle(const struct keystore *ks,
	const struct package_level *from, struct package_reader r, bool force,
	const struct volume **volume);

/*
 * Brings in from with the volumes that r reads next, sealed anew for this store: all of it, durably, or
 * nothing, whatever crashes. Nothing stands in the way. A level that was destroyed here arrives suspended,
 * its former directory becomes levels/NAME/before. Nobody may hold a volume of that level. 0, -EINVAL
 * (this file system cannot exchange directories), or -errno.
 */
int keystore_import_level(struct keystore *ks, const struct package_level *from,
	struct package_reader *r, struct level **level) __attribute__((warn_unused_result));

#endif
