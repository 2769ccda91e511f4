/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "zeroize_holders.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "clock.h"
#include "holders.h"
#include "log.h"

enum { KILLED_MS = 1000 };

/* How bad an answer is for what the certificate wants to prove. */
static int badness(enum certificate_answer answer)
{
	switch (answer) {
	case CERTIFICATE_ACKNOWLEDGED:
		return 0;
	case CERTIFICATE_EXITED:
		return 1;
	case CERTIFICATE_KILLED:
		return 2;
	case CERTIFICATE_UNACKNOWLEDGED:
		break;
	}
	return 3;
}

void zeroize_add_answer(struct zeroize_answers *answers, const struct peer *peer,
	enum certificate_answer answer, uint32_t wiped, bool scrubs)
{
	struct zeroize_answer *a = answers->items, *end = a + answers->count;

	while (a < end && (a->pid != peer->pid || a->uid != peer->uid))
		a++;
	if (a == end) {
		if (answers->count == ZEROIZE_ANSWERS_MAX)
			a--; /* the last one stands for the rest */
		else
			answers->items[answers->count++] = (struct zeroize_answer){
				.pid = peer->pid, .uid = peer->uid, .answer = answer};
	}
	if (badness(answer) > badness(a->answer))
		a->answer = answer;
	a->wiped += wiped;
	a->scrubs = scrubs;
}

static void wait_for_end(const struct peer *peer, int64_t until_ms)
{
	struct pollfd pfd = {.fd = peer->pidfd, .events = POLLIN};
	int64_t left_ms = until_ms - clock_now_ms();

	(void)poll(&pfd, 1, left_ms > 0 ? (int)left_ms : 0);
}

static void kill_one(const struct peer *peer)
{
	int rc = peer_kill(peer);

	log_warning("pid %d uid %u held keys: %s", (int)peer->pid, (unsigned)peer->uid,
		rc ? strerror(-rc) : "killed");
}

void zeroize_find_holders(struct zeroize_answers *answers, int state_fd, bool kill_them)
{
	static struct peer peers[SESSIONS_MAX]; /* one thread */
	int64_t until_ms = clock_now_ms() + KILLED_MS;

	ssize_t count = holders_running(state_fd, peers, SESSIONS_MAX);
	if (count < 0 && count != -ENOENT)
		log_error("cannot tell who held keys: %s: end every tgtd", strerror(-(int)count));
	for (ssize_t i = 0; kill_them && i < count; i++)
		kill_one(&peers[i]);
	for (ssize_t i = 0; i < count; i++) {
		if (kill_them)
			wait_for_end(&peers[i], until_ms);
		zeroize_add_answer(answers, &peers[i],
			peer_is_alive(&peers[i]) ? CERTIFICATE_UNACKNOWLEDGED : CERTIFICATE_KILLED,
			0, false);
		peer_clear(&peers[i]);
	}
}

int zeroize_enter_answers(const struct zeroize_answers *answers, struct json_object *certificate)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < answers->count; i++) {
		const struct zeroize_answer *a = &answers->items[i];
		const struct peer peer = {.pid = a->pid, .uid = a->uid, .pidfd = -1};
		rc = certificate_add_answer(certificate, a->answer, &peer, a->wiped, a->scrubs);
	}
	return rc;
}
