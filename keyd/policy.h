/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Who may do what. Everything that is not allowed here is denied. Filled by config.c before the
 * sockets open, constant afterwards.
 */
#ifndef KEYD_POLICY_H
#define KEYD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "peer.h"
#include "proto.h"

enum role {
	ROLE_SECURITY_ADMIN = 1 << 0,
	ROLE_STORAGE_ADMIN = 1 << 1,
	ROLE_AUDITOR = 1 << 2,
	ROLE_ROOT = 1 << 3, /* uid 0 on this machine, whatever keyd.conf says: zeroize and status */
};

enum { ROLE_COUNT = 3, PRINCIPALS_MAX = 64, LEVEL_POLICIES_MAX = 1024 };

/* A user or a group. */
struct principal {
	bool is_group;
	uint32_t id;
};

struct principal_list {
	struct principal items[PRINCIPALS_MAX];
	size_t count;
};

enum { DESTROY_DELAY_S_MAX = 30 * 24 * 3600 };

/* What a second security administrator may have to agree to: everything that takes keys away, or out of the store. */
enum approval {
	APPROVAL_DESTROY = 1 << 0, /* a level, or a volume of it */
	APPROVAL_EXPORT = 1 << 1,
	APPROVAL_VOLUME_KEY = 1 << 2,
	APPROVAL_IMPORT_FORCE = 1 << 3, /* a destroyed level comes back */
	APPROVAL_ALL = (1 << 4) - 1,
};

/* What stands between asking to destroy and destroying, and whether initiators may. */
struct destroy_rules {
	int approval; /* set of enum approval; -1: not said */
	int delay_s;  /* from then on; -1: not said */
	int sanitize; /* 1: an initiator's SANITIZE replaces a volume's key; 0; -1: not said */
};

struct level_policy {
	char level[PROTO_LEVEL_BYTES];
	struct principal_list fetch;
	char *label;                /* owned; NULL: not said */
	struct destroy_rules rules; /* over those for every level */
};

struct policy {
	struct principal_list roles[ROLE_COUNT];
	struct principal_list fetch; /* for levels without a row in levels */
	char *label; /* owned; this and the next: for what a level's row does not say */
	struct destroy_rules rules;
	int custody_approval;        /* 1: changing the custody needs approval; 0; -1: not said */
	struct level_policy *levels; /* owned */
	size_t level_count;
};

/* Without a configuration: uid 0 and uid self hold every role and may fetch every level's keys. */
void policy_set_default(struct policy *policy, uid_t self);

/* Index in policy->roles of "security-admin", "storage-admin", "auditor"; -EINVAL for others. */
int policy_role_index(const char *name) __attribute__((warn_unused_result));

/*
 * Adds the comma-separated users, uids, @groups and @gids of text to list. 0, -EINVAL (an empty
 * item), -ENOENT (no such user or group), -E2BIG; the item at fault is copied to bad[cap].
 */
int policy_add(struct principal_list *list, const char *text, char *bad, size_t cap)
	__attribute__((warn_unused_result));

/* The level's own fetch list, made empty if it has none yet. NULL when there are too many. */
struct principal_list *policy_level_fetch(struct policy *policy, const char *level);

/* Where the rules of level are kept, or those of every level (NULL). NULL when there are too many. */
struct destroy_rules *policy_rules_of(struct policy *policy, const char *level);

/* What holds for destroying level or a volume of it; nothing is left unsaid. */
struct destroy_rules policy_destroy_rules(const struct policy *policy, const char *level);

/* True when one of these (set of enum approval) needs approval for some level. */
bool policy_has_approval(const struct policy *policy, unsigned which);

/* Unless keyd.conf says otherwise, changing the custody needs approval as soon as anything else does. */
bool policy_custody_needs_approval(const struct policy *policy);

/* Warns of levels whose volumes initiators may SANITIZE without the approval that destroying them needs. */
void policy_check_approval(const struct policy *policy);

/* The roles of peer, as a set of enum role. uid 0 has ROLE_ROOT in addition to what the lists say. */
unsigned policy_roles(const struct policy *policy, const struct peer *peer);

/* True when one of the roles may send admin requests of this type. */
bool policy_allows(unsigned roles, uint16_t request_type);

/* Where the label that a peer needs for level is kept, or for every level (NULL). NULL when there are too many. */
char **policy_label_of(struct policy *policy, const char *level);

/* The label that a peer's has to dominate (label.h); NULL: none. */
const char *policy_label(const struct policy *policy, const char *level);

/* True when the lists name peer and its label, where one is needed, dominates the level's. */
bool policy_may_fetch(const struct policy *policy, const struct peer *peer, const char *level);

/* True when there may be a level whose keys peer may fetch. */
bool policy_may_fetch_any(const struct policy *policy, const struct peer *peer);

/* Warns of labels that nobody can have, because SELinux is off. */
void policy_check_labels(const struct policy *policy);

void policy_clear(struct policy *policy);

#endif
