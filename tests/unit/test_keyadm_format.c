/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Text for people from keyd's JSON: whatever is missing or odd in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/keyadm/keyadm_format.h"

static char *text;
static size_t text_len;

static int free_text(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

/* Formats the JSON into text. */
static const char *formatted(void (*format)(FILE *, struct json_object *), const char *json)
{
	struct json_object *object = json_tokener_parse(json);

	free(text);
	FILE *out = open_memstream(&text, &text_len);
	assert_non_null(out);
	format(out, object);
	assert_int_equal(fclose(out), 0);
	json_object_put(object);
	return text;
}

static void assert_has(const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void sizes_read_well_and_lose_nothing_large(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 bytes"},
		{1023, "1023 bytes"},
		{1024, "1 KiB"},
		{1536, "1.5 KiB"},
		{UINT64_C(10) << 30, "10 GiB"},
		{UINT64_C(1536) << 30, "1.5 TiB"},
		{UINT64_C(1) << 62, "4194304 TiB"},
		{UINT64_MAX, "16777216.0 TiB"},
	};
	char buf[FORMAT_SIZE_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(format_size(buf, cases[i].bytes), cases[i].text);
}

static void tables_align(void **state)
{
	(void)state;
	formatted(format_levels, "[{\"name\":\"a\",\"state\":\"suspended\",\"volumes\":3,\"created_"
				 "at\":\"T\",\"fingerprint\":\"F\"},"
				 "{\"name\":\"a-long-name\",\"state\":\"damaged\"}]");
	assert_string_equal(text, "NAME         STATE      VOLUMES  CREATED  FINGERPRINT\n"
				  "a            suspended  3        T        F\n"
				  "a-long-name  damaged    -        -        -\n");
	formatted(format_volumes, "[]");
	assert_string_equal(text, "UUID  LEVEL  STATE  SIZE  ATTACHED  PATH\n");
}

static void control_characters_never_come_through(void **state)
{
	(void)state;
	formatted(format_volumes, "[{\"path\":\"/a\\u001b[2Jb\\nc\\u007f\\u009b\\u202egmi\"}]");
	assert_has("/a\\x1b[2Jb\\x0ac\\x7f\\u{9b}\\u{202e}gmi\n");
	formatted(format_volume,
		"{\"path\":\"/\\u001b\",\"attached\":[{\"pid\":\"\\u001b\",\"uid\":1}]}");
	formatted(
		format_certificate, "{\"level\":\"\\u001b\",\"volumes\":[{\"path\":\"\\u001b\"}]}");
	assert_null(strchr(text, '\033'));
}

static void anything_odd_is_shown_as_far_as_it_goes(void **state)
{
	static void (*const formats[])(FILE *, struct json_object *) = {format_status,
		format_levels, format_level, format_volumes, format_volume, format_certificate};
	static const char *const odd[] = {"null", "{}", "[]", "[1,null,[]]", "\"x\"", "7",
		"{\"levels\":3,\"consumers\":{},\"volumes\":\"x\",\"attached\":1,\"acknowledged\":["
		"null]}",
		"{\"certificate\":[],\"verification\":null,\"requester\":[],\"outstanding_"
		"exports\":[null]}"};

	(void)state;
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
			assert_non_null(formatted(formats[f], odd[i]));
	}
}

static void a_certificate_opens_with_one_line_for_people(void **state)
{
	(void)state;
	formatted(format_certificate, "{\"scope\":\"level\",\"level\":\"red\",\"completed_at\":"
				      "\"T\",\"erase_class\":\"clear\","
				      "\"volumes\":[{\"uuid\":\"U\",\"path\":\"/"
				      "p\",\"size_bytes\":1048576,\"fingerprint\":\"F\"}],"
				      "\"requester\":{\"uid\":5,\"user\":\"eve\"},\"acknowledged\":"
				      "[{\"pid\":1,\"uid\":0,\"scrub\":true}],"
				      "\"unacknowledged\":[{\"pid\":2,\"uid\":3}],\"verification\":"
				      "{\"result\":\"passed\"},"
				      "\"outstanding_exports\":[{\"id\":\"exp-1\"}]}");
	assert_int_equal(strncmp(text,
				 "Level red with 1 volume was destroyed at T: 1 of 2 consumers "
				 "confirmed the wipe, erase class clear, verification passed.\n",
				 121),
		0);
	assert_has("U  key F  1 MiB  /p\n");
	assert_has("eve (uid 5)\n");
	assert_has("confirmed       pid 1, uid 0, freed buffers wiped\n");
	assert_has("not confirmed   pid 2, uid 3\n");
	assert_has("exp-1");
}

static void audit_lines_keep_what_they_say_and_drop_the_chain(void **state)
{
	(void)state;
	free(text);
	FILE *out = open_memstream(&text, &text_len);
	format_audit(out,
		"{\"seq\":1,\"time\":\"T\",\"event\":\"attach\",\"uid\":7,\"level\":\"red\","
		"\"result\":\"denied\",\"prev\":\"00\",\"hash\":\"11\"}\n"
		"torn{\n{\"event\":\"x\"}");
	assert_int_equal(fclose(out), 0);
	assert_string_equal(
		text, "T attach denied uid=7 level=red\n(a line that is no JSON)\n- x -\n");
}

static void a_refusal_is_one_line(void **state)
{
	struct proto_msg reply = {
		.type = PROTO_REPLY, .reply = {PROTO_NOT_FOUND, "no such\nlevel"}};
	char line[128] = "";
	int pipe_fds[2], saved = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	(void)fflush(stderr);
	assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
	int err = keyadm_check_reply(&reply);
	(void)fflush(stderr);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	assert_int_equal(err, -ENOENT);
	assert_true(read(pipe_fds[0], line, sizeof(line) - 1) > 0);
	assert_string_equal(line, "keyadm: no such\\x0alevel\n");
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	(void)close(saved);
	reply.reply.status = PROTO_OK;
	assert_int_equal(keyadm_check_reply(&reply), 0);
}

#define TEXT_TEST(name) cmocka_unit_test_teardown(name, free_text)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEXT_TEST(sizes_read_well_and_lose_nothing_large),
		TEXT_TEST(tables_align),
		TEXT_TEST(control_characters_never_come_through),
		TEXT_TEST(anything_odd_is_shown_as_far_as_it_goes),
		TEXT_TEST(a_certificate_opens_with_one_line_for_people),
		TEXT_TEST(audit_lines_keep_what_they_say_and_drop_the_chain),
		TEXT_TEST(a_refusal_is_one_line),
	};
	return cmocka_run_group_tests_name("keyadm_format", tests, NULL, NULL);
}
