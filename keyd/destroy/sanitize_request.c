/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What a consumer says of a sanitization: that an initiator wants one, and that its header is on the medium. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "peer.h"
#include "precedence.h"
#include "sanitize_private.h"
#include "text.h"
#include "token.h"

/* What a consumer asks for, and what it is told when nothing is changed. */
struct asking {
	struct keyd *keyd;
	struct consumer *consumer;
	uint32_t serial;
	struct proto_sanitize msg;
	char initiator[PROTO_INITIATOR_BYTES];
	struct volume *volume; /* NULL: none that the consumer may ask for */
	const char *message;
};

static enum proto_status refuse(struct asking *a, enum proto_status status, const char *message)
{
	a->message = message;
	return status;
}

/* Those that it has attached, and none else. */
static bool may_ask(const struct asking *a, const struct volume *volume)
{
	return volume && consumer_holds_volume(a->consumer, volume) &&
	       policy_may_fetch(
		       &a->keyd->config.policy, &a->consumer->session.peer, volume->level->name);
}

static enum proto_status check(struct asking *a)
{
	const struct keyd *keyd = a->keyd;
	enum operation held;

	/* Its client has been told nothing, may be back through another tgtd, and writes what it means to keep. */
	if (peer_hung_up(a->consumer->session.fd))
		return refuse(a, PROTO_FAILED, "the tgtd that asks has gone");
	if (!keyd->store.root)
		return refuse(a, PROTO_UNINITIALIZED, "there is no open key store");
	struct volume *volume = keystore_volume(&keyd->store, a->msg.uuid);
	if (!text_is_uuid(a->msg.uuid) || !may_ask(a, volume))
		return refuse(a, PROTO_NOT_FOUND, "this tgtd has not attached such a volume");
	a->volume = volume;
	if (!policy_destroy_rules(&keyd->config.policy, volume->level->name).sanitize)
		return refuse(a, PROTO_DENIED,
			"keyd.conf(5) does not say sanitize = yes for the volume's level");
	if (clock_now_ms() < volume->level->no_sanitize_until_ms)
		return refuse(a, PROTO_BUSY, "an administrator's request comes first");
	const struct scope scope = {.level = volume->level, .volume = volume};
	if (!precedence_allows(a->keyd, OPERATION_SANITIZE, &scope, &held) || volume->header_due)
		return refuse(a, PROTO_BUSY,
			"the volume or its level is being suspended, resumed, destroyed or "
			"sanitized");
	if (keystore_volume_state(volume) != KEY_ACTIVE)
		return refuse(a, PROTO_SUSPENDED, "the volume's key is not active");
	if (volume->sanitized >= SANITIZATIONS_MAX)
		return refuse(a, PROTO_FAILED,
			"too many certificates of it are kept: make a new "
			"volume");
	return PROTO_OK;
}

/* 0, and the number of the volume's next sanitization: none has a certificate of that number. */
static int next_number(const struct keystore *ks, const struct volume *volume, uint32_t *number)
{
	char *text = NULL;
	int rc = 0;

	for (*number = volume->sanitized + 1; *number <= SANITIZATIONS_MAX; ++*number) {
		rc = erasure_read_sanitize_certificate(ks, volume, *number, &text);
		free(text);
		text = NULL;
		if (rc)
			break;
	}
	return rc == -ENOENT ? 0 : rc ? rc : -ENOSPC;
}

static int draft(struct sanitize *s, const struct asking *a, uint32_t number)
{
	const struct certificate_terms terms = {.emergency = false};

	s->certificate = certificate_draft(&s->rev.scope, &s->requester, clock_wall_seconds());
	if (!s->certificate)
		return -ENOMEM;
	int rc = certificate_add_terms(s->certificate, &terms);
	return rc ? rc : certificate_add_sanitize(s->certificate, number, a->initiator);
}

/* Makes all that can fail before anything is lost: the new key, its header, the draft. */
static int prepare(struct sanitize *s, const struct asking *a)
{
	struct keystore *ks = &a->keyd->store;
	uint32_t number = 0;

	s->asker = a->consumer;
	s->serial = a->serial;
	s->requester = (struct peer){
		.pid = a->consumer->session.peer.pid,
		.uid = a->consumer->session.peer.uid,
		.pidfd = -1,
	};
	int rc = next_number(ks, a->volume, &number);
	if (!rc)
		rc = keystore_renewal_prepare(ks, a->volume, &s->renewal);
	if (!rc)
		rc = draft(s, a, number);
	if (!rc)
		rc = sanitize_audit(a->keyd, s, "volume-sanitize", a->initiator, "ok");
	if (!rc)
		a->volume->sanitized = number;
	return rc;
}

static enum proto_status write_intent(struct asking *a, struct sanitize *s)
{
	const struct keystore *ks = &a->keyd->store;
	const char *text = certificate_text(s->certificate);

	int rc = text ? erasure_write_sanitize(ks, &s->rev.scope, RECORD_REVOKING, text) : -ENOMEM;
	if (!rc)
		return PROTO_OK;
	log_error("cannot sanitize volume %s: cannot write the intent: %s", a->volume->uuid,
		strerror(-rc));
	/* In place of what may be half written: the present key counts. */
	if (sanitize_audit(a->keyd, s, "sanitize-interrupted", "write the intent", "failed") ||
		(text && erasure_write_sanitize(ks, &s->rev.scope, RECORD_RENEWED, text)))
		return refuse(a, PROTO_FAILED,
			"the state directory cannot be written, and a half-written intent may be "
			"carried out when keyd starts again");
	return refuse(a, PROTO_FAILED, "the state directory cannot be written: see keyd's log");
}

static enum proto_status start(struct asking *a)
{
	struct sanitize *s = sanitize_new(a->volume);
	int rc = s ? prepare(s, a) : -ENOMEM;

	if (rc) {
		log_error("cannot sanitize volume %s: %s", a->volume->uuid, token_strerror(rc));
		if (s)
			sanitize_free(s);
		return refuse(a, PROTO_FAILED, "keyd cannot make another key: see its log");
	}
	enum proto_status status = write_intent(a, s);
	if (status == PROTO_OK)
		sanitize_begin(a->keyd, s);
	else
		sanitize_free(s);
	return status;
}

void sanitize_request(struct keyd *keyd, struct consumer *consumer)
{
	struct asking a = {
		.keyd = keyd,
		.consumer = consumer,
		.serial = keyd->io.msg->serial,
		.msg = keyd->io.msg->sanitize,
	};

	text_sanitize(a.initiator, sizeof(a.initiator), a.msg.initiator);
	enum proto_status status = check(&a);
	if (status == PROTO_OK)
		status = start(&a);
	if (status == PROTO_OK)
		return;
	keyd_audit_consumer(keyd, &(struct audit_event){
					  .event = "volume-sanitize",
					  .by = &consumer->session.peer,
					  .level = a.volume ? a.volume->level->name : NULL,
					  .volume = a.volume ? a.volume->uuid : NULL,
					  .detail = a.initiator,
					  .result = proto_status_name(status),
				  });
	(void)session_reply(keyd, &consumer->session, PROTO_SANITIZE_REPLY, a.serial, status,
		"nothing was changed: %s", a.message);
}

/* ---- The header ----------------------------------------------------------------------------------- */

int sanitize_send_header(struct keyd *keyd, struct consumer *consumer, struct volume *volume,
	const uint8_t *key, uint32_t serial)
{
	struct proto_msg msg = {.type = PROTO_HEADER, .serial = serial};
	int fd = -1;

	if (!volume->header_due)
		return 0;
	int rc = keystore_volume_header(volume, key, &fd);
	if (rc)
		return rc;
	msg.header.header_bytes = volume->data_offset_bytes;
	msg.header.number = volume->sanitized;
	memcpy(msg.header.uuid, volume->uuid, sizeof(msg.header.uuid));
	return session_send(keyd, &consumer->session, &msg, fd) ? 0 : -EPIPE;
}

/* The certificate that the statement keeps. NULL: it cannot be read. */
static char *statement_body(const struct keyd *keyd, const struct scope *scope)
{
	struct record rec;

	if (erasure_read_sanitize(&keyd->store, scope, &rec))
		return NULL;
	char *body = rec.body;
	rec.body = NULL; /* the caller's */
	record_clear(&rec);
	return body;
}

void sanitize_header_written(struct keyd *keyd, struct consumer *consumer)
{
	struct volume *volume = keystore_volume(&keyd->store, keyd->io.msg->header_written.uuid);

	/* It may speak of the key before, or of a header that another consumer wrote first. */
	if (!volume || !volume->header_due || volume->state != KEY_ACTIVE ||
		keyd->io.msg->header_written.number != volume->sanitized ||
		!consumer_holds_volume(consumer, volume))
		return;
	const struct scope scope = {.level = volume->level, .volume = volume};
	char *body = statement_body(keyd, &scope);
	int rc = body ? erasure_write_sanitize(&keyd->store, &scope, RECORD_RENEWED, body)
		      : -EBADMSG;
	free(body);
	if (rc) {
		log_warning("volume %s: cannot note that its header is written: %s: it is written "
			    "again at the next attach",
			volume->uuid, strerror(-rc));
		return;
	}
	keystore_forget_header(volume);
	log_info("volume %s: its new header is on the medium", volume->uuid);
}
