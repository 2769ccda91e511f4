/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * The audit log: every decision of keyd, one JSON object a line, each bound to the one before by a
 * hash and, once there is a key store, authenticated with the log's key (audit_line.h, audit_head.h,
 * docs/KEYSTORE.md). A record is on the medium before audit_append() returns, and what it permits
 * happens after that.
 *
 * While a store is locked its key is not at hand: records are written without a code then, and the
 * first one with a code vouches for them, because it is bound to them by the chain. Only starts, refusals and the
 * like may be among them (audit_locked.h).
 */
#ifndef KEYD_AUDIT_H
#define KEYD_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

#include "audit_head.h"
#include "audit_line.h"
#include "mac.h"
#include "peer.h"
#include "repeats.h"
#include "wrap.h"

#define AUDIT_FILE "audit.log"

enum { AUDIT_REASON_BYTES = 128 };

/* The log's key and what the store knows about it. */
struct audit_key {
	uint8_t *bytes; /* secret memory of MAC_KEY_BYTES */
	char id[FINGERPRINT_BYTES];
	uint64_t first_keyed; /* records from this number on have a code, if the key was at hand */
	bool replaces_lost;   /* the key before it was lost, or taken away */
};

struct audit {
	int fd; /* -1: closed */
	int dir_fd;
	uint64_t size_bytes;
	uint64_t next_seq;
	char head[AUDIT_HASH_BYTES]; /* hash of the last record */
	bool unusable;               /* a write failed in a way that cannot be taken back */
	struct audit_key key;        /* owned; bytes NULL: none at hand */
	int head_fd;                 /* of AUDIT_HEAD_FILE; -1 without a key */
	unsigned next_slot;
	struct repeats *repeats; /* owned; NULL: closed */
	struct json_object
		*exports; /* owned: what the records say of keys that left (audit_exports.h) */
	bool broken;      /* a check of the log has found something */
};

/* One decision. Strings are borrowed; NULL or empty ones are left out. */
struct audit_event {
	const char *event;     /* "level-create", "attach", … */
	const struct peer *by; /* NULL: keyd itself */
	const char *level;
	const char *volume; /* UUID */
	const char *path;
	const char *detail;
	const char *result; /* "ok", "denied", … */
};

/* A record that was noted outside the server. */
struct audit_mark {
	uint64_t seq;
	char hash[AUDIT_HASH_BYTES];
};

/* The log as it is at one moment, so that it can be verified while it grows. */
struct audit_snapshot {
	uint64_t size_bytes;
	char head[AUDIT_HASH_BYTES];
	struct audit_head sealed; /* valid when sealed_rc is 0 */
	int sealed_rc;
};

struct audit_check {
	const struct audit_key *key; /* NULL: the chain alone is checked */
	/* Records without a code may end the log: a keyd whose store was locked has written them. */
	bool may_end_without_code;
	const struct audit_mark *kept; /* NULL: none */
	struct json_object *exports;   /* to be filled (audit_exports.h); borrowed; NULL: none */
	const struct audit_snapshot
		*until; /* NULL: to the end of the file, with the sealed head there is */
};

struct audit_verdict {
	uint64_t records;        /* whole lines */
	uint64_t first_bad_line; /* 0: none */
	char reason[AUDIT_REASON_BYTES];
	char head[AUDIT_HASH_BYTES];
	uint64_t last_seq;
	uint64_t whole_bytes; /* up to the end of the last whole line */
	bool torn;            /* part of a line follows: without its newline, or with zeros in it */
	/* With a key: */
	uint64_t last_keyed;   /* number of the last record whose code is right; 0: none */
	uint64_t without_code; /* records of first_keyed and later that have none */
	bool head_holds;       /* the log goes on from the sealed head */
	struct audit_mark sealed;
	unsigned sealed_slot;
};

/*
 * Checks the log in dir_fd from its first line to its last, with a key also every code and the sealed
 * head. 0 (the verdict tells) or -errno.
 */
int audit_verify(int dir_fd, const struct audit_check *check, struct audit_verdict *verdict)
	__attribute__((warn_unused_result));

/* The log as it is now. 0 or -errno. */
int audit_take_snapshot(const struct audit *audit, struct audit_snapshot *snapshot)
	__attribute__((warn_unused_result));

/* Whether the file ends where keyd's last record does. */
bool audit_is_as_left(const struct audit *audit);

/*
 * Opens the log in dir_fd (borrowed until audit_log_close()), made if it is missing. key may be NULL; its
 * bytes are taken over in any case. A torn last line, left by a crash, is moved to a file of its own;
 * that and everything else that is wrong is logged and recorded. When the log does not go on from the
 * sealed head, the next record follows that head all the same: the gap stays to be seen. 0 or -errno.
 */
int audit_log_open(struct audit *audit, int dir_fd, struct audit_key *key)
	__attribute__((warn_unused_result));

/*
 * From now on records have a code: the store was unlocked. Checks the log as audit_log_open() does; key's
 * bytes are taken over in any case. 0 or -errno: then the log is unusable.
 */
int audit_use_key(struct audit *audit, struct audit_key *key) __attribute__((warn_unused_result));

/*
 * Makes key the one of this log: a new key (bytes are taken over in any case), its first_keyed set
 * here, and the sealed head made for it. The caller keeps key durably after that, and only then
 * appends: a head without its key is replaced by the next start, a key without its head would be an
 * alarm. 0 or -errno: then the log is unusable.
 */
int audit_adopt_key(struct audit *audit, struct audit_key *key) __attribute__((warn_unused_result));

/* Forgets the key: the store is locked again. */
void audit_drop_key(struct audit *audit);

/*
 * 0 when the record is durable. After any error the decision must not be carried out. Counts of repeats by the same user, or
 * about the same level, are recorded before it; repeats about the level are new decisions from then on.
 */
int audit_append(struct audit *audit, const struct audit_event *event)
	__attribute__((warn_unused_result));

/*
 * The same for a decision that a peer can bring about again and again. The first is recorded as by audit_append(). An equal
 * one is counted, and the count is recorded at the end of a window, before another record of that user or level, and by
 * audit_tell_repeats(): equal is one by the same user with the same event, subject, detail and result; with REPEAT_FETCH also by the same
 * process with the same path. event and result are static storage. 0: it is on record; -EBUSY: the user's budget is used up, which is
 * counted and recorded later; else as audit_append().
 */
int audit_append_repeat(struct audit *audit, const struct audit_event *event,
	enum repeat_budget budget) __attribute__((warn_unused_result));

/* Records the counts whose time has come. When to call it again, in time of clock_now_ms(); 0: nothing is counted. */
int64_t audit_tick(struct audit *audit, int64_t now_ms);

/* Records every count, as before the end of keyd. What cannot be recorded stays counted. */
void audit_tell_repeats(struct audit *audit);

void audit_log_close(struct audit *audit);

#endif
