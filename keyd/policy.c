/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "policy.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "label.h"
#include "log.h"
#include "text.h"

enum { ITEM_BYTES = 256 };

static const char *const role_names[ROLE_COUNT] = {"security-admin", "storage-admin", "auditor"};

enum {
	SECURITY = ROLE_SECURITY_ADMIN,
	STORAGE = ROLE_STORAGE_ADMIN,
	AUDITOR = ROLE_AUDITOR,
	EVERY = SECURITY | STORAGE | AUDITOR,
	ROOT = ROLE_ROOT,
};

static const struct {
	uint16_t request_type;
	unsigned roles;
} allowed[] = {
	{PROTO_INIT, SECURITY},
	{PROTO_STATUS, EVERY | ROOT},
	{PROTO_LEVEL_CREATE, SECURITY},
	{PROTO_LEVEL_LIST, EVERY},
	{PROTO_LEVEL_SHOW, EVERY},
	{PROTO_LEVEL_SUSPEND, SECURITY},
	{PROTO_LEVEL_RESUME, SECURITY},
	{PROTO_LEVEL_DESTROY, SECURITY},
	{PROTO_VOLUME_CREATE, SECURITY | STORAGE},
	{PROTO_VOLUME_COMMIT, SECURITY | STORAGE},
	{PROTO_VOLUME_LIST, EVERY},
	{PROTO_VOLUME_SHOW, EVERY},
	{PROTO_VOLUME_KEY, SECURITY},
	{PROTO_VOLUME_DESTROY, SECURITY},
	{PROTO_AUDIT, AUDITOR | SECURITY},
	{PROTO_AUDIT_VERIFY, AUDITOR | SECURITY},
	{PROTO_UNLOCK, SECURITY},
	{PROTO_INIT_PASSPHRASE, SECURITY},
	{PROTO_CERTIFICATE, EVERY},
	{PROTO_AUDIT_VERIFY_HEAD, AUDITOR | SECURITY},
	{PROTO_CUSTODY_CHANGE, SECURITY},
	{PROTO_DESTROY_EMERGENCY, SECURITY},
	{PROTO_REQUEST_LIST, EVERY},
	{PROTO_REQUEST_APPROVE, SECURITY},
	{PROTO_REQUEST_CANCEL, SECURITY},
	{PROTO_ZEROIZE, SECURITY | ROOT},
	{PROTO_UPLOAD, SECURITY},
	{PROTO_EXPORT, SECURITY},
	{PROTO_IMPORT, SECURITY},
	{PROTO_LEDGER, AUDITOR | SECURITY},
	{PROTO_VOUCH, SECURITY},
	{PROTO_VOLUME_RESIZE, SECURITY | STORAGE},
	{PROTO_PAGE, EVERY}, /* the request that follows is refused, and recorded */
	{PROTO_VOLUME_RELOCATE, SECURITY | STORAGE},
};

static const struct destroy_rules rules_unsaid = {.approval = -1, .delay_s = -1, .sanitize = -1};

void policy_set_default(struct policy *policy, uid_t self)
{
	struct principal_list both = {.items = {{false, 0}, {false, self}}, .count = 2};

	*policy = (struct policy){.fetch = both, .rules = rules_unsaid, .custody_approval = -1};
	for (size_t i = 0; i < ROLE_COUNT; i++)
		policy->roles[i] = both;
}

int policy_role_index(const char *name)
{
	for (int i = 0; i < ROLE_COUNT; i++) {
		if (!strcmp(name, role_names[i]))
			return i;
	}
	return -EINVAL;
}

/* A decimal uid or gid below (uint32_t)-1, which means "no id" to the kernel. */
static bool parse_id(const char *text, uint32_t *id)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno || *end || value >= UINT32_MAX)
		return false;
	*id = (uint32_t)value;
	return true;
}

static int resolve(const char *item, struct principal *p)
{
	p->is_group = item[0] == '@';
	const char *name = item + p->is_group;

	if (parse_id(name, &p->id))
		return 0;
	if (p->is_group) {
		const struct group *gr = getgrnam(name);
		if (gr)
			p->id = gr->gr_gid;
		return gr ? 0 : -ENOENT;
	}
	const struct passwd *pw = getpwnam(name);
	if (pw)
		p->id = pw->pw_uid;
	return pw ? 0 : -ENOENT;
}

static int add_item(struct principal_list *list, const char *item)
{
	if (!item[0] || !strcmp(item, "@"))
		return -EINVAL;
	if (list->count == PRINCIPALS_MAX)
		return -E2BIG;
	int rc = resolve(item, &list->items[list->count]);
	if (!rc)
		list->count++;
	return rc;
}

/* Copies the item from text up to len, without blanks around it. */
static int copy_item(char *item, const char *text, size_t len)
{
	while (len && isspace((unsigned char)*text)) {
		text++;
		len--;
	}
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (len >= ITEM_BYTES)
		return -EINVAL;
	memcpy(item, text, len);
	item[len] = '\0';
	return 0;
}

int policy_add(struct principal_list *list, const char *text, char *bad, size_t cap)
{
	if (!text[strspn(text, " \t")])
		return 0; /* an empty list is nobody */
	for (;;) {
		char item[ITEM_BYTES] = "";
		size_t len = strcspn(text, ",");
		int rc = copy_item(item, text, len);
		if (!rc)
			rc = add_item(list, item);
		if (rc) {
			text_sanitize(bad, cap, item);
			return rc;
		}
		if (!text[len])
			return 0;
		text += len + 1;
	}
}

static const struct level_policy *find_level(const struct policy *policy, const char *level)
{
	for (size_t i = 0; i < policy->level_count; i++) {
		if (!strcmp(policy->levels[i].level, level))
			return &policy->levels[i];
	}
	return NULL;
}

/* The level's row, added if there is none yet. */
static struct level_policy *own_row(struct policy *policy, const char *level)
{
	const struct level_policy *found = find_level(policy, level);
	if (found)
		return &policy->levels[found - policy->levels];
	if (policy->level_count == LEVEL_POLICIES_MAX)
		return NULL;
	struct level_policy *more =
		reallocarray(policy->levels, policy->level_count + 1, sizeof(*policy->levels));
	if (!more)
		return NULL;
	policy->levels = more;
	struct level_policy *row = &more[policy->level_count];
	*row = (struct level_policy){.rules = rules_unsaid};
	if (text_copy(row->level, sizeof(row->level), level))
		return NULL;
	policy->level_count++;
	return row;
}

struct principal_list *policy_level_fetch(struct policy *policy, const char *level)
{
	struct level_policy *row = own_row(policy, level);

	return row ? &row->fetch : NULL;
}

struct destroy_rules *policy_rules_of(struct policy *policy, const char *level)
{
	struct level_policy *row = level ? own_row(policy, level) : NULL;

	if (!level)
		return &policy->rules;
	return row ? &row->rules : NULL;
}

struct destroy_rules policy_destroy_rules(const struct policy *policy, const char *level)
{
	const struct level_policy *own = find_level(policy, level);
	struct destroy_rules rules = own ? own->rules : rules_unsaid;

	if (rules.approval < 0)
		rules.approval = policy->rules.approval > 0 ? policy->rules.approval : 0;
	if (rules.delay_s < 0)
		rules.delay_s = policy->rules.delay_s > 0 ? policy->rules.delay_s : 0;
	if (rules.sanitize < 0)
		rules.sanitize = policy->rules.sanitize > 0;
	return rules;
}

bool policy_has_approval(const struct policy *policy, unsigned which)
{
	int approval = policy->rules.approval;

	for (size_t i = 0; i <= policy->level_count; i++) {
		if (approval > 0 && ((unsigned)approval & which))
			return true;
		if (i < policy->level_count)
			approval = policy->levels[i].rules.approval;
	}
	return false;
}

bool policy_custody_needs_approval(const struct policy *policy)
{
	return policy->custody_approval >= 0 ? policy->custody_approval > 0
					     : policy_has_approval(policy, APPROVAL_ALL);
}

static void check_approval(const struct policy *policy, const char *level)
{
	const struct destroy_rules rules = policy_destroy_rules(policy, level);

	if (rules.sanitize && (rules.approval & APPROVAL_DESTROY))
		log_warning("%s%s: initiators may destroy keys by SANITIZE without the approval "
			    "that administrators need",
			level[0] ? "level " : "levels without a section", level);
}

void policy_check_approval(const struct policy *policy)
{
	check_approval(policy, "");
	for (size_t i = 0; i < policy->level_count; i++)
		check_approval(policy, policy->levels[i].level);
}

static bool list_has(const struct principal_list *list, const struct peer *peer)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct principal *p = &list->items[i];
		if (p->is_group ? peer_in_group(peer, p->id) : peer->uid == p->id)
			return true;
	}
	return false;
}

unsigned policy_roles(const struct policy *policy, const struct peer *peer)
{
	unsigned roles = peer->uid == 0 ? ROLE_ROOT : 0;

	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		if (list_has(&policy->roles[i], peer))
			roles |= 1u << i;
	}
	return roles;
}

bool policy_allows(unsigned roles, uint16_t request_type)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (allowed[i].request_type == request_type)
			return (allowed[i].roles & roles) != 0;
	}
	return false;
}

char **policy_label_of(struct policy *policy, const char *level)
{
	struct level_policy *row = level ? own_row(policy, level) : NULL;

	if (!level)
		return &policy->label;
	return row ? &row->label : NULL;
}

const char *policy_label(const struct policy *policy, const char *level)
{
	const struct level_policy *own = find_level(policy, level);

	return own && own->label ? own->label : policy->label;
}

bool policy_may_fetch(const struct policy *policy, const struct peer *peer, const char *level)
{
	const struct level_policy *own = find_level(policy, level);
	const char *label = policy_label(policy, level);

	return list_has(own ? &own->fetch : &policy->fetch, peer) &&
	       (!label || label_dominates(peer->label, label));
}

bool policy_may_fetch_any(const struct policy *policy, const struct peer *peer)
{
	if (list_has(&policy->fetch, peer))
		return true;
	for (size_t i = 0; i < policy->level_count; i++) {
		if (list_has(&policy->levels[i].fetch, peer))
			return true;
	}
	return false;
}

void policy_check_labels(const struct policy *policy)
{
	if (label_is_enabled())
		return;
	if (policy->label)
		log_warning("every level has a label, and SELinux is off: nobody gets their keys");
	for (size_t i = 0; i < policy->level_count; i++) {
		if (policy->levels[i].label)
			log_warning(
				"level %s has a label, and SELinux is off: nobody gets its keys",
				policy->levels[i].level);
	}
}

void policy_clear(struct policy *policy)
{
	for (size_t i = 0; i < policy->level_count; i++)
		free(policy->levels[i].label);
	free(policy->levels);
	free(policy->label);
	*policy = (struct policy){.rules = rules_unsaid, .custody_approval = -1};
}
