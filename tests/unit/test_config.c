/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd.conf: what is read is what is written, and what is not understood stops keyd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>

#include "../../keyd/config.h"
#include "scratch.h"

static struct config config;
static char error[CONFIG_ERROR_BYTES];

static int make(void **state)
{
	return scratch_make(state) || config_init(&config, 1000);
}

static int drop(void **state)
{
	config_clear(&config);
	return scratch_remove(state);
}

static int read_text(const char *text)
{
	assert_int_equal(scratch_write(scratch_path("c"), text, strlen(text)), 0);
	return config_read(&config, scratch_path("c"), error);
}

/* Refused, and the line says where and what. */
static void assert_refused(const char *text, int line, const char *what)
{
	char where[64];

	config_clear(&config);
	assert_int_equal(config_init(&config, 1000), 0);
	(void)snprintf(where, sizeof(where), "%s/c:%d: ", scratch, line);
	if (read_text(text) != -EINVAL || strncmp(error, where, strlen(where)) != 0 ||
		!strstr(error, what))
		fail_msg("%s: expected %s%s, got \"%s\"", text, where, what, error);
}

static void zeroizing_reads_past_errors(void **state)
{
	static char text[1 << 12] = "bad\n[kyed]\nstate = /wrong\n[keyd]\nlog-level = loud\n# ";

	(void)state;
	(void)memset(text + strlen(text), 'x', 2000);
	(void)strcat(text, "\nstate = /srv/keys\n[roles]\nauditor = no-such-user\n[custody]\n"
			   "pkcs11-token = keys\n[level ../x]\nfetch = root\n");
	assert_int_equal(scratch_write(scratch_path("c"), text, strlen(text)), 0);
	assert_int_equal(config_read(&config, scratch_path("c"), error), -EINVAL);
	assert_string_not_equal(config.state, "/srv/keys");
	assert_int_equal(config_read_past_errors(&config, scratch_path("c"), error), -EINVAL);
	assert_string_equal(config.state, "/srv/keys");
	assert_string_equal(config.custody.pkcs11_token, "keys");
	assert_non_null(strstr(error, "/c:2: "));
}

static void what_no_editor_shows_is_named(void **state)
{
	static const char nul[] = "[keyd]\nstate = /srv\0/keys\n";

	(void)state;
	assert_refused("\xef\xbb\xbf[keyd]\nstate = /srv/keys\n", 1, "byte order mark (BOM)");
	assert_refused("\xff\xfe[", 1, "UTF-16");
	assert_refused("[keyd]\nstate = /srv/\xe4\n", 2, "the path '/srv/\\xe4' is not UTF-8");
	assert_refused("[keyd]\nstate = /srv/\xe2\x80\xae\n", 2, "'/srv/\\u{202e}'");
	assert_refused("[keyd]\nsocket = keyd.sock\n", 2, "not an absolute path");
	assert_refused("[keyd]\n\x1b[2J\n", 2, "neither");
	assert_int_equal(scratch_write(scratch_path("c"), nul, sizeof(nul) - 1), 0);
	assert_int_equal(config_read(&config, scratch_path("c"), error), -EINVAL);
	assert_non_null(strstr(error, "/c:2: the line has a NUL byte"));
}

static void devices_that_keep_the_root_key_are_read(void **state)
{
	(void)state;
	assert_int_equal(read_text("[custody]\ntpm2-tcti = device:/dev/tpmrm0\n"
				   "tpm2-nv-index = 0x1800200\ntpm2-pcrs = 0,7,23\n"),
		0);
	assert_string_equal(config.custody.tpm2_tcti, "device:/dev/tpmrm0");
	assert_int_equal(config.custody.tpm2_nv_index, 0x1800200);
	assert_int_equal(config.custody.tpm2_pcrs, 1 | 1 << 7 | 1 << 23);
	assert_refused("[custody]\ntpm2-nv-index = 0x17fffff\n", 2, "tpm2-nv-index");
	assert_refused("[custody]\ntpm2-nv-index = 0x1bfffff\n", 2, "tpm2-nv-index");
	assert_refused("[custody]\ntpm2-nv-index = here\n", 2, "tpm2-nv-index");
	assert_refused("[custody]\ntpm2-pcrs = 24\n", 2, "tpm2-pcrs");
	assert_refused("[custody]\ntpm2-pcrs = 1;2\n", 2, "tpm2-pcrs");
	assert_refused("[custody]\ntpm2-pcrs = 1\ntpm2-pcrs = 2\n", 3, "given twice");
	assert_refused("[custody]\npaper = yes\n", 2, "paper");
	assert_int_equal(read_text("[custody]\npkcs11-module = /usr/lib/hsm.so\n"
				   "pkcs11-token = our keys\n"),
		0);
	assert_string_equal(config.custody.pkcs11_module, "/usr/lib/hsm.so");
	assert_string_equal(config.custody.pkcs11_token, "our keys");
	assert_refused("[custody]\npkcs11-module = hsm.so\n", 2, "absolute path");
	assert_refused("[custody]\npkcs11-token =\n", 2, "label");
	assert_refused(
		"[custody]\npkcs11-token = 123456789012345678901234567890123\n", 2, "1 to 32");
}

static void without_a_file_the_defaults_hold(void **state)
{
	const struct peer self = {.uid = 1000}, other = {.uid = 1001};

	(void)state;
	assert_int_equal(config_read(&config, scratch_path("none"), error), -ENOENT);
	assert_string_equal(config.state, "/var/lib/keyd");
	assert_string_equal(config.socket, "/run/keyd/keyd.sock");
	assert_string_equal(config.admin_socket, "/run/keyd/admin.sock");
	assert_int_equal(config.revoke_timeout_s, 5);
	assert_int_equal(config.sandbox, SANDBOX_YES);
	assert_false(config.sandbox_network);
	assert_int_equal(policy_roles(&config.policy, &self), 7);
	assert_int_equal(policy_roles(&config.policy, &other), 0);
}

static void a_whole_file_is_read(void **state)
{
	const struct peer admin = {.uid = 1001}, storage = {.uid = 5, .gid = 60};
	const struct peer tgtd = {.uid = 2001}, secret = {.uid = 2002}, root = {.uid = 0};

	(void)state;
	assert_int_equal(read_text("# comment\n"
				   "[keyd]\n"
				   "state = /srv/keyd\n"
				   "socket=/run/k.sock ; comment\n"
				   "admin-socket = /run/a.sock\n"
				   "log-level = debug\n"
				   "revoke-timeout = 30\n"
				   "[roles]\n"
				   "security-admin = 1001\n"
				   "storage-admin = @60,\n"
				   "auditor =\n"
				   "[levels]\n"
				   "fetch = 2001\n"
				   "[level secret]\n"
				   "fetch = 2002\n"
				   "[level closed]\n"),
		-EINVAL); /* an item is missing after the comma */
	assert_non_null(strstr(error, "c:10: "));
	assert_int_equal(read_text("[keyd]\n"
				   "state = /srv/keyd\n"
				   "socket=/run/k.sock ; comment\n"
				   "admin-socket = /run/a.sock\n"
				   "log-level = debug\n"
				   "revoke-timeout = 30\n"
				   "sandbox = required\n"
				   "sandbox-network = yes\n"
				   "sandbox-paths = /dev/x  /var/lib/y\n"
				   "[roles]\n"
				   "security-admin = 1001\n"
				   "storage-admin = @60\n"
				   "auditor =\n"
				   "[levels]\n"
				   "fetch = 2001\n"
				   "[level secret]\n"
				   "fetch = 2002\n"
				   "\t2003\n"
				   "[level closed]\n"),
		0);
	assert_string_equal(config.state, "/srv/keyd");
	assert_string_equal(config.socket, "/run/k.sock");
	assert_string_equal(config.admin_socket, "/run/a.sock");
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(config.revoke_timeout_s, 30);
	assert_int_equal(config.sandbox, SANDBOX_REQUIRED);
	assert_true(config.sandbox_network);
	assert_int_equal(config.sandbox_path_count, 2);
	assert_string_equal(config.sandbox_paths[0], "/dev/x");
	assert_string_equal(config.sandbox_paths[1], "/var/lib/y");
	assert_int_equal(policy_roles(&config.policy, &admin), ROLE_SECURITY_ADMIN);
	assert_int_equal(policy_roles(&config.policy, &storage), ROLE_STORAGE_ADMIN);
	assert_int_equal(policy_roles(&config.policy, &root), ROLE_ROOT);
	assert_true(policy_may_fetch(&config.policy, &tgtd, "open"));
	assert_false(policy_may_fetch(&config.policy, &tgtd, "secret"));
	assert_true(policy_may_fetch(&config.policy, &secret, "secret"));
	assert_true(policy_may_fetch(&config.policy, &(struct peer){.uid = 2003}, "secret"));
	assert_false(policy_may_fetch(&config.policy, &tgtd, "closed"));
}

static struct destroy_rules rules_of(const char *level)
{
	return policy_destroy_rules(&config.policy, level);
}

static void without_settings_a_destroy_is_at_once(void **state)
{
	(void)state;
	assert_int_equal(rules_of("any").approval, 0);
	assert_int_equal(rules_of("any").delay_s, 0);
	assert_true(config_allows_emergency(&config, "any"));
	assert_true(config_allows_emergency(&config, NULL));
	assert_false(policy_custody_needs_approval(&config.policy));
	assert_false(config.kill_unresponsive);
	assert_int_equal(config.approval_timeout_s, 3600);
	assert_int_equal(read_text("[levels]\nfetch = 0\n[level a]\nfetch = 1\n"), 0);
	assert_int_equal(rules_of("any").approval, 0);
	assert_int_equal(rules_of("a").delay_s, 0);
	assert_int_equal(rules_of("any").sanitize, 0);
	assert_int_equal(rules_of("a").sanitize, 0);
}

static void approval_covers_what_is_listed(void **state)
{
	(void)state;
	assert_int_equal(read_text("[levels]\napproval = export,volume-key  import-force\n"
				   "[level a]\napproval = destroy\n[level b]\napproval = none\n"
				   "[level c]\napproval = all\n"),
		0);
	assert_int_equal(rules_of("any").approval, APPROVAL_ALL & ~APPROVAL_DESTROY);
	assert_int_equal(rules_of("a").approval, APPROVAL_DESTROY);
	assert_int_equal(rules_of("b").approval, 0);
	assert_int_equal(rules_of("c").approval, APPROVAL_ALL);
	/* Who needs approval cannot do without it in an emergency, and the custody needs it, too. */
	assert_true(config_allows_emergency(&config, "any"));
	assert_false(config_allows_emergency(&config, "a"));
	assert_true(config_allows_emergency(&config, "b"));
	assert_false(config_allows_emergency(&config, NULL));
	assert_true(policy_custody_needs_approval(&config.policy));
	config_clear(&config);
	assert_int_equal(config_init(&config, 1000), 0);
	assert_int_equal(read_text("[keyd]\nemergency = yes\ncustody-approval = no\n"
				   "[level a]\ndestroy-approval = yes\n"),
		0);
	assert_true(config_allows_emergency(&config, "a"));
	assert_true(config_allows_emergency(&config, NULL));
	assert_false(policy_custody_needs_approval(&config.policy));
	assert_refused("[levels]\napproval = \n", 2, "approval is empty");
	assert_refused("[levels]\napproval = destroy, everything\n", 2, "approval 'destroy, every");
	assert_refused("[levels]\napproval = all\ndestroy-approval = no\n", 3, "twice");
	assert_refused("[keyd]\ncustody-approval = maybe\n", 2, "custody-approval 'maybe'");
}

/* Unlike the list of who may fetch, what a level does not say is taken from [levels], wherever that stands. */
static void rules_of_a_level_go_over_those_of_all(void **state)
{
	(void)state;
	assert_int_equal(read_text("[level quick]\n"
				   "destroy-approval = no\n"
				   "destroy-delay = 0\n"
				   "sanitize = no\n"
				   "[level slow]\n"
				   "destroy-delay = 86400\n"
				   "[keyd]\n"
				   "approval-timeout = 60\n"
				   "emergency = no\n"
				   "kill-unresponsive = yes\n"
				   "[levels]\n"
				   "destroy-approval = yes\n"
				   "destroy-delay = 7\n"
				   "sanitize = yes\n"
				   "[level listed]\n"
				   "fetch = 1\n"),
		0);
	assert_false(config_allows_emergency(&config, "quick"));
	assert_true(config.kill_unresponsive);
	assert_int_equal(config.approval_timeout_s, 60);
	assert_int_equal(rules_of("any").approval, APPROVAL_ALL);
	assert_int_equal(rules_of("any").delay_s, 7);
	assert_int_equal(rules_of("listed").approval, APPROVAL_ALL);
	assert_int_equal(rules_of("listed").delay_s, 7);
	assert_int_equal(rules_of("any").sanitize, 1);
	assert_int_equal(rules_of("listed").sanitize, 1);
	assert_int_equal(rules_of("quick").sanitize, 0);
	assert_int_equal(rules_of("quick").approval, 0);
	assert_int_equal(rules_of("quick").delay_s, 0);
	assert_int_equal(rules_of("slow").approval, APPROVAL_ALL);
	assert_int_equal(rules_of("slow").delay_s, 86400);
}

static void labels_go_over_those_of_all(void **state)
{
	(void)state;
	assert_int_equal(read_text("[level top]\n"
				   "label = system_u:object_r:level_t:s3\n"
				   "[levels]\n"
				   "label = system_u:object_r:level_t:s0\n"
				   "[level listed]\n"
				   "fetch = 1\n"),
		0);
	assert_string_equal(policy_label(&config.policy, "top"), "system_u:object_r:level_t:s3");
	assert_string_equal(policy_label(&config.policy, "listed"), "system_u:object_r:level_t:s0");
	assert_refused("[levels]\nlabel =\n", 2, "no SELinux context");
	assert_refused("[level a]\nlabel = a:b:c:s0\nlabel = a:b:c:s1\n", 3, "twice");
}

static void an_empty_file_allows_nobody_anything(void **state)
{
	const struct peer root = {.uid = 0}, self = {.uid = 1000};

	(void)state;
	assert_int_equal(read_text(""), 0);
	assert_int_equal(policy_roles(&config.policy, &root), ROLE_ROOT);
	assert_int_equal(policy_roles(&config.policy, &self), 0);
	assert_false(policy_may_fetch_any(&config.policy, &root));
}

static void what_is_not_understood_is_refused_with_its_line(void **state)
{
	(void)state;
	assert_refused("[keyd]\nsocket = /a\nsokcet = /b\n", 3, "unknown key 'sokcet'");
	assert_refused("[keyd]\nsandbox = maybe\n", 2, "not yes, no or required");
	assert_refused("[keyd]\nsandbox-network = on\n", 2, "not yes or no");
	assert_refused("[keyd]\nsandbox-paths = /a b\n", 2, "'b' is not an absolute path");
	assert_refused("[key]\n", 1, "unknown section [key]");
	assert_refused("\n[keyd]\n[bogus]\nstate = /a\n", 3, "unknown section [bogus]");
	assert_refused("state = /a\n", 1, "before any section");
	assert_refused("[roles]\nroot = 0\n", 2, "unknown role");
	assert_refused("[roles]\n\nauditor = no-such-user-here\n", 3, "no-such-user-here");
	assert_refused("[level secret]\nfetsh = root\n", 2, "fetsh");
	assert_refused("[level ../x]\n", 1, "not a level name");
	assert_refused("[level ]\n", 1, "not a level name");
	assert_refused("[keyd]\nstate\n", 2, "key = value");
	assert_refused("[keyd\n", 1, "key = value");
}

static void values_out_of_range_are_refused(void **state)
{
	(void)state;
	assert_refused("[keyd]\nrevoke-timeout = 0\n", 2, "revoke-timeout");
	assert_refused("[keyd]\nrevoke-timeout = 601\n", 2, "revoke-timeout");
	assert_refused("[keyd]\nrevoke-timeout = 5s\n", 2, "revoke-timeout");
	assert_refused("[keyd]\nlog-level = loud\n", 2, "log-level");
	assert_refused("[keyd]\napproval-timeout = 0\n", 2, "approval-timeout");
	assert_refused("[keyd]\nemergency = maybe\n", 2, "emergency 'maybe' is not yes or no");
	assert_refused("[keyd]\nkill-unresponsive = 1\n", 2, "kill-unresponsive");
	assert_refused("[levels]\ndestroy-approval =\n", 2, "destroy-approval");
	assert_refused("[levels]\nsanitize = maybe\n", 2, "sanitize");
	assert_refused("[level a]\nsanitize = yes\nsanitize = no\n", 3, "twice");
	assert_refused("[levels]\ndestroy-delay = -1\n", 2, "destroy-delay");
	assert_refused("[level a]\ndestroy-delay = 9999999\n", 2, "destroy-delay");
	assert_refused("[level a]\ndestroy-delay = 1\ndestroy-delay = 2\n", 3, "twice");
	assert_refused("[levels]\ndestroy-approval = no\ndestroy-approval = yes\n", 3, "twice");
	assert_refused("[keyd]\nstate = relative\n", 2, "absolute");
	assert_refused("[keyd]\nstate = /a\nstate = /b\n", 3, "twice");
}

static void a_line_too_long_is_refused_and_not_cut(void **state)
{
	char text[1024] = "[roles]\nauditor = ";

	(void)state;
	for (int i = 0; i < 200; i++)
		(void)strcat(text, "0,");
	(void)strcat(text, "0\n");
	assert_refused(text, 2, "longer");
}

/* inih keeps 49 characters of a section's name: two levels must not become one. */
static void long_level_names_stay_apart(void **state)
{
	const char *name = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff";
	char text[512], level[80];

	(void)state;
	(void)snprintf(text, sizeof(text), "[level %s-1]\nfetch = 1\n[level %s-2]\nfetch = 2\n",
		name, name);
	assert_int_equal(read_text(text), 0);
	(void)snprintf(level, sizeof(level), "%s-1", name);
	assert_true(policy_may_fetch(&config.policy, &(struct peer){.uid = 1}, level));
	assert_false(policy_may_fetch(&config.policy, &(struct peer){.uid = 2}, level));
}

#define CONFIG_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFIG_TEST(without_a_file_the_defaults_hold),
		CONFIG_TEST(devices_that_keep_the_root_key_are_read),
		CONFIG_TEST(what_no_editor_shows_is_named),
		CONFIG_TEST(zeroizing_reads_past_errors),
		CONFIG_TEST(approval_covers_what_is_listed),
		CONFIG_TEST(a_whole_file_is_read),
		CONFIG_TEST(without_settings_a_destroy_is_at_once),
		CONFIG_TEST(rules_of_a_level_go_over_those_of_all),
		CONFIG_TEST(labels_go_over_those_of_all),
		CONFIG_TEST(an_empty_file_allows_nobody_anything),
		CONFIG_TEST(what_is_not_understood_is_refused_with_its_line),
		CONFIG_TEST(values_out_of_range_are_refused),
		CONFIG_TEST(a_line_too_long_is_refused_and_not_cut),
		CONFIG_TEST(long_level_names_stay_apart),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
