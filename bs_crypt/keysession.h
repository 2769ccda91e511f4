/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The plugin's side of keyd.sock: one persistent connection and one thread for each keyd socket in
 * use, shared by all volumes that name it (docs/PROTOCOL.md).
 *
 * The thread asks for keys, obeys REVOKE and acknowledges it only when volume_key_wipe() has
 * returned for every volume concerned, reconnects by itself, and drops keys when keyd stays away
 * longer than a volume's grace. It never touches a disk, a new header that keyd sends is for a worker to
 * write (keysanitize.c), and never waits for tgtd's main loop.
 */
#ifndef BS_CRYPT_KEYSESSION_H
#define BS_CRYPT_KEYSESSION_H

#include <stddef.h>

struct volume;
struct volume_sanitization;
struct keysession_member;

/*
 * Asks keyd for the volume's key and waits, 9 s at most, until volume_key_apply() has seen the
 * answer. On success the volume stays registered, and *member is to be given to keysession_leave().
 * Main thread only. 0 or -errno with the reason in why; then nothing is registered.
 */
int keysession_join(struct volume *vol, struct keysession_member **member, char *why,
	size_t why_bytes) __attribute__((warn_unused_result));

/* Has the session look again whether what keyd asked for is done. Any thread that may call volume_close(). */
void keysession_look(struct keysession_member *member);

/*
 * Wipes the volume's key, tells keyd so and forgets the volume; the last one ends connection and
 * thread. NULL is allowed. Main thread only; waits 4 s at most, for a keyd that does not answer.
 */
void keysession_leave(struct keysession_member *member);

/* volume_sanitize() of the member's volume; member NULL, a volume that is closed, fails. Never blocks. Main thread only. */
void keysession_sanitize(
	struct keysession_member *member, struct volume_sanitization *sanitization);

#endif
