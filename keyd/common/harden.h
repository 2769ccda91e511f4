/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What a process does to itself before it holds a key. */
#ifndef KEYD_HARDEN_H
#define KEYD_HARDEN_H

/*
 * No core dump, not dumpable, so not readable by other processes of the same uid (prctl(2)
 * PR_SET_DUMPABLE). Affects the whole process. 0 or -errno.
 */
int harden_process(void) __attribute__((warn_unused_result));

/*
 * Descriptors 0 to 2 that are closed are opened on /dev/null, so that no file or socket of this process gets
 * their numbers and with them what is meant for a terminal or a log. Reading from 0, or writing to 1 or 2, then
 * fails with EBADF, as if it were closed still. First thing in main(). 0 or -errno.
 */
int harden_descriptors(void) __attribute__((warn_unused_result));

#endif
