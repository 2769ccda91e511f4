/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * An order to keyd, given as often as calls can fail in what follows from it (faults.h). Each time keyd starts again
 * afterwards, nothing failing: it must find the state of before or of after, and that of after when the answer was "ok";
 * the audit log must be authentic, and no key file may lie where a key is destroyed.
 */
#ifndef TESTS_SWEEP_H
#define TESTS_SWEEP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "faults.h"
#include "small_keyd.h"

struct order {
	void (*before_start)(void); /* changes the store; NULL: it is the lab's */
	void (*prepare)(void);      /* nothing fails in it; NULL: nothing to prepare */
	int (*give)(void);   /* the status of the answer; NULL: the start itself is the order */
	bool locked;         /* the store is when the order is given */
	const char *between; /* one more state that may be found; NULL: none */
};

/* A test that fails when anything of that is not so. */
void sweep(const struct order *order);

/* Defines the cmocka test name(). */
#define SWEEP(name, ...)                                                                           \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		sweep(&(const struct order){__VA_ARGS__});                                         \
	}

/* Defines the function name(), which gives a request of this type about subject. */
#define ORDER(name, type, subject)                                                                 \
	static int name(void)                                                                      \
	{                                                                                          \
		return small_keyd_order(type, subject);                                            \
	}

/* INIT_PASSPHRASE, CUSTODY_CHANGE or UNLOCK, with the passphrase of the tests. */
int sweep_with_passphrase(uint16_t type, const char *custody);

/* The tgtd says hello; the same, and it gets red's key. */
int sweep_hello(void);
int sweep_attach(void);
void sweep_greet(void);
void sweep_hold(void);

#endif
