/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs_crypt/initiator.h: which names of initiators are let in, and how they are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "initiator.h"

static struct initiator_fault fault;
static char text[1024];

/* One pair, between others. What became of the value is in text behind "X=y\0KEY=". */
static int check(const char *key, const char *value)
{
	int len = snprintf(
		text, sizeof(text), "X=y%c%s=%s%cSessionType=Normal%c", 0, key, value, 0, 0);

	memset(&fault, 0, sizeof(fault));
	return initiator_check(text, (size_t)len, &fault);
}

static const char *value_of(const char *key)
{
	return text + sizeof("X=y") + strlen(key) + 1;
}

static int name(const char *value)
{
	return check("InitiatorName", value);
}

static int alias(const char *value)
{
	return check("InitiatorAlias", value);
}

static void names_of_the_rfc_are_taken(void **state)
{
	static const char *const good[] = {"iqn.1993-08.org.debian:01:a3a1ad5f9b10",
		"iqn.1991-05.com.microsoft:win-1.example.com",
		"iqn.1998-01.com.vmware:esx1-4f3a2b1c", "iqn.2008-11.org.linux-kvm:guest",
		"eui.02004567A425678D", "naa.52004567BA64678D"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(name(good[i]), 0);
		assert_string_equal(value_of("InitiatorName"), good[i]);
	}
}

static void every_other_character_is_refused(void **state)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:";
	char value[] = "iqn.2007-06.example:a?b";

	(void)state;
	for (int c = 1; c < 256; c++) {
		value[sizeof(value) - 3] = (char)c;
		assert_int_equal(name(value), strchr(allowed, c) ? 0 : -EINVAL);
	}
}

static void a_name_has_a_type_and_a_length(void **state)
{
	char longest[INITIATOR_NAME_BYTES_MAX + 2] = "iqn.";

	(void)state;
	assert_int_equal(name(""), -EINVAL);
	assert_int_equal(name("iqn."), -EINVAL);
	assert_int_equal(name("Driver:"), -EINVAL);
	assert_int_equal(name("Iqn.2007-06.example:a"), -EINVAL);
	memset(longest + 4, 'x', INITIATOR_NAME_BYTES_MAX - 4);
	assert_int_equal(name(longest), 0);
	longest[INITIATOR_NAME_BYTES_MAX] = 'x';
	assert_int_equal(name(longest), -EINVAL);
}

static void an_alias_is_shown_as_one_word(void **state)
{
	char longest[INITIATOR_ALIAS_BYTES_MAX + 2] = "";

	(void)state;
	assert_int_equal(alias("host-1.example"), 0);
	assert_string_equal(value_of("InitiatorAlias"), "host-1.example");
	assert_int_equal(alias("x I_T nexus: 1;command;true #"), 0);
	assert_string_equal(value_of("InitiatorAlias"), "x_I_T_nexus__1_command_true__");
	assert_int_equal(alias("B\xc3\xbcro\xc2\xa0`$(1)`"), 0);
	assert_string_equal(value_of("InitiatorAlias"), "B__ro_____1__");
	for (char c = 1; c < ' '; c++)
		assert_int_equal(alias((char[]){'a', c, 'b', 0}), -EINVAL);
	assert_int_equal(alias("a\x7f"), -EINVAL);
	memset(longest, 'x', INITIATOR_ALIAS_BYTES_MAX);
	assert_int_equal(alias(longest), 0);
	longest[INITIATOR_ALIAS_BYTES_MAX] = 'x';
	assert_int_equal(alias(longest), -EINVAL);
}

static void other_keys_may_have_any_value(void **state)
{
	(void)state;
	assert_int_equal(check("TargetName", "a b\nc"), 0);
	assert_int_equal(check("initiatorname", "a b"), 0);
	assert_int_equal(check("InitiatorNames", "a b"), 0);
	assert_int_equal(check("InitiatorNam", "a b"), 0);
}

static void what_is_refused_is_shown_harmless(void **state)
{
	char longest[200];

	(void)state;
	assert_int_equal(name("iqn.a\n\"b\\ \xc2\x85"), -EINVAL);
	assert_string_equal(fault.key, "InitiatorName");
	assert_string_equal(fault.shown, "iqn.a\\x0a\\x22b\\x5c\\x20\\xc2\\x85");
	memset(longest, '\n', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(alias(longest), -EINVAL);
	assert_string_equal(fault.key, "InitiatorAlias");
	assert_non_null(strstr(fault.shown, "\\x0a..."));
	assert_true(strlen(fault.shown) < sizeof(fault.shown));
}

/* The second of two counts as well: which one tgt takes is its own affair. */
static void every_pair_is_looked_at(void **state)
{
	char two[] = "InitiatorName=iqn.a\0InitiatorName=iqn.a b";
	char open[] = "InitiatorName=a b";

	(void)state;
	assert_int_equal(initiator_check(two, sizeof(two), &fault), -EINVAL);
	assert_int_equal(initiator_check(two, sizeof("InitiatorName=iqn.a"), &fault), 0);
	assert_int_equal(initiator_check(open, sizeof(open) - 1, &fault), 0);
	assert_int_equal(initiator_check(open, sizeof(open), &fault), -EINVAL);
	assert_int_equal(initiator_check(open, 0, &fault), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_rfc_are_taken),
		cmocka_unit_test(every_other_character_is_refused),
		cmocka_unit_test(a_name_has_a_type_and_a_length),
		cmocka_unit_test(an_alias_is_shown_as_one_word),
		cmocka_unit_test(other_keys_may_have_any_value),
		cmocka_unit_test(what_is_refused_is_shown_harmless),
		cmocka_unit_test(every_pair_is_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
