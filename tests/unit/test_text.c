/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd/common/text.h: what may be in a path, and how anything else is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"

static const struct {
	const char *path;
	bool is_path, is_recorded;
	const char *shown; /* NULL: unchanged */
} cases[] = {
	{"/srv/luns/red.img", true, true, NULL},
	{"/srv/Größe/データ/диск/ملف.img", true, true, NULL},
	{"/srv/\xf0\x9f\x92\xbe.img", true, true, NULL},
	{"/srv/می\xe2\x80\x8cخواهم", true, true, NULL}, /* a joiner that Persian needs */
	{"relative", false, false, NULL},
	{"", false, false, NULL},
	/* Control characters of ASCII, then of Latin-1: CSI, NEL. */
	{"/a\x1b[2J", false, false, "/a\\x1b[2J"},
	{"/a\nb", false, false, "/a\\x0ab"},
	{"/a\x7f", false, false, "/a\\x7f"},
	{"/a\xc2\x9b"
	 "2J",
		false, true, "/a\\u{9b}2J"},
	{"/a\xc2\x85", false, true, "/a\\u{85}"},
	{"/a\xc2\xa0", true, true, NULL},
	/* Direction: marks, embeddings and overrides, isolates. */
	{"/a\xd8\x9c", false, true, "/a\\u{61c}"},
	{"/a\xe2\x80\x8e", false, true, "/a\\u{200e}"},
	{"/a\xe2\x80\x8f", false, true, "/a\\u{200f}"},
	{"/a\xe2\x80\xaa", false, true, "/a\\u{202a}"},
	{"/a\xe2\x80\xaegmi.live", false, true, "/a\\u{202e}gmi.live"},
	{"/a\xe2\x81\xa6", false, true, "/a\\u{2066}"},
	{"/a\xe2\x81\xa9", false, true, "/a\\u{2069}"},
	/* Separators of lines and paragraphs; what has no width; tags. */
	{"/a\xe2\x80\xa8", false, true, "/a\\u{2028}"},
	{"/a\xe2\x80\xa9", false, true, "/a\\u{2029}"},
	{"/a\xe2\x80\x8b", false, true, "/a\\u{200b}"},
	{"/a\xef\xbb\xbf", false, true, "/a\\u{feff}"},
	{"/a\xf3\xa0\x81\x81", false, true, "/a\\u{e0041}"},
	/* No UTF-8: Latin-1, cut, overlong, a surrogate, beyond the last. */
	{"/a\xe4", false, false, "/a\\xe4"},
	{"/a\xe2\x82", false, false, "/a\\xe2\\x82"},
	{"/a\xc0\xaf", false, false, "/a\\xc0\\xaf"},
	{"/a\xed\xa0\x80", false, false, "/a\\xed\\xa0\\x80"},
	{"/a\xf4\x90\x80\x80", false, false, "/a\\xf4\\x90\\x80\\x80"},
};

static void only_honest_paths_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (text_is_path(cases[i].path) != cases[i].is_path ||
			text_is_recorded_path(cases[i].path) != cases[i].is_recorded)
			fail_msg("case %zu", i);
	}
}

static void the_rest_is_shown_escaped(void **state)
{
	char shown[128], less[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *expected = cases[i].shown ? cases[i].shown : cases[i].path;
		text_escape(shown, sizeof(shown), cases[i].path);
		assert_string_equal(shown, expected);
		for (size_t cap = 1; cap <= sizeof(less); cap++) {
			text_escape(less, cap, cases[i].path);
			assert_true(strlen(less) < cap && !strncmp(less, expected, strlen(less)));
			assert_true(text_is_utf8(less)); /* nothing is cut in the middle */
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_honest_paths_are_taken),
		cmocka_unit_test(the_rest_is_shown_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
