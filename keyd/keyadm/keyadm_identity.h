/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Which volume is meant. The UUID is a volume's identity. A path names the volume whose LUKS2 header lies there now;
 * the path on keyd's record is a hint, which can be old. Where the two disagree nothing is done.
 *
 * Functions that return a negative errno have told the reason on stderr already.
 */
#ifndef KEYD_KEYADM_IDENTITY_H
#define KEYD_KEYADM_IDENTITY_H

#include <stdbool.h>

#include "client.h"

struct identity {
	char uuid[PROTO_UUID_BYTES];
	char path
		[PROTO_PATH_BYTES]; /* as it was named, resolved; empty: it was named by its UUID */
};

/* Whether text is a UUID, in either case; then it is in uuid, in lower case. */
bool identity_is_uuid(const char *text, char uuid[PROTO_UUID_BYTES]);

/* The volume with this UUID, or the one that lies at this path and that keyd has on record there or nowhere else. */
int identity_find(struct client *c, const char *id, struct identity *identity)
	__attribute__((warn_unused_result));

/*
 * The volume that lies at path, wherever keyd has it on record, for a path to be recorded. uuid, unless it is NULL, is
 * the one that has to lie there.
 */
int identity_at(const char *path, const char *uuid, struct identity *identity)
	__attribute__((warn_unused_result));

/* Refuses a file or device, open as fd, that holds a volume of keyd's that is not destroyed. */
int identity_check_unused(struct client *c, const char *path, int fd)
	__attribute__((warn_unused_result));

/* Refuses a path that tgt could not carry. */
int identity_check_path(const char *path) __attribute__((warn_unused_result));

#endif
