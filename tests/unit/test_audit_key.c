/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The audit log with its key: who cannot make codes cannot change, cut or replace it unnoticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "../../keyd/records/audit.h"
#include "../../keyd/records/audit_head.h"
#include "../../keyd/common/secret.h"
#include "scratch.h"

static struct audit audit;
static int dir_fd = -1;
static uint64_t first_keyed;
static const uint8_t key_bytes[MAC_KEY_BYTES] = "0123456789abcdef0123456789abcde";

/* What a store would give: the same key each time, owned by whoever gets it. */
static struct audit_key key(void)
{
	struct audit_key k = {
		.bytes = secret_alloc(MAC_KEY_BYTES), .id = "id", .first_keyed = first_keyed};
	assert_non_null(k.bytes);
	memcpy(k.bytes, key_bytes, MAC_KEY_BYTES);
	return k;
}

static void record(const char *event)
{
	assert_int_equal(
		audit_append(&audit,
			&(struct audit_event){.event = event, .level = "secret", .result = "ok"}),
		0);
}

/* Two records, then the key, then three more. */
static int make_log(void **state)
{
	if (scratch_make(state))
		return -1;
	dir_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (audit_log_open(&audit, dir_fd, NULL))
		return -1;
	record("keyd-start");
	record("init");
	struct audit_key new_key = key();
	if (audit_adopt_key(&audit, &new_key))
		return -1;
	first_keyed = audit.key.first_keyed;
	record("level-create");
	record("level-suspend");
	record("level-destroy");
	return 0;
}

static int remove_log(void **state)
{
	audit_log_close(&audit);
	(void)close(dir_fd);
	return scratch_remove(state);
}

static void stop(void)
{
	audit_log_close(&audit);
}

static void start(void)
{
	struct audit_key k = key();
	assert_int_equal(audit_log_open(&audit, dir_fd, &k), 0);
}

static void start_locked(void)
{
	assert_int_equal(audit_log_open(&audit, dir_fd, NULL), 0);
}

static void unlock(void)
{
	struct audit_key k = key();
	assert_int_equal(audit_use_key(&audit, &k), 0);
}

/* As a locked keyd records a wrong passphrase, or its start. */
static void record_locked(const char *event, const char *result)
{
	assert_int_equal(
		audit_append(&audit, &(struct audit_event){.event = event, .result = result}), 0);
}

static struct audit_verdict verdict_with(struct audit_check check)
{
	struct audit_verdict v;
	struct audit_key k = key();

	check.key = check.key ? check.key : &k;
	assert_int_equal(audit_verify(dir_fd, &check, &v), 0);
	secret_free(k.bytes);
	return v;
}

static struct audit_verdict verdict(void)
{
	return verdict_with((struct audit_check){0});
}

static void assert_broken(uint64_t line, const char *reason)
{
	struct audit_verdict v = verdict();

	assert_int_equal(v.first_bad_line, line);
	assert_non_null(strstr(v.reason, reason));
}

/* A file of the store, kept to be put back. */
struct copy {
	char *data;
	size_t len;
};

static struct copy copy_of(const char *name)
{
	struct copy c;
	c.data = scratch_read(scratch_path(name), &c.len);
	assert_non_null(c.data);
	return c;
}

static void put_back(const char *name, struct copy *c)
{
	assert_int_equal(scratch_write(scratch_path(name), c->data, c->len), 0);
	free(c->data);
}

/* Leaves the first lines only. */
static void cut_to(unsigned lines)
{
	struct copy c = copy_of(AUDIT_FILE);
	char *end = c.data;

	while (lines--)
		end = strchr(end, '\n') + 1;
	c.len = (size_t)(end - c.data);
	put_back(AUDIT_FILE, &c);
}

/* As an attacker without the key does it: changes, drops the codes or not, and makes all hashes anew. */
static void rehash(const char *from, const char *to, bool drop_codes)
{
	char prev[AUDIT_HASH_BYTES], hash[AUDIT_HASH_BYTES], out[AUDIT_LINE_BYTES_MAX];
	struct copy c = copy_of(AUDIT_FILE), made = {.data = calloc(2, c.len), .len = 0};

	assert_non_null(made.data);
	memcpy(prev, audit_no_prev, sizeof(prev));
	for (char *line = c.data, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		struct json_object *json = json_tokener_parse(line);
		assert_non_null(json);
		json_object_object_del(json, "hash");
		struct json_object *code = NULL;
		(void)json_object_object_get_ex(json, "mac", &code);
		char *kept = code ? strdup(json_object_get_string(code)) : NULL;
		json_object_object_del(json, "mac");
		json_object_object_del(json, "prev");
		if (!strcmp(json_object_get_string(json_object_object_get(json, "event")), from))
			json_object_object_add(json, "event", json_object_new_string(to));
		json_object_object_add(json, "prev", json_object_new_string(prev));
		if (kept && !drop_codes)
			json_object_object_add(json, "mac", json_object_new_string(kept));
		free(kept);
		const char *text = json_object_to_json_string_ext(
			json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
		ssize_t n = audit_line_finish(text, strlen(text), NULL, out, hash);
		assert_true(n > 0);
		memcpy(made.data + made.len, out, (size_t)n);
		made.len += (size_t)n;
		memcpy(prev, hash, sizeof(prev));
		json_object_put(json);
	}
	free(c.data);
	put_back(AUDIT_FILE, &made);
}

/* The rule of the documents, followed with other code. */
static void the_code_is_what_the_documents_say(void **state)
{
	struct copy c = copy_of(AUDIT_FILE);
	char *line = c.data, hex[MAC_TEXT_BYTES];
	uint8_t code[32];
	unsigned len = 0;

	(void)state;
	for (int i = 1; i < 4; i++)
		line = strchr(line, '\n') + 1;
	struct json_object *json = json_tokener_parse(line), *mac;
	assert_true(json_object_object_get_ex(json, "mac", &mac));
	char *want = strdup(json_object_get_string(mac));
	json_object_object_del(json, "mac");
	json_object_object_del(json, "hash");
	const char *rest = json_object_to_json_string_ext(
		json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	assert_non_null(HMAC(EVP_sha256(), key_bytes, sizeof(key_bytes), (const uint8_t *)rest,
		strlen(rest), code, &len));
	for (size_t i = 0; i < sizeof(code); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", code[i]);
	assert_string_equal(hex, want);
	free(want);
	json_object_put(json);
	free(c.data);
}

static void a_whole_log_passes_and_tells_what_is_keyed(void **state)
{
	(void)state;
	struct audit_verdict v = verdict();
	assert_int_equal(v.records, 5);
	assert_int_equal(v.first_bad_line, 0);
	assert_int_equal(v.last_keyed, 5);
	assert_int_equal(v.without_code, 0);
	assert_int_equal(first_keyed, 3);
	stop();
	start();
	record("keyd-start");
	assert_int_equal(verdict().first_bad_line, 0);
	assert_int_equal(verdict().records, 6);
}

static void every_changed_byte_is_found_in_its_line(void **state)
{
	struct copy c = copy_of(AUDIT_FILE);
	uint64_t line = 1;

	(void)state;
	for (size_t at = 0; at + 1 < c.len; at++) {
		char was = c.data[at];
		c.data[at] = was == '\n' ? ' ' : (char)(was ^ 1);
		assert_int_equal(scratch_write(scratch_path(AUDIT_FILE), c.data, c.len), 0);
		assert_int_equal(verdict().first_bad_line, line);
		c.data[at] = was;
		line += was == '\n';
	}
	free(c.data);
}

static void an_edit_with_all_hashes_made_anew_is_found(void **state)
{
	(void)state;
	rehash("level-suspend", "level-resume", false);
	assert_broken(4, "not made with the log's key");
}

static void an_edit_of_what_is_older_than_the_key_is_found(void **state)
{
	(void)state;
	rehash("init", "nothing", false);
	assert_broken(3, "not made with the log's key");
}

static void a_log_made_anew_without_codes_is_no_old_log(void **state)
{
	(void)state;
	rehash("level-destroy", "level-destroy", true);
	assert_broken(3, "permits nothing of the kind");
}

static void a_cut_is_found_however_many_lines_are_gone(void **state)
{
	(void)state;
	stop();
	for (unsigned left = 4; left < 5; left--) {
		cut_to(left);
		assert_broken(left + 1, "the last one was 5");
	}
	unlink(scratch_path(AUDIT_FILE));
	assert_broken(1, "the last one was 5");
}

static void a_cut_stays_to_be_seen_after_the_next_start(void **state)
{
	(void)state;
	stop();
	cut_to(3);
	start();
	record("keyd-start");
	assert_broken(4, "does not follow");
	struct copy c = copy_of(AUDIT_FILE);
	assert_non_null(strstr(c.data, "audit-broken"));
	assert_non_null(strstr(c.data, "\"seq\":6"));
	free(c.data);
	stop();
	start();
	assert_broken(4, "does not follow");
}

static void a_head_taken_away_stays_to_be_seen(void **state)
{
	(void)state;
	stop();
	cut_to(4);
	unlink(scratch_path(AUDIT_HEAD_FILE));
	start();
	record("keyd-start");
	assert_broken(5, "sequence number");
	stop();
	start();
	assert_broken(5, "sequence number");
}

/* The record is durable before the head: a crash between leaves the log one ahead. */
static void a_log_ahead_of_its_head_is_no_alarm(void **state)
{
	struct copy head = copy_of(AUDIT_HEAD_FILE);

	(void)state;
	record("level-create");
	stop();
	put_back(AUDIT_HEAD_FILE, &head);
	assert_int_equal(verdict().first_bad_line, 0);
	start();
	record("keyd-start");
	assert_int_equal(verdict().first_bad_line, 0);
	assert_int_equal(verdict().records, 7);
}

static struct copy with_torn_slot(unsigned slot)
{
	struct copy head = copy_of(AUDIT_HEAD_FILE);

	memset(head.data + (size_t)slot * 4096 + 50, 'x', 40);
	return head;
}

static void a_slot_torn_by_a_crash_is_no_alarm(void **state)
{
	struct copy head;

	(void)state;
	for (int i = 0; i < 3; i++) { /* each slot in turn */
		unsigned slot = audit.next_slot;
		record("level-create");
		stop();
		head = with_torn_slot(slot);
		put_back(AUDIT_HEAD_FILE, &head);
		assert_int_equal(verdict().first_bad_line, 0);
		start();
		record("keyd-start");
		assert_int_equal(verdict().first_bad_line, 0);
	}
}

static void a_slot_spoilt_to_cut_a_line_is_found(void **state)
{
	unsigned newest = 1 - audit.next_slot;

	(void)state;
	stop();
	struct copy head = with_torn_slot(newest);
	put_back(AUDIT_HEAD_FILE, &head);
	cut_to(4);
	assert_broken(5, "was changed");
	start();
	record("keyd-start");
	assert_broken(5, "sequence number");
}

static void both_slots_spoilt_is_found(void **state)
{
	(void)state;
	struct copy head = with_torn_slot(0);
	put_back(AUDIT_HEAD_FILE, &head);
	head = with_torn_slot(1);
	put_back(AUDIT_HEAD_FILE, &head);
	assert_broken(6, "is missing or was changed");
}

static void what_a_locked_keyd_wrote_is_vouched_for_after_unlocking(void **state)
{
	(void)state;
	stop();
	start_locked();
	record("keyd-start");
	record_locked("unlock", "denied");
	unlock();
	record("unlock");
	struct audit_verdict v = verdict();
	assert_int_equal(v.first_bad_line, 0);
	assert_int_equal(v.without_code, 2);
	assert_int_equal(v.last_keyed, 8);
	rehash("unlock", "hello", false);
	assert_broken(8, "not made with the log's key");
}

/* Whoever can write the directory can add lines to the log of a locked store: none that says that something was permitted. */
static void a_line_forged_while_the_store_is_locked_is_found(void **state)
{
	static const char *const forged[][2] = {{"level-destroy", "ok"}, {"unlock", "ok"},
		{"export", "ok"}, {"volume-key", "denied"}, {"hello", "ok"},
		{"keyd-start", "denied"}};

	(void)state;
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		struct copy log = copy_of(AUDIT_FILE), head = copy_of(AUDIT_HEAD_FILE);
		uint64_t line = audit.next_seq + 1;
		stop();
		start_locked();
		record("keyd-start");
		record_locked(forged[i][0], forged[i][1]);
		unlock();
		record("unlock");
		assert_broken(line, "permits nothing of the kind");
		stop();
		put_back(AUDIT_FILE, &log);
		put_back(AUDIT_HEAD_FILE, &head);
		start();
	}
}

static void a_refusal_without_a_code_needs_a_start(void **state)
{
	(void)state;
	stop();
	start_locked();
	record_locked("unlock", "denied");
	unlock();
	record("unlock");
	assert_broken(6, "the store was not locked");
}

static void a_stretch_without_a_code_ends_with_an_unlocking(void **state)
{
	(void)state;
	stop();
	start_locked();
	record("keyd-start");
	unlock();
	record("level-create");
	assert_broken(7, "no unlocking");
}

/* json-c takes the last of two, others the first. */
static void a_line_that_says_two_things_is_found(void **state)
{
	static const char twice[] = "{\"seq\":7,\"event\":\"level-destroy\",\"event\":\"hello\","
				    "\"result\":\"denied\",\"prev\":\"%s\"}";
	char json[256], line[AUDIT_LINE_BYTES_MAX], hash[AUDIT_HASH_BYTES];

	(void)state;
	stop();
	start_locked();
	record("keyd-start");
	(void)snprintf(json, sizeof(json), twice, audit.head);
	ssize_t n = audit_line_finish(json, strlen(json), NULL, line, hash);
	assert_true(n > 0 && write(audit.fd, line, (size_t)n) == n);
	stop();
	start_locked();
	record("keyd-start");
	unlock();
	record("unlock");
	assert_broken(7, "permits nothing of the kind");
}

static void a_locked_keyd_cannot_be_made_to_forget_what_came_before(void **state)
{
	(void)state;
	stop();
	cut_to(3);
	start_locked();
	record("keyd-start");
	unlock();
	record("unlock");
	/* Line 4 is what the locked keyd wrote after the cut; 5 is the first that knows better. */
	struct audit_verdict v = verdict();
	assert_int_equal(v.first_bad_line, 5);
	assert_non_null(strstr(v.reason, "does not follow"));
}

static void lines_added_without_the_key_are_found_by_an_open_store(void **state)
{
	(void)state;
	stop();
	start_locked(); /* as anybody could write them */
	record("keyd-start");
	stop();
	assert_broken(6, "not made with the log's key");
	start();
	record("keyd-start");
	assert_broken(7, "does not follow");
}

static void an_older_copy_of_everything_shows_against_a_head_kept_outside(void **state)
{
	struct audit_mark kept = {0};
	struct copy log = copy_of(AUDIT_FILE), head = copy_of(AUDIT_HEAD_FILE);

	(void)state;
	record("level-create");
	kept.seq = audit.next_seq - 1;
	memcpy(kept.hash, audit.head, sizeof(kept.hash));
	const struct audit_check check = {.kept = &kept};
	assert_int_equal(verdict_with(check).first_bad_line, 0);
	put_back(AUDIT_FILE, &log);
	put_back(AUDIT_HEAD_FILE, &head);
	assert_int_equal(verdict().first_bad_line, 0); /* nothing on this machine can tell */
	struct audit_verdict v = verdict_with(check);
	assert_int_equal(v.first_bad_line, 6);
	assert_non_null(strstr(v.reason, "record 6, which was kept outside, is not in the log"));
	kept.seq = 5;
	v = verdict_with(check);
	assert_int_equal(v.first_bad_line, 5);
	assert_non_null(strstr(v.reason, "not the one that was kept outside"));
}

static void another_key_vouches_for_nothing(void **state)
{
	struct audit_key other = key();
	struct audit_verdict v;

	(void)state;
	other.bytes[0] ^= 1;
	const struct audit_check check = {.key = &other};
	assert_int_equal(audit_verify(dir_fd, &check, &v), 0);
	assert_int_equal(v.first_bad_line, 3);
	secret_free(other.bytes);
}

static void a_key_in_place_of_a_lost_one_is_told_for_good(void **state)
{
	(void)state;
	struct audit_key second = key();
	second.bytes[0] ^= 1;
	second.replaces_lost = true;
	assert_int_equal(audit_adopt_key(&audit, &second), 0);
	record("audit-key");
	struct audit_verdict v;
	const struct audit_check check = {.key = &audit.key};
	assert_int_equal(audit_verify(dir_fd, &check, &v), 0);
	assert_int_equal(v.first_bad_line, 6);
	assert_non_null(strstr(v.reason, "was lost"));
}

static void a_head_that_cannot_be_written_stops_everything(void **state)
{
	(void)state;
	int fd = audit.head_fd;
	audit.head_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(audit.head_fd >= 0);
	assert_int_not_equal(audit_append(&audit, &(struct audit_event){.event = "x"}), 0);
	(void)close(audit.head_fd);
	audit.head_fd = fd;
	assert_int_equal(audit_append(&audit, &(struct audit_event){.event = "x"}), -EIO);
	stop();
	start(); /* the record is there, the head lags: no alarm */
	assert_int_equal(verdict().first_bad_line, 0);
	assert_int_equal(verdict().records, 6);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, make_log, remove_log)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(the_code_is_what_the_documents_say),
		LOG_TEST(a_whole_log_passes_and_tells_what_is_keyed),
		LOG_TEST(every_changed_byte_is_found_in_its_line),
		LOG_TEST(an_edit_with_all_hashes_made_anew_is_found),
		LOG_TEST(an_edit_of_what_is_older_than_the_key_is_found),
		LOG_TEST(a_log_made_anew_without_codes_is_no_old_log),
		LOG_TEST(a_cut_is_found_however_many_lines_are_gone),
		LOG_TEST(a_cut_stays_to_be_seen_after_the_next_start),
		LOG_TEST(a_head_taken_away_stays_to_be_seen),
		LOG_TEST(a_log_ahead_of_its_head_is_no_alarm),
		LOG_TEST(a_slot_torn_by_a_crash_is_no_alarm),
		LOG_TEST(a_slot_spoilt_to_cut_a_line_is_found),
		LOG_TEST(both_slots_spoilt_is_found),
		LOG_TEST(what_a_locked_keyd_wrote_is_vouched_for_after_unlocking),
		LOG_TEST(a_line_forged_while_the_store_is_locked_is_found),
		LOG_TEST(a_refusal_without_a_code_needs_a_start),
		LOG_TEST(a_stretch_without_a_code_ends_with_an_unlocking),
		LOG_TEST(a_line_that_says_two_things_is_found),
		LOG_TEST(a_locked_keyd_cannot_be_made_to_forget_what_came_before),
		LOG_TEST(lines_added_without_the_key_are_found_by_an_open_store),
		LOG_TEST(an_older_copy_of_everything_shows_against_a_head_kept_outside),
		LOG_TEST(another_key_vouches_for_nothing),
		LOG_TEST(a_key_in_place_of_a_lost_one_is_told_for_good),
		LOG_TEST(a_head_that_cannot_be_written_stops_everything),
	};
	return cmocka_run_group_tests_name("audit_key", tests, NULL, NULL);
}
