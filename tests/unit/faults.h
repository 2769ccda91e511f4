/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Calls that fail: every call of the product to the C library, the kernel, OpenSSL and json-c that can fail
 * (faults.c lists them), one in each run of a sweep, until each has failed:
 *
 *   faults_begin();
 *   do {
 *           faults_run();
 *           faults_arm();
 *           …
 *           faults_disarm();
 *           faults_end();
 *   } while (faults_fired());
 *
 * A call is told from another by where it comes from, four callers deep, and by its number there up to
 * FAULTS_REPEATED: what a loop does again and again is not failed again and again. One thread; children
 * carry on the run of their parent.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <stdbool.h>

enum { FAULTS_REPEATED = 3 };

/* Forgets what failed. */
void faults_begin(void);

/* Of the calls from here to faults_end() that are made while armed, the first that has not failed yet fails. */
void faults_run(void);
void faults_arm(void);
void faults_disarm(void);
void faults_end(void);

/* The function that failed in this run; NULL: all that were called have failed in earlier runs. */
const char *faults_fired(void);

/* Where it was called: the innermost callers' addresses, for addr2line(1). Static storage. */
const char *faults_place(void);

#endif
