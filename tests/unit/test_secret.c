/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/common/secret.h: locked, guarded, wiped, not inherited. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "secret.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MLOCK_DOES_NOTHING /* these sanitizers intercept mlock(2) and skip it */
#endif

/* The smaps(5) line starting with field, of the mapping that holds p. */
static bool mapping_says(const void *p, const char *field, const char *expected)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false, said = false;
	unsigned long first, end;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
			here = (unsigned long)p >= first && (unsigned long)p < end;
		else if (here && !strncmp(line, field, strlen(field)))
			said = strstr(line, expected) != NULL;
	}
	(void)fclose(f);
	return said;
}

static void a_secret_is_locked_undumped_and_zero(void **state)
{
	static const uint8_t zero[5000];

	(void)state;
	for (size_t len = 1; len <= sizeof(zero); len = len * 3 + 1) {
		uint8_t *s = secret_alloc(len);
		assert_non_null(s);
		assert_int_equal((uintptr_t)s % 16, 0);
		assert_memory_equal(s, zero, len);
#ifndef MLOCK_DOES_NOTHING
		assert_true(mapping_says(s, "VmFlags:", " lo "));
#endif
		assert_true(mapping_says(s, "VmFlags:", " dd "));
		assert_true(mapping_says(s, "VmFlags:", " wf "));
		memset(s, 0xaa, len);
		secret_free(s);
	}
	secret_free(NULL);
}

/* How a child that runs f(p) ends: the signal, or minus its exit status. */
static int fate_of_child(void (*f)(uint8_t *p), uint8_t *p)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		f(p);
		_exit(0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void write_past_end(uint8_t *p)
{
	*(volatile uint8_t *)(p + 32) = 1;
}

static void look_for_secret(uint8_t *p)
{
	_exit(p[0] == 0 ? 0 : 1);
}

static void guard_pages_stop_an_overrun_and_a_child_sees_zeros(void **state)
{
	uint8_t *p = secret_alloc(32);

	(void)state;
	assert_non_null(p);
	memset(p, 0x55, 32);
	assert_int_not_equal(fate_of_child(write_past_end, p), 0);
	assert_int_equal(fate_of_child(look_for_secret, p), 0);
	secret_free(p);
	assert_false(mapping_says(p, "VmFlags:", "")); /* unmapped, not only wiped */
}

static void memory_that_cannot_be_locked_is_refused(void **state)
{
	struct rlimit before, none = {0, 0};

	(void)state;
#ifdef MLOCK_DOES_NOTHING
	skip();
#endif
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	pid_t pid = fork();
	if (!pid) /* root may lock without limit: look as nobody */
		_exit(setuid(65534) || secret_alloc(32) ? 1 : 0);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void impossible_lengths_are_refused(void **state)
{
	(void)state;
	assert_null(secret_alloc(0));
	assert_null(secret_alloc(SIZE_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_is_locked_undumped_and_zero),
		cmocka_unit_test(guard_pages_stop_an_overrun_and_a_child_sees_zeros),
		cmocka_unit_test(memory_that_cannot_be_locked_is_refused),
		cmocka_unit_test(impossible_lengths_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
