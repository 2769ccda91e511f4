/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Who may do what: the table of roles, lists of users and groups, fetching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/policy.h"
#include "../../keyd/common/proto.h"

static struct policy policy;

static int clear(void **state)
{
	(void)state;
	policy_clear(&policy);
	return 0;
}

static void allow(struct principal_list *list, const char *text)
{
	char bad[64];
	assert_int_equal(policy_add(list, text, bad, sizeof(bad)), 0);
}

static int refusal(const char *text, char bad[64])
{
	struct principal_list list = {0};
	return policy_add(&list, text, bad, 64);
}

/* The rights as the contract has them, written down a second time on purpose. */
static void each_role_may_do_what_it_is_for_and_nothing_else(void **state)
{
	static const struct {
		uint16_t type;
		bool security, storage, auditor;
	} expected[] = {
		{PROTO_INIT, true, false, false},
		{PROTO_STATUS, true, true, true},
		{PROTO_LEVEL_CREATE, true, false, false},
		{PROTO_LEVEL_LIST, true, true, true},
		{PROTO_LEVEL_SHOW, true, true, true},
		{PROTO_LEVEL_SUSPEND, true, false, false},
		{PROTO_LEVEL_RESUME, true, false, false},
		{PROTO_LEVEL_DESTROY, true, false, false},
		{PROTO_VOLUME_CREATE, true, true, false},
		{PROTO_VOLUME_COMMIT, true, true, false},
		{PROTO_VOLUME_LIST, true, true, true},
		{PROTO_VOLUME_SHOW, true, true, true},
		{PROTO_VOLUME_KEY, true, false, false},
		{PROTO_VOLUME_DESTROY, true, false, false},
		{PROTO_AUDIT, true, false, true},
		{PROTO_AUDIT_VERIFY, true, false, true},
		{PROTO_UNLOCK, true, false, false},
		{PROTO_INIT_PASSPHRASE, true, false, false},
		{PROTO_CERTIFICATE, true, true, true},
		{PROTO_AUDIT_VERIFY_HEAD, true, false, true},
		{PROTO_CUSTODY_CHANGE, true, false, false},
		{PROTO_DESTROY_EMERGENCY, true, false, false},
		{PROTO_REQUEST_LIST, true, true, true},
		{PROTO_REQUEST_APPROVE, true, false, false},
		{PROTO_REQUEST_CANCEL, true, false, false},
		{PROTO_ZEROIZE, true, false, false},
		{PROTO_UPLOAD, true, false, false},
		{PROTO_PAGE, true, true, true},
		{PROTO_EXPORT, true, false, false},
		{PROTO_IMPORT, true, false, false},
		{PROTO_LEDGER, true, false, true},
		{PROTO_VOUCH, true, false, false},
		{PROTO_VOLUME_RESIZE, true, true, false},
		{PROTO_VOLUME_RELOCATE, true, true, false},
	};
	size_t requests = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		uint16_t type = expected[i].type;
		assert_int_equal(policy_allows(ROLE_SECURITY_ADMIN, type), expected[i].security);
		assert_int_equal(policy_allows(ROLE_STORAGE_ADMIN, type), expected[i].storage);
		assert_int_equal(policy_allows(ROLE_AUDITOR, type), expected[i].auditor);
		assert_false(policy_allows(0, type));
	}
	for (unsigned type = 0; type <= UINT16_MAX; type++)
		requests += policy_allows(~0u, (uint16_t)type);
	assert_int_equal(requests, sizeof(expected) / sizeof(expected[0]));
}

static void a_storage_administrator_cannot_read_a_key(void **state)
{
	(void)state;
	assert_false(policy_allows(ROLE_STORAGE_ADMIN | ROLE_AUDITOR, PROTO_VOLUME_KEY));
}

static void by_default_root_and_keyd_itself_may_and_nobody_else(void **state)
{
	const struct peer root = {.uid = 0}, self = {.uid = 1000, .gid = 1000};
	const struct peer other = {.uid = 1001, .gid = 0};

	(void)state;
	policy_set_default(&policy, 1000);
	assert_int_equal(policy_roles(&policy, &root), 7 | ROLE_ROOT);
	assert_int_equal(policy_roles(&policy, &self), 7);
	assert_int_equal(policy_roles(&policy, &other), 0);
	assert_true(policy_may_fetch(&policy, &self, "any"));
	assert_false(policy_may_fetch(&policy, &other, "any"));
	assert_false(policy_may_fetch_any(&policy, &other));
}

static void an_empty_policy_denies_root_too(void **state)
{
	const struct peer root = {.uid = 0};

	(void)state;
	policy = (struct policy){0};
	assert_int_equal(policy_roles(&policy, &root), ROLE_ROOT);
	assert_false(policy_may_fetch_any(&policy, &root));
}

static void root_always_may_zeroize_and_see_the_status(void **state)
{
	unsigned requests = 0;

	(void)state;
	assert_true(policy_allows(ROLE_ROOT, PROTO_ZEROIZE));
	assert_true(policy_allows(ROLE_ROOT, PROTO_STATUS));
	for (unsigned type = 0; type <= UINT16_MAX; type++)
		requests += policy_allows(ROLE_ROOT, (uint16_t)type);
	assert_int_equal(requests, 2);
}

static void lists_name_users_uids_groups_and_gids(void **state)
{
	gid_t groups[] = {70, 71};
	const struct peer by_uid = {.uid = 1001, .gid = 5};
	const struct peer by_gid = {.uid = 9, .gid = 60};
	const struct peer by_group = {.uid = 9, .gid = 5, .groups = groups, .group_count = 2};
	const struct peer by_name = {.uid = 0, .gid = 5}, nobody = {.uid = 71, .gid = 1001};

	(void)state;
	policy = (struct policy){0};
	allow(&policy.roles[0], " root ,1001,@60, @71");
	assert_int_equal(policy_roles(&policy, &by_uid), ROLE_SECURITY_ADMIN);
	assert_int_equal(policy_roles(&policy, &by_gid), ROLE_SECURITY_ADMIN);
	assert_int_equal(policy_roles(&policy, &by_group), ROLE_SECURITY_ADMIN);
	assert_int_equal(policy_roles(&policy, &by_name), ROLE_SECURITY_ADMIN | ROLE_ROOT);
	assert_int_equal(policy_roles(&policy, &nobody), 0);
}

static void a_level_with_a_list_of_its_own_has_only_that(void **state)
{
	const struct peer general = {.uid = 10}, special = {.uid = 20};

	(void)state;
	policy = (struct policy){0};
	allow(&policy.fetch, "10");
	allow(policy_level_fetch(&policy, "secret"), "20");
	assert_true(policy_may_fetch(&policy, &general, "open"));
	assert_false(policy_may_fetch(&policy, &general, "secret"));
	assert_false(policy_may_fetch(&policy, &special, "open"));
	assert_true(policy_may_fetch(&policy, &special, "secret"));
	assert_true(policy_may_fetch_any(&policy, &special));
	assert_ptr_equal(policy_level_fetch(&policy, "secret"), &policy.levels[0].fetch);
}

/* This machine has no SELinux, or the labels here mean nothing to its policy: either way nobody has the right one. */
static void a_label_that_cannot_be_judged_is_denied(void **state)
{
	struct peer peer = {.uid = 5};
	char label[] = "nobody_u:nobody_r:nobody_t:s15:c0.c1023";

	(void)state;
	allow(&policy.fetch, "5");
	allow(policy_level_fetch(&policy, "open"), "5");
	allow(policy_level_fetch(&policy, "labelled"), "5");
	assert_true(policy_may_fetch(&policy, &peer, "labelled"));
	*policy_label_of(&policy, "labelled") = strdup("nobody_u:nobody_r:nobody_t:s0");
	assert_false(policy_may_fetch(&policy, &peer, "labelled"));
	peer.label = label;
	assert_false(policy_may_fetch(&policy, &peer, "labelled"));
	assert_true(policy_may_fetch(&policy, &peer, "open"));
	assert_true(policy_may_fetch(&policy, &peer, "other"));
	/* One for every level holds for those that have a section without one. */
	*policy_label_of(&policy, NULL) = strdup("nobody_u:nobody_r:nobody_t:s0");
	assert_false(policy_may_fetch(&policy, &peer, "open"));
	assert_false(policy_may_fetch(&policy, &peer, "other"));
	assert_string_equal(policy_label(&policy, "other"), "nobody_u:nobody_r:nobody_t:s0");
}

static void what_is_no_user_or_group_is_refused_by_name(void **state)
{
	char bad[64];

	(void)state;
	assert_int_equal(refusal("root, no-such-user-here", bad), -ENOENT);
	assert_string_equal(bad, "no-such-user-here");
	assert_int_equal(refusal("@no-such-group-here", bad), -ENOENT);
	assert_int_equal(refusal("4294967295", bad), -ENOENT); /* (uid_t)-1: "no id" */
	assert_int_equal(refusal("99999999999999999999", bad), -ENOENT);
	assert_int_equal(refusal("-1", bad), -ENOENT);
	assert_int_equal(refusal("root,,1", bad), -EINVAL);
	assert_int_equal(refusal("root,", bad), -EINVAL);
	assert_int_equal(refusal("@", bad), -EINVAL);
	assert_int_equal(refusal("  ", bad), 0); /* nobody */
}

static void a_list_has_an_end(void **state)
{
	struct principal_list list = {0};
	char bad[64];

	(void)state;
	for (int i = 0; i < PRINCIPALS_MAX; i++)
		allow(&list, "1");
	assert_int_equal(policy_add(&list, "2", bad, sizeof(bad)), -E2BIG);
	assert_int_equal(list.count, PRINCIPALS_MAX);
}

#define POLICY_TEST(name) cmocka_unit_test_teardown(name, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_role_may_do_what_it_is_for_and_nothing_else),
		cmocka_unit_test(a_storage_administrator_cannot_read_a_key),
		POLICY_TEST(by_default_root_and_keyd_itself_may_and_nobody_else),
		POLICY_TEST(an_empty_policy_denies_root_too),
		POLICY_TEST(root_always_may_zeroize_and_see_the_status),
		POLICY_TEST(lists_name_users_uids_groups_and_gids),
		POLICY_TEST(a_level_with_a_list_of_its_own_has_only_that),
		POLICY_TEST(a_label_that_cannot_be_judged_is_denied),
		cmocka_unit_test(what_is_no_user_or_group_is_refused_by_name),
		cmocka_unit_test(a_list_has_an_end),
	};
	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
