/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A thread for work that takes long and cannot be cut into steps, such as reading a long log. The loop serves on
 * meanwhile, and takes the result. One job at a time, the others wait in their order.
 *
 * work() runs on that thread, and touches nothing but its job: what it needs is copied there, keys and passphrases
 * into secret memory. The thread's stack is secret memory, too: it is locked, and wiped when the thread has ended.
 */
#ifndef KEYD_HELPER_H
#define KEYD_HELPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "keyd.h"

struct helper_job {
	struct helper_job *next;
	uid_t uid; /* for whom */
	void (*work)(struct helper_job *job);
	/* On keyd's own thread, after work(). Frees the job. */
	void (*done)(struct keyd *keyd, struct helper_job *job);
	/* In place of done(), when keyd stops: frees the job. */
	void (*drop)(struct helper_job *job);
};

/* Before the loop begins. 0 or -errno. */
int helper_open(struct keyd *keyd) __attribute__((warn_unused_result));

/* Readable when helper_take() has something to do. -1: not open. */
int helper_fd(const struct keyd *keyd);

/*
 * Whether a job for uid may begin: each user has one at a time, and few wait in all. A job whose asker has gone still
 * counts until it has ended.
 */
bool helper_has_room(const struct keyd *keyd, uid_t uid) __attribute__((warn_unused_result));

/*
 * Begins job, or puts it in line; either done() or drop() is called, once. Where there is no thread to be had, work()
 * runs at once, and the loop waits for it; without helper_open(), done() does so, too.
 */
void helper_begin(struct keyd *keyd, struct helper_job *job);

/* Takes the result of the job that has ended, and begins the next one. */
void helper_take(struct keyd *keyd);

/* keyd stops: waits for the job under way and drops all. */
void helper_close(struct keyd *keyd);

#endif
