/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The audit log: a chain that shows every change, and that a crash does not break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <openssl/sha.h>

#include "../../keyd/records/audit.h"
#include "scratch.h"

static struct audit audit;
static int dir_fd = -1;

static int make_log(void **state)
{
	if (scratch_make(state))
		return -1;
	dir_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return audit_log_open(&audit, dir_fd, NULL);
}

static int remove_log(void **state)
{
	audit_log_close(&audit);
	(void)close(dir_fd);
	return scratch_remove(state);
}

static void reopen(void)
{
	audit_log_close(&audit);
	assert_int_equal(audit_log_open(&audit, dir_fd, NULL), 0);
}

static void record(const char *event, const char *detail)
{
	const struct peer by = {.uid = 7, .pid = 8};
	assert_int_equal(audit_append(&audit, &(struct audit_event){.event = event,
						      .by = &by,
						      .level = "secret",
						      .detail = detail,
						      .result = "ok"}),
		0);
}

static char *read_log(size_t *len)
{
	char *text = scratch_read(scratch_path(AUDIT_FILE), len);
	assert_non_null(text);
	return text;
}

static struct audit_verdict verdict(void)
{
	const struct audit_check check = {0};
	struct audit_verdict v;
	assert_int_equal(audit_verify(dir_fd, &check, &v), 0);
	return v;
}

static void a_whole_log_passes(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		record("level-create", "quotes \" and \\ and /srv/a");
	struct audit_verdict v = verdict();
	assert_int_equal(v.records, 5);
	assert_int_equal(v.first_bad_line, 0);
	assert_false(v.torn);
	assert_string_equal(v.head, audit.head);
}

/* The rule of the header, followed by other code: json-c reads, SHA-256 over the rest. */
static void the_hash_is_what_the_documents_say(void **state)
{
	(void)state;
	record("level-create", NULL);
	record("attach", "/srv/a");
	size_t len = 0;
	char *text = read_log(&len), *line = strchr(text, '\n') + 1;
	struct json_object *json = json_tokener_parse(line), *hash, *member;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[65];

	assert_non_null(json);
	assert_true(json_object_object_get_ex(json, "hash", &hash));
	char *hash_text = strdup(json_object_get_string(hash));
	assert_true(json_object_object_get_ex(json, "seq", &member));
	assert_int_equal(json_object_get_int(member), 2);
	assert_true(json_object_object_get_ex(json, "uid", &member));
	assert_int_equal(json_object_get_int(member), 7);
	json_object_object_del(json, "hash");
	const char *rest = json_object_to_json_string_ext(
		json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	(void)SHA256((const uint8_t *)rest, strlen(rest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(hex, hash_text);
	free(hash_text);
	json_object_put(json);
	free(text);
}

static void every_changed_byte_is_found_in_its_line(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		record("level-create", "x");
	size_t len = 0;
	char *text = read_log(&len);
	uint64_t line = 1;

	for (size_t at = 0; at + 1 < len; at++) {
		char was = text[at];
		text[at] = was == '\n' ? ' ' : (char)(was ^ 1);
		assert_int_equal(scratch_write(scratch_path(AUDIT_FILE), text, len), 0);
		uint64_t bad = verdict().first_bad_line;
		assert_true(bad == line);
		text[at] = was;
		line += was == '\n';
	}
	free(text);
}

static void a_line_taken_out_is_found(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		record("level-create", "x");
	size_t len = 0;
	char *text = read_log(&len);
	char *second = strchr(text, '\n') + 1, *third = strchr(second, '\n') + 1;

	memmove(second, third, strlen(third) + 1);
	assert_int_equal(scratch_write(scratch_path(AUDIT_FILE), text, strlen(text)), 0);
	assert_int_equal(verdict().first_bad_line, 2);
	free(text);
}

static void the_chain_goes_on_after_a_restart(void **state)
{
	(void)state;
	record("level-create", NULL);
	reopen();
	record("level-destroy", NULL);
	struct audit_verdict v = verdict();
	assert_int_equal(v.records, 2);
	assert_int_equal(v.first_bad_line, 0);
	assert_int_equal(v.last_seq, 2);
}

static bool has_torn_file(void)
{
	struct dirent *entry;
	bool found = false;
	DIR *dir = opendir(scratch);

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		found |= !strncmp(entry->d_name, AUDIT_FILE ".torn-", sizeof(AUDIT_FILE) + 5);
	(void)closedir(dir);
	return found;
}

static void half_a_line_is_moved_aside_and_recorded(void **state)
{
	(void)state;
	record("level-create", NULL);
	record("level-destroy", NULL);
	size_t len = 0;
	char *text = read_log(&len);
	assert_int_equal(truncate(scratch_path(AUDIT_FILE), (off_t)len - 20), 0);
	assert_true(verdict().torn);

	reopen();
	struct audit_verdict v = verdict();
	assert_int_equal(v.first_bad_line, 0);
	assert_false(v.torn);
	assert_int_equal(v.records, 2); /* the first, and the one that tells of the second */
	assert_true(has_torn_file());
	free(text);
	text = read_log(&len);
	assert_non_null(strstr(text, "audit-torn-line"));
	free(text);
}

/* What some file systems show after the power was cut. */
static void a_tail_of_zeros_is_half_a_line(void **state)
{
	(void)state;
	record("level-create", NULL);
	size_t len = 0;
	char *text = read_log(&len);
	assert_int_equal(truncate(scratch_path(AUDIT_FILE), (off_t)len + 100), 0);
	reopen();
	assert_int_equal(verdict().first_bad_line, 0);
	assert_int_equal(verdict().records, 2);
	free(text);
}

/* A record lies across sectors: the last one was written, the one before it was not. */
static void a_whole_line_with_zeros_in_it_is_half_a_line(void **state)
{
	(void)state;
	record("level-create", NULL);
	record("level-destroy", NULL);
	size_t len = 0;
	char *text = read_log(&len);
	memset(strchr(text, '\n') + 1, 0, 40);
	assert_int_equal(scratch_write(scratch_path(AUDIT_FILE), text, len), 0);
	assert_true(verdict().torn);

	reopen();
	assert_int_equal(verdict().first_bad_line, 0);
	assert_int_equal(verdict().records, 2);
	assert_true(has_torn_file());
	free(text);
}

static void a_break_is_recorded_and_stays_visible(void **state)
{
	(void)state;
	record("level-create", "x");
	record("level-create", "y");
	size_t len = 0;
	char *text = read_log(&len);
	*strstr(text, "secret") = 'S';
	assert_int_equal(scratch_write(scratch_path(AUDIT_FILE), text, len), 0);
	free(text);

	reopen();
	record("level-create", "z");
	text = read_log(&len);
	assert_non_null(strstr(text, "audit-broken"));
	free(text);
	struct audit_verdict v = verdict();
	assert_int_equal(v.first_bad_line, 1);
	assert_int_equal(v.records, 4);
}

static void a_line_without_an_end_is_not_read_into_memory(void **state)
{
	(void)state;
	size_t len = 300000;
	char *text = malloc(len);
	assert_non_null(text);
	memset(text, 'x', len);
	text[len - 1] = '\n';
	assert_int_equal(scratch_write(scratch_path(AUDIT_FILE), text, len), 0);
	free(text);
	assert_int_equal(verdict().first_bad_line, 1);
}

static void a_record_that_cannot_be_written_is_refused(void **state)
{
	(void)state;
	record("level-create", NULL);
	int fd = audit.fd;
	audit.fd = open("/dev/full", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(audit.fd >= 0);
	char head[AUDIT_HASH_BYTES];
	memcpy(head, audit.head, sizeof(head));
	assert_int_not_equal(audit_append(&audit, &(struct audit_event){.event = "x"}), 0);
	assert_string_equal(audit.head, head);
	(void)close(audit.fd);
	audit.fd = fd;
	/* It could not be taken back either: nothing more is written, so nothing more permitted. */
	assert_int_equal(audit_append(&audit, &(struct audit_event){.event = "x"}), -EIO);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, make_log, remove_log)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_whole_log_passes),
		LOG_TEST(the_hash_is_what_the_documents_say),
		LOG_TEST(every_changed_byte_is_found_in_its_line),
		LOG_TEST(a_line_taken_out_is_found),
		LOG_TEST(the_chain_goes_on_after_a_restart),
		LOG_TEST(half_a_line_is_moved_aside_and_recorded),
		LOG_TEST(a_tail_of_zeros_is_half_a_line),
		LOG_TEST(a_whole_line_with_zeros_in_it_is_half_a_line),
		LOG_TEST(a_break_is_recorded_and_stays_visible),
		LOG_TEST(a_line_without_an_end_is_not_read_into_memory),
		LOG_TEST(a_record_that_cannot_be_written_is_refused),
	};
	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
