/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Who held keys of a store that is zeroized, and what became of them: one entry a process. */
#ifndef KEYD_ZEROIZE_HOLDERS_H
#define KEYD_ZEROIZE_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certificate.h"
#include "session.h"

enum { ZEROIZE_ANSWERS_MAX = 2 * SESSIONS_MAX };

struct zeroize_answers {
	struct zeroize_answer {
		pid_t pid;
		uid_t uid;
		enum certificate_answer answer; /* the worst for any level */
		uint32_t wiped;
		bool scrubs;
	} items[ZEROIZE_ANSWERS_MAX];
	size_t count;
};

void zeroize_add_answer(struct zeroize_answers *answers, const struct peer *peer,
	enum certificate_answer answer, uint32_t wiped, bool scrubs);

/*
 * Adds the processes that held keys and still run, for when they cannot be asked: as unacknowledged, or, with
 * kill_them, killed. Takes a second at most.
 */
void zeroize_find_holders(struct zeroize_answers *answers, int state_fd, bool kill_them);

/* Puts them into the certificate. 0 or -ENOMEM. */
int zeroize_enter_answers(const struct zeroize_answers *answers, struct json_object *certificate)
	__attribute__((warn_unused_result));

#endif
