/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyadm's command line and sizes are read strictly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>

#include "../../keyd/keyadm/keyadm_args.h"

/* Parses what follows "keyadm". */
#define PARSE(args, ...) parse(args, (const char *const[]){"keyadm", __VA_ARGS__, NULL})

static int parse(struct keyadm_args *args, const char *const *argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return keyadm_args_parse(args, argc, (char *const *)(uintptr_t)argv);
}

static void options_stand_anywhere(void **state)
{
	struct keyadm_args args;

	(void)state;
	assert_int_equal(
		PARSE(&args, "--json", "level", "--level=a=b", "destroy", "x", "--yes"), 0);
	assert_int_equal(args.words, 3);
	assert_string_equal(args.word[0], "level");
	assert_string_equal(args.word[2], "x");
	assert_null(args.word[3]);
	assert_non_null(args.option[OPT_JSON]);
	assert_non_null(args.option[OPT_YES]);
	assert_string_equal(args.option[OPT_LEVEL], "a=b");
	assert_null(args.option[OPT_FORCE]);
}

static void a_value_may_follow_and_look_like_an_option(void **state)
{
	struct keyadm_args args;

	(void)state;
	assert_int_equal(PARSE(&args, "--out", "--json", "x"), 0);
	assert_string_equal(args.option[OPT_OUT], "--json");
	assert_null(args.option[OPT_JSON]);
	assert_int_equal(args.words, 1);
}

static void some_options_may_be_repeated(void **state)
{
	struct keyadm_args args;
	const char *argv[2 * KEYADM_REPEATS_MAX + 4] = {"keyadm"};

	(void)state;
	assert_int_equal(PARSE(&args, "export", "--recipient", "a", "--recipient=b"), 0);
	assert_int_equal(args.repeats, 2);
	assert_string_equal(args.repeated[0], "a");
	assert_string_equal(args.repeated[1], "b");
	assert_int_equal(PARSE(&args, "--out", "a", "--out", "b"), -EINVAL);
	for (size_t i = 0; i <= KEYADM_REPEATS_MAX; i++) {
		argv[1 + 2 * i] = "--share";
		argv[2 + 2 * i] = "x";
	}
	assert_int_equal(parse(&args, argv), -EINVAL);
	argv[1 + 2 * KEYADM_REPEATS_MAX] = NULL;
	assert_int_equal(parse(&args, argv), 0);
	assert_int_equal(args.repeats, KEYADM_REPEATS_MAX);
}

static void two_dashes_end_the_options(void **state)
{
	struct keyadm_args args;

	(void)state;
	assert_int_equal(PARSE(&args, "volume", "show", "--", "--json"), 0);
	assert_int_equal(args.words, 3);
	assert_string_equal(args.word[2], "--json");
	assert_null(args.option[OPT_JSON]);
}

static void wrong_options_are_named(void **state)
{
	struct keyadm_args args;

	(void)state;
	assert_int_equal(PARSE(&args, "--jsn"), -EINVAL);
	assert_string_equal(args.error, "unknown option: --jsn");
	assert_int_equal(PARSE(&args, "--js"), -EINVAL);
	assert_int_equal(PARSE(&args, "--jsonx"), -EINVAL);
	assert_int_equal(PARSE(&args, "-j"), -EINVAL);
	assert_int_equal(PARSE(&args, "--json=1"), -EINVAL);
	assert_string_equal(args.error, "option takes no value: --json=1");
	assert_int_equal(PARSE(&args, "--json", "--json"), -EINVAL);
	assert_string_equal(args.error, "option given twice: --json");
	assert_int_equal(PARSE(&args, "--size"), -EINVAL);
	assert_string_equal(args.error, "option needs a value: --size");
	assert_int_equal(PARSE(&args, "--size="), -EINVAL);
	assert_int_equal(PARSE(&args, "--size", ""), -EINVAL);
	assert_int_equal(PARSE(&args, "a", "b", "c", "d", "e"), -EINVAL);
}

static void assert_size(const char *text, uint32_t sector_bytes, uint64_t expected)
{
	uint64_t bytes = 0;

	assert_int_equal(keyadm_parse_size(text, sector_bytes, &bytes), 0);
	assert_int_equal(bytes, expected);
}

static void sizes_are_bytes_or_have_a_unit(void **state)
{
	(void)state;
	assert_size("10GB", 512, UINT64_C(10000000000));
	assert_size("4096kB", 512, 4096000);
	assert_size("4096KB", 4096, 4096000);
	assert_size("512MB", 512, 512000000);
	assert_size("1TB", 4096, UINT64_C(1000000000000));
	assert_size("1GiB", 4096, UINT64_C(1) << 30);
	assert_size("2048KiB", 4096, 2 << 20);
	assert_size("512MiB", 4096, 512 << 20);
	assert_size("1TiB", 4096, UINT64_C(1) << 40);
	assert_size("1.5G", 4096, UINT64_C(3) << 29);
	assert_size("1.5GiB", 4096, UINT64_C(3) << 29);
	assert_size("1.024GB", 512, 1024000000);
	assert_size("0.5T", 4096, UINT64_C(1) << 39);
	assert_size("1.500000G", 4096, UINT64_C(3) << 29);
	assert_size("0.001024TB", 512, 1024000000);
	assert_size("1048576", 512, 1048576);
	assert_size("1024K", 4096, 1048576);
	assert_size("512M", 4096, UINT64_C(512) << 20);
	assert_size("10G", 4096, UINT64_C(10) << 30);
	assert_size("1T", 512, UINT64_C(1) << 40);
	assert_size("01M", 512, 1048576);
	assert_size("4194304T", 4096, UINT64_C(1) << 62);
	assert_size("4611686018427387904", 4096, UINT64_C(1) << 62);
	assert_size("1049088", 512, 1049088);
}

static void assert_no_size(const char *text, int err)
{
	uint64_t bytes = 7;

	assert_int_equal(keyadm_parse_size(text, 4096, &bytes), err);
	assert_int_equal(bytes, 7);
}

static void everything_else_is_no_size(void **state)
{
	static const char *const malformed[] = {"", "G", "-1G", "+1G", " 1G", "1G ", "1 G", "1g",
		"1Gb", "1Gi", "1GiBx", "1giB", "1B", "1iB", "1kiB", "1k", "1.5", "1.G", ".5G",
		"1.5.G", "1,5G", "1.5000000G", "1.5 G", "0x100000", "1e9", "1P", "1PB", "1GG",
		"ten"};

	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		assert_no_size(malformed[i], -EINVAL);
	assert_no_size("0", -ERANGE);
	assert_no_size("0G", -ERANGE);
	assert_no_size("1", -ERANGE);
	assert_no_size("1023K", -ERANGE);
	assert_no_size("4194305T", -ERANGE);
	assert_no_size("4611686018427387905", -ERANGE);
	assert_no_size("18446744073709551616", -ERANGE); /* 2^64 */
	assert_no_size("18446744073710600192", -ERANGE); /* 2^64 + 1 MiB */
	assert_no_size("17179869184G", -ERANGE);         /* 2^34 G = 2^64 */
	assert_no_size("17179869185G", -ERANGE);
	assert_no_size("99999999999999999999999999999999T", -ERANGE);
	assert_no_size("1048577", -EDOM);
	assert_no_size("1049088", -EDOM); /* fits 512, not 4096 */
	assert_no_size("1025K", -EDOM);
	assert_no_size("10GB", -EDOM); /* fits 512, not 4096 */
	assert_no_size("1.1G", -EDOM); /* no whole number of bytes */
	assert_no_size("1.000001M", -EDOM);
	assert_no_size("0.9M", -EDOM);
	assert_no_size("0.5M", -ERANGE);
	assert_no_size("4194304.5T", -ERANGE);
	assert_no_size("4611687TB", -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(a_value_may_follow_and_look_like_an_option),
		cmocka_unit_test(some_options_may_be_repeated),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(wrong_options_are_named),
		cmocka_unit_test(sizes_are_bytes_or_have_a_unit),
		cmocka_unit_test(everything_else_is_no_size),
	};
	return cmocka_run_group_tests_name("keyadm_args", tests, NULL, NULL);
}
