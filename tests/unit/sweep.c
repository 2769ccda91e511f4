/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "sweep.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "../fuzz/lab.h"

enum { STATES_BYTES = 4096, LEFT_BYTES = 256, FDS_MAX = 1024 };

static unsigned wrong;
static char live[STATES_BYTES]; /* the state when the answer came */
static unsigned fds;
static char left[LEFT_BYTES]; /* a key file that should be gone */

static void complain(const char *what, int status)
{
	print_error("%s() failed at%s: %s (answered %s)\n",
		faults_fired() ? faults_fired() : "nothing", faults_place(), what,
		status < 0 ? "nothing" : proto_status_name((uint32_t)status));
	wrong++;
}

static void start_or_fail(int status)
{
	int rc = small_keyd_start();

	if (rc) {
		complain(strerror(-rc), status);
		fail_msg("keyd does not start");
	}
	if (keystore_is_locked(&small_keyd.store) &&
		sweep_with_passphrase(PROTO_UNLOCK, "") != PROTO_OK)
		complain("the key store stays locked", status);
	small_keyd_settle();
}

static void start_over(const struct order *order)
{
	small_keyd_reset();
	if (order->before_start)
		order->before_start();
	if (!order->give)
		return;
	if (order->locked)
		assert_int_equal(small_keyd_start(), 0);
	else
		start_or_fail(PROTO_OK);
	if (order->prepare)
		order->prepare();
}

/* Whether the key in this file of a level may live. */
static bool may_live(const char *level, const char *rest)
{
	const struct level *of = keystore_level(&small_keyd.store, level);
	char uuid[PROTO_UUID_BYTES];

	if (!of || of->state == KEY_DESTROYED)
		return false;
	if (sscanf(rest, "volumes/%36[0-9a-f-].key", uuid) != 1)
		return true;
	const struct volume *volume = keystore_volume(&small_keyd.store, uuid);
	return volume && keystore_volume_state(volume) != KEY_DESTROYED;
}

static int look_at_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	char level[PROTO_LEVEL_BYTES], rest[LEFT_BYTES];
	const char *name = path + strlen(lab_get()->dir) + 1;
	size_t len = strlen(path);

	(void)st;
	(void)ftw;
	if (flag != FTW_F || len < 4 || strcmp(path + len - 4, ".key") != 0)
		return 0;
	bool lives = !small_keyd.store.zeroized_at;
	if (lives && sscanf(name, "levels/%63[^/]/%255s", level, rest) == 2)
		lives = may_live(level, rest);
	if (!lives)
		(void)snprintf(left, sizeof(left), "%s is left", name);
	return 0;
}

/* How many descriptors this process has. */
static unsigned count_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < FDS_MAX; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void judge(const struct order *order, int status, const char *before, const char *after)
{
	char said[PROTO_MESSAGE_BYTES];

	(void)snprintf(said, sizeof(said), "%s", small_keyd_said());
	start_or_fail(status);
	const char *now = small_keyd_states();
	if (strcmp(now, before) != 0 && strcmp(now, after) != 0 &&
		(!order->between || strcmp(now, order->between) != 0))
		complain(now, status);
	if (status == PROTO_OK && strcmp(now, after) != 0)
		complain("what it answers is not so", status);
	if (status > PROTO_OK && strcmp(before, after) != 0 && !strcmp(live, after) &&
		(strstr(said, "nothing was ") == said || strstr(said, " not imported")))
		complain(said, status);
	if (!small_keyd_audit_holds())
		complain("the audit log is not whole", status);
	left[0] = '\0';
	assert_int_equal(nftw(lab_get()->dir, look_at_file, 16, FTW_PHYS), 0);
	if (left[0])
		complain(left, status);
	small_keyd_end();
	if (count_fds() != fds)
		complain("a descriptor stays open", status);
	fds = count_fds();
}

/* The start alone: what is begun is ended, here or at the next one. */
static int start_failing(void)
{
	faults_arm();
	int rc = small_keyd_start();
	faults_disarm();
	if (!rc)
		small_keyd_settle();
	return rc ? PROTO_FAILED : PROTO_OK;
}

static int give(const struct order *order)
{
	int status = order->give ? order->give() : start_failing();

	if (order->give || status == PROTO_OK) {
		(void)snprintf(live, sizeof(live), "%s", small_keyd_states());
		small_keyd_end();
	}
	return status;
}

void sweep(const struct order *order)
{
	char before[STATES_BYTES], after[STATES_BYTES];
	unsigned runs = 0;

	faults_begin();
	faults_end();
	start_over(order);
	(void)snprintf(before, sizeof(before), "%s", order->give ? small_keyd_states() : "");
	assert_int_equal(give(order), PROTO_OK);
	start_or_fail(PROTO_OK);
	(void)snprintf(after, sizeof(after), "%s", small_keyd_states());
	small_keyd_end();
	wrong = 0;
	fds = count_fds();
	do {
		start_over(order);
		faults_run();
		int status = give(order);
		faults_end();
		judge(order, order->give ? status : PROTO_FAILED, before, after);
		runs++;
	} while (faults_fired());
	print_message("# %u calls failed\n", runs - 1);
	assert_true(runs > 1);
	assert_int_equal(wrong, 0);
}

int sweep_with_passphrase(uint16_t type, const char *custody)
{
	static const char passphrase[] = "correct horse";
	struct proto_msg msg = {.type = type, .serial = 1};
	struct proto_passphrase *to =
		type == PROTO_UNLOCK ? &msg.unlock.passphrase : &msg.init_passphrase.passphrase;

	if (type != PROTO_UNLOCK)
		(void)snprintf(msg.init_passphrase.custody, sizeof(msg.init_passphrase.custody),
			"%s", custody);
	memcpy(to->bytes, passphrase, sizeof(passphrase) - 1);
	to->len_bytes = sizeof(passphrase) - 1;
	return small_keyd_ask(SMALL_ADMIN, &msg);
}

int sweep_hello(void)
{
	struct proto_msg msg = {.type = PROTO_HELLO, .serial = 1};

	(void)strcpy(msg.hello.program, "tgtd");
	return small_keyd_ask(SMALL_TGTD, &msg);
}

int sweep_attach(void)
{
	struct proto_msg msg = {.type = PROTO_ATTACH, .serial = 2};

	(void)strcpy(msg.attach.path, "/red.img");
	memcpy(msg.attach.uuid, lab_get()->volume, sizeof(lab_get()->volume));
	return small_keyd_ask(SMALL_TGTD, &msg);
}

void sweep_greet(void)
{
	assert_int_equal(sweep_hello(), PROTO_OK);
}

void sweep_hold(void)
{
	sweep_greet();
	assert_int_equal(sweep_attach(), PROTO_OK);
}
