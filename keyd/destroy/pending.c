/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "pending.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "durable.h"
#include "jsonhelp.h"
#include "keystore_private.h"
#include "log.h"
#include "precedence.h"
#include "text.h"
#include "wrap.h"

enum {
	ID_RANDOM_BYTES = 4,
	LOOK_AGAIN_MS = 60 * 1000, /* a suspended machine's time passes unseen by poll() */
	RETRY_MS = 10 * 1000,
};

const char *pending_subject(const struct pending *p)
{
	return p->scope.volume ? p->scope.volume->uuid : p->scope.level->name;
}

bool pending_needs_approval(const struct pending *p)
{
	return p->needs_approval && !p->terms.approved;
}

static const char *level_of(const struct pending *p)
{
	const char *level =
		p->scope.level ? p->scope.level->name : json_string(p->parameters, "level");

	return level[0] ? level : NULL;
}

/* what: "request", "approve", … */
static int audit(struct keyd *keyd, const struct pending *p, const char *what,
	const struct peer *by, const char *result)
{
	char event[64], detail[128 + PENDING_WHAT_BYTES], text[PENDING_WHAT_BYTES];
	const char *volume =
		p->scope.volume ? p->scope.volume->uuid : json_string(p->parameters, "volume");

	(void)snprintf(event, sizeof(event), "%s-%s", pending_operation_name(p->operation), what);
	int n = snprintf(
		detail, sizeof(detail), "request %s of uid %u", p->id, (unsigned)p->requester.uid);
	if (p->operation != PENDING_DESTROY)
		n += snprintf(
			detail + n, sizeof(detail) - (size_t)n, " to %s", pending_what(p, text));
	if (p->operation != PENDING_DESTROY && p->terms.approved)
		(void)snprintf(detail + n, sizeof(detail) - (size_t)n, ", approved by uid %u",
			(unsigned)p->terms.approver);
	return audit_append(&keyd->audit, &(struct audit_event){.event = event,
						  .by = by,
						  .level = level_of(p),
						  .volume = volume[0] ? volume : NULL,
						  .detail = detail,
						  .result = result});
}

static int64_t left_s(const struct pending *p)
{
	const struct moment now = moment_now();

	return p->wait_s - moment_elapsed_s(&p->since, &now);
}

int64_t pending_until(const struct pending *p)
{
	int64_t planned = p->since.wall_s + p->wait_s;
	int64_t now = clock_wall_seconds() + left_s(p);

	/* The two clocks tick at different moments: only one that was set makes another time of it. */
	return llabs(now - planned) <= 1 ? planned : now;
}

/* ---- The list --------------------------------------------------------------------------------- */

static void append(struct keyd *keyd, struct pending *p)
{
	struct pending **link = &keyd->pending;

	while (*link)
		link = &(*link)->next;
	*link = p; /* the list owns it */
}

static void pending_free(struct pending *p)
{
	if (p)
		json_object_put(p->parameters);
	free(p);
}

static void drop(struct keyd *keyd, struct pending *p)
{
	struct pending **link = &keyd->pending;

	while (*link && *link != p)
		link = &(*link)->next;
	if (*link)
		*link = p->next;
	pending_free(p);
}

struct pending *pending_find(const struct keyd *keyd, const char *id)
{
	struct pending *p = keyd->pending;

	while (p && strcmp(p->id, id) != 0)
		p = p->next;
	return p;
}

static const struct pending *find_scope(const struct keyd *keyd, const struct scope *scope)
{
	const struct pending *p = keyd->pending;

	while (p && (p->operation != PENDING_DESTROY || p->scope.level != scope->level ||
			    p->scope.volume != scope->volume))
		p = p->next;
	return p;
}

size_t pending_count(const struct keyd *keyd)
{
	size_t n = 0;

	for (const struct pending *p = keyd->pending; p; p = p->next)
		n++;
	return n;
}

/* What asking, approving and cancelling say when they were refused or failed. */
static enum proto_status refuse(char *message, enum proto_status status, const char *why)
{
	(void)snprintf(message, PROTO_MESSAGE_BYTES, "%s", why);
	return status;
}

static int new_id(const struct keyd *keyd, char id[PROTO_REQUEST_ID_BYTES])
{
	uint8_t random[ID_RANDOM_BYTES];

	do {
		int rc = wrap_new_key(random, sizeof(random));
		if (rc)
			return rc;
		text_hex(random, sizeof(random), id);
	} while (pending_find(keyd, id));
	return 0;
}

static enum proto_status check_room(const struct keyd *keyd, char *message)
{
	if (pending_count(keyd) >= PENDING_MAX)
		return refuse(message, PROTO_BUSY,
			"too many requests are waiting: approve or cancel some first, see keyadm "
			"requests");
	return PROTO_OK;
}

/* The intent, or the wish to have none, is durable before the request goes. */
static int remove_request(struct keyd *keyd, struct pending *p)
{
	int rc = pending_erase(keyd, p);

	if (!rc)
		drop(keyd, p);
	return rc;
}

static enum proto_status check_ask(
	const struct keyd *keyd, const struct scope *scope, char *message)
{
	const struct pending *same = find_scope(keyd, scope);

	if (same) {
		(void)snprintf(message, PROTO_MESSAGE_BYTES,
			"that is requested already: see request %s in keyadm requests", same->id);
		return PROTO_EXISTS;
	}
	return check_room(keyd, message);
}

/* Makes p, taken over, durable and part of the list: OK. */
static enum proto_status make(
	struct keyd *keyd, struct pending *p, const struct peer *by, char *message)
{
	p->requester = (struct peer){.pid = by->pid, .uid = by->uid, .pidfd = -1};
	p->since = moment_now();
	p->requested_at = p->since.wall_s;
	p->wait_s = p->needs_approval ? keyd->config.approval_timeout_s : p->delay_s;
	int rc = new_id(keyd, p->id);
	if (!rc)
		rc = audit(keyd, p, "request", by, "ok");
	if (!rc)
		rc = pending_save(keyd, p);
	if (!rc) {
		append(keyd, p);
		return PROTO_OK;
	}
	if (p->id[0] && pending_erase(keyd, p))
		log_warning("a restart may find request %s, which was refused", p->id);
	pending_free(p);
	(void)snprintf(message, PROTO_MESSAGE_BYTES,
		"nothing was requested: it cannot be recorded: %s", strerror(-rc));
	return PROTO_FAILED;
}

enum proto_status pending_ask(struct keyd *keyd, const struct scope *scope,
	const struct destroy_rules *rules, const struct peer *by, struct pending **made,
	char *message)
{
	enum proto_status status = check_ask(keyd, scope, message);
	if (status != PROTO_OK)
		return status;
	struct pending *p = calloc(1, sizeof(*p));
	if (!p)
		return refuse(message, PROTO_FAILED, "nothing was requested: out of memory");
	p->scope = *scope;
	p->needs_approval = (rules->approval & APPROVAL_DESTROY) != 0;
	p->delay_s = rules->delay_s;
	status = make(keyd, p, by, message);
	if (status == PROTO_OK)
		*made = p;
	return status;
}

/* ---- Other operations -------------------------------------------------------------------------- */

/* The requester's own request for exactly this. */
static struct pending *find_wish(struct keyd *keyd, const struct pending_wish *wish)
{
	struct pending *p = keyd->pending;

	while (p && (p->operation != wish->operation || p->requester.uid != wish->by->uid ||
			    left_s(p) <= 0 || !json_object_equal(p->parameters, wish->parameters)))
		p = p->next;
	return p;
}

static enum proto_status check_wish(
	const struct keyd *keyd, const struct pending_wish *wish, char *message)
{
	size_t len_bytes = 0, own = 0;

	if (!json_object_to_json_string_length(
		    wish->parameters, JSON_C_TO_STRING_PLAIN, &len_bytes))
		return refuse(message, PROTO_FAILED, "nothing was requested: out of memory");
	if (len_bytes > PENDING_PARAMETERS_BYTES_MAX)
		return refuse(message, PROTO_INVALID,
			"nothing was requested: these are too many levels for one approval: ask "
			"for them one by one");
	for (const struct pending *p = keyd->pending; p; p = p->next)
		own += p->operation != PENDING_DESTROY && p->requester.uid == wish->by->uid;
	if (own >= PENDING_OF_REQUESTER_MAX)
		return refuse(message, PROTO_BUSY,
			"too many requests of yours are waiting: cancel some first, see keyadm "
			"requests");
	return check_room(keyd, message);
}

static enum proto_status request_wish(struct keyd *keyd, const struct pending_wish *wish,
	const struct pending **waits, char *message)
{
	enum proto_status status = check_wish(keyd, wish, message);
	if (status != PROTO_OK)
		return status;
	struct pending *p = calloc(1, sizeof(*p));
	if (!p)
		return refuse(message, PROTO_FAILED, "nothing was requested: out of memory");
	p->operation = wish->operation;
	p->parameters = json_object_get(wish->parameters);
	p->needs_approval = true;
	status = make(keyd, p, wish->by, message);
	if (status != PROTO_OK)
		return status;
	*waits = p;
	return PROTO_UNAPPROVED;
}

enum proto_status pending_use(struct keyd *keyd, const struct pending_wish *wish,
	const struct pending **waits, char *message)
{
	struct pending *p = find_wish(keyd, wish);

	if (!p)
		return request_wish(keyd, wish, waits, message);
	if (pending_needs_approval(p)) {
		*waits = p;
		return PROTO_UNAPPROVED;
	}
	if (audit(keyd, p, "approval-used", wish->by, "ok"))
		return refuse(
			message, PROTO_FAILED, "nothing was done: the audit log cannot be written");
	/* Before it is done: a crash costs an approval, and never gives one twice. */
	int rc = remove_request(keyd, p);
	if (!rc)
		return PROTO_OK;
	(void)snprintf(message, PROTO_MESSAGE_BYTES,
		"nothing was done: the approval cannot be used up: %s", strerror(-rc));
	return PROTO_FAILED;
}

/* ---- Ends of a request ------------------------------------------------------------------------- */

static enum proto_status carry_out(
	struct keyd *keyd, struct pending *p, struct admin *admin, uint32_t serial, char *message)
{
	enum operation held;
	char detail[96];

	if (!precedence_allows(keyd,
		    p->scope.volume ? OPERATION_DESTROY_VOLUME : OPERATION_DESTROY_LEVEL, &p->scope,
		    &held))
		return refuse(message, PROTO_BUSY,
			"its destruction is under way already; if that fails, keyd carries out "
			"this "
			"request");
	if (p->terms.approved)
		(void)snprintf(detail, sizeof(detail), "request %s, approved by uid %u", p->id,
			(unsigned)p->terms.approver);
	else
		(void)snprintf(detail, sizeof(detail), "request %s, after its delay", p->id);
	const struct destroy_order order = {
		.scope = p->scope,
		.requester = p->requester,
		.requested_at = p->requested_at,
		.terms = p->terms,
		.detail = detail,
	};
	enum proto_status status = destroy_start(keyd, &order, admin, serial, message);
	if (status == PROTO_OK && remove_request(keyd, p))
		log_warning("cannot remove a request that is carried out: the next start does");
	return status;
}

/* An approval stands: what cannot be begun at once pending_tick() begins later. */
static enum proto_status carry_out_approved(
	struct keyd *keyd, struct pending *p, struct admin *admin, uint32_t serial, char *message)
{
	char why[PROTO_MESSAGE_BYTES] = "";

	enum proto_status status = carry_out(keyd, p, admin, serial, why);
	if (status != PROTO_OK)
		(void)snprintf(message, PROTO_MESSAGE_BYTES,
			"approved, and keyd goes on trying to carry it out; so far: %s", why);
	return status;
}

enum proto_status pending_approve(struct keyd *keyd, struct pending *p, struct admin *admin,
	uint32_t serial, bool *waits, char *message)
{
	const struct peer *by = &admin->session.peer;
	struct pending before = *p;

	*waits = false;
	if (!pending_needs_approval(p))
		return refuse(message, PROTO_EXISTS,
			p->needs_approval ? "that request is approved already"
					  : "that request needs no approval, only time");
	if (left_s(p) <= 0)
		return refuse(message, PROTO_NOT_FOUND, "that request has expired: ask again");
	if (by->uid == p->requester.uid) {
		if (audit(keyd, p, "approve", by, "denied"))
			log_error("a refused approval is not in the audit log");
		return refuse(message, PROTO_DENIED,
			"the requester cannot approve the request: ask another security "
			"administrator");
	}
	if (audit(keyd, p, "approve", by, "ok"))
		return refuse(message, PROTO_FAILED,
			"nothing was approved: the audit log cannot be written");
	p->since = moment_now();
	p->wait_s = p->operation == PENDING_DESTROY ? p->delay_s : keyd->config.approval_timeout_s;
	p->terms.approved = true;
	p->terms.approver = by->uid;
	p->terms.approved_at = p->since.wall_s;
	int rc = pending_save(keyd, p);
	if (rc) {
		*p = before;
		(void)snprintf(message, PROTO_MESSAGE_BYTES,
			"the approval cannot be stored, and a restart may find it: cancel the "
			"request: %s",
			strerror(-rc));
		return PROTO_FAILED;
	}
	*waits = p->wait_s > 0;
	return *waits ? PROTO_OK : carry_out_approved(keyd, p, admin, serial, message);
}

enum proto_status pending_cancel(
	struct keyd *keyd, struct pending *p, const struct peer *by, char *message)
{
	if (audit(keyd, p, "cancel", by, "ok"))
		return refuse(message, PROTO_FAILED,
			"nothing was cancelled: the audit log cannot be written");
	int rc = remove_request(keyd, p);
	if (!rc)
		return PROTO_OK;
	(void)snprintf(message, PROTO_MESSAGE_BYTES,
		"nothing was cancelled: the request cannot be removed: %s", strerror(-rc));
	return PROTO_FAILED;
}

static void end_unfulfilled(
	struct keyd *keyd, struct pending *p, const char *event, const char *why)
{
	char what[PENDING_WHAT_BYTES];

	log_info("request %s to %s ends: %s", p->id, pending_what(p, what), why);
	if (audit(keyd, p, event, NULL, "ok"))
		log_error("the end of a request is not in the audit log");
	int rc = remove_request(keyd, p);
	if (rc) {
		log_warning("cannot remove a request that has ended: %s", strerror(-rc));
		drop(keyd, p); /* the next start finds it ended again */
	}
}

static void do_due(struct keyd *keyd, struct pending *p, int64_t now_ms)
{
	char message[PROTO_MESSAGE_BYTES] = "";

	if (pending_needs_approval(p)) {
		end_unfulfilled(keyd, p, "expire", "nobody approved it in time");
		return;
	}
	if (p->operation != PENDING_DESTROY) {
		end_unfulfilled(
			keyd, p, "expire", "the requester did not use the approval in time");
		return;
	}
	const char *id = p->id;
	if (carry_out(keyd, p, NULL, 0, message) == PROTO_OK)
		return;
	log_error("request %s is due: %s: trying again", id, message);
	p->retry_ms = now_ms + RETRY_MS;
}

static bool is_moot(const struct pending *p)
{
	if (p->operation != PENDING_DESTROY)
		return false;
	enum key_state state =
		p->scope.volume ? keystore_volume_state(p->scope.volume) : p->scope.level->state;

	return state == KEY_DESTROYED || state == KEY_DESTROYING;
}

int64_t pending_tick(struct keyd *keyd, int64_t now_ms)
{
	int64_t next_ms = 0;

	for (struct pending *p = keyd->pending, *next; p; p = next) {
		next = p->next;
		if (is_moot(p)) {
			end_unfulfilled(keyd, p, "request-moot", "that is destroyed already");
			continue;
		}
		int64_t left_ms = left_s(p) * 1000;
		if (left_ms <= 0 && now_ms >= p->retry_ms) {
			do_due(keyd, p, now_ms);
			left_ms = RETRY_MS; /* p may be gone */
		}
		int64_t wait_ms = left_ms <= 0 ? p->retry_ms - now_ms : left_ms;
		if (wait_ms > LOOK_AGAIN_MS)
			wait_ms = LOOK_AGAIN_MS;
		if (!next_ms || now_ms + wait_ms < next_ms)
			next_ms = now_ms + wait_ms;
	}
	return next_ms;
}

/* ---- Restart ---------------------------------------------------------------------------------- */

static void load_one(struct keyd *keyd, const struct scope *scope)
{
	struct record rec;

	int rc = erasure_read_request(&keyd->store, scope, &rec);
	if (rc == -ENOENT)
		return;
	struct pending *p = rc ? NULL : calloc(1, sizeof(*p));
	if (!rc)
		rc = p ? pending_parse(p, rec.body) : -ENOMEM;
	if (!rc && p->operation != PENDING_DESTROY)
		rc = -EBADMSG;
	record_clear(&rec);
	if (rc) {
		log_error("the request to destroy %s cannot be read: ask again: %s",
			scope->volume ? scope->volume->uuid : scope->level->name, strerror(-rc));
		pending_free(p);
		return;
	}
	p->scope = *scope;
	append(keyd, p);
}

/* One that cannot be read asks for nothing: it is named, and stays for people to look at. */
static int load_other(void *arg, int dir_fd, const char *name)
{
	struct keyd *keyd = arg;

	(void)dir_fd;
	if (pending_count(keyd) >= PENDING_MAX)
		return 0;
	struct pending *p = calloc(1, sizeof(*p));
	int rc = p ? pending_read(keyd, name, p) : -ENOMEM;
	if (!rc && pending_find(keyd, p->id))
		rc = -EEXIST;
	if (rc) {
		log_error("the request %s cannot be read: ask again: %s", name, strerror(-rc));
		pending_free(p);
		return 0;
	}
	append(keyd, p);
	return 0;
}

static void load_others(struct keyd *keyd)
{
	int dir_fd = durable_open_dir(keyd->store.dir_fd, REQUESTS_DIR);
	int rc = dir_fd < 0 ? dir_fd : store_each_name(dir_fd, load_other, keyd);

	if (dir_fd >= 0)
		(void)close(dir_fd);
	if (rc && rc != -ENOENT)
		log_error("the requests cannot be read: ask again: %s", strerror(-rc));
}

void pending_load_all(struct keyd *keyd)
{
	if (keyd->store.root)
		load_others(keyd);
	for (size_t i = 0; i < keyd->store.level_count; i++) {
		struct level *level = keyd->store.levels[i];
		load_one(keyd, &(struct scope){.level = level});
		for (size_t k = 0; k < level->volume_count; k++)
			load_one(
				keyd, &(struct scope){.level = level, .volume = level->volumes[k]});
	}
}

void pending_forget_all(struct keyd *keyd)
{
	while (keyd->pending)
		drop(keyd, keyd->pending);
}
