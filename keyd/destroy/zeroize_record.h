/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The file "zeroized" of a store: its tombstone and its certificate of destruction in one. It is not sealed: there is
 * no key left to seal with. Where it lies no root key is loaded, whatever files are put beside it.
 */
#ifndef KEYD_ZEROIZE_RECORD_H
#define KEYD_ZEROIZE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

#include "certificate.h"
#include "keystore.h"

#define ZEROIZED_FILE "zeroized"

/*
 * A draft: the levels that the directory has, what ks knows of them, the custody. requester NULL: who may
 * write the state directory. NULL: out of memory.
 */
struct json_object *zeroize_draft(
	const struct keystore *ks, const struct peer *requester, int64_t requested_at);

/* Reads the file. 0 and the document, which the caller puts; -ENOENT; -EBADMSG (it counts all the same); -errno. */
int zeroize_read(int state_fd, struct json_object **json) __attribute__((warn_unused_result));

/* Writes it durably. 0 or -errno. */
int zeroize_write(int state_fd, struct json_object *json) __attribute__((warn_unused_result));

/* True when it says that everything was done. */
bool zeroize_is_complete(struct json_object *json);

/* Looks for what is left and enters that. 0, or -errno when it cannot be entered. */
int zeroize_complete(struct json_object *json, int state_fd, int erase_error, int64_t completed_at,
	const struct audit *audit) __attribute__((warn_unused_result));

/* One line: how it ended. Returns the status that goes with it. */
enum proto_status zeroize_outcome(struct json_object *json, char *text, size_t cap);

#endif
