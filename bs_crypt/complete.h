/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The way back to tgtd's main thread: finished work is handed over through one eventfd in tgtd's
 * event loop, and drained in batches.
 */
#ifndef BS_CRYPT_COMPLETE_H
#define BS_CRYPT_COMPLETE_H

struct completion {
	void (*done)(struct completion *completion); /* runs on the main thread */
	struct completion *next;                     /* private to complete.c */
};

/* Joins tgtd's event loop; needed once, harmless again. Main thread only. 0 or -errno. */
int complete_init(void) __attribute__((warn_unused_result));

/* Has completion->done called, in the order of the calls. Any thread; never blocks, never fails. */
void complete_post(struct completion *completion);

#endif
