/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What keyd takes from itself once it is set up, so that code smuggled into it can do little: files
 * by Landlock (sandbox_files.c, landlock(7)), system calls by seccomp (sandbox_calls.c, seccomp(2)), and with
 * them the means to bring code along: no memory becomes executable any more.
 * It holds without systemd, and beside what the unit does.
 *
 * A part that needs more says so in struct config before server_run(): sandbox_paths,
 * sandbox_network. A system call that a new part needs is a row in sandbox_calls.c.
 */
#ifndef KEYD_SANDBOX_H
#define KEYD_SANDBOX_H

#include "config.h"

/*
 * Confines the calling thread and all that it makes later, for good; call it while there is one
 * thread, after the sockets are open. 0; -errno, logged, only with sandbox = required, when the
 * kernel cannot do a part of it. With sandbox = yes what is missing is logged and gone without.
 */
int sandbox_enter(const struct config *config) __attribute__((warn_unused_result));

/* ---- Its parts; files and calls need no_new_privs ---- */

/*
 * No file but those that config and the table in sandbox_files.c name. Returns the ABI of the
 * kernel's Landlock, or -errno: -EOPNOTSUPP, -ENOSYS where there is none.
 */
int sandbox_files(const struct config *config) __attribute__((warn_unused_result));

/*
 * Loads what libraries would load later, which then cannot be: the token's module, the TPM's interface, name
 * services. What is missing is passed over.
 */
void sandbox_libraries(const struct config *config);

/* Whether sandbox_network says so, or the TPM is reached that way (swtpm, mssim). */
bool sandbox_has_network(const struct config *config);

/* No system call but those of the tables in sandbox_calls.c. 0 or -errno. */
int sandbox_calls(const struct config *config) __attribute__((warn_unused_result));

#endif
