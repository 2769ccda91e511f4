/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What a process does to itself before it holds a key (DESIGN 7). */
#ifndef KEYD_HARDEN_H
#define KEYD_HARDEN_H

/*
 * No core dump, not dumpable, so not readable by other processes of the same uid (prctl(2)
 * PR_SET_DUMPABLE). Affects the whole process. 0 or -errno.
 */
int harden_process(void) __attribute__((warn_unused_result));

#endif
