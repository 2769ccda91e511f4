/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "login.h"

#include <netdb.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "initiator.h"
#include "report.h"
#include "tgt.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include "iscsid.h"
#pragma GCC diagnostic pop

#pragma weak iscsi_transport_register

enum {
	TRANSPORTS_MAX = 8,
	WORD_BYTES = 4, /* what TCP pads data to */
	LINES_A_MINUTE = 10,
	MINUTE_S = 60,
};

/* tgt's own, the same for every connection. */
static struct iscsi_transport *tcp;
static void (*tgt_modify)(struct iscsi_connection *conn, int events);

static void peer_address(struct iscsi_connection *conn, char *text, socklen_t size)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);

	if (tcp->ep_getpeername(conn, (struct sockaddr *)&from, &len) ||
		getnameinfo((struct sockaddr *)&from, len, text, size, NULL, 0, NI_NUMERICHOST))
		(void)snprintf(text, size, "an unknown address");
}

static void report_refusal(struct iscsi_connection *conn, const struct initiator_fault *fault)
{
	static time_t minute;
	static unsigned lines, silent;
	struct timespec now;
	char from[INET6_ADDRSTRLEN];

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec / MINUTE_S != minute) {
		if (silent)
			report_error("%u more logins were refused for their names", silent);
		minute = now.tv_sec / MINUTE_S;
		lines = silent = 0;
	}
	if (lines >= LINES_A_MINUTE) {
		silent++;
		return;
	}
	lines++;
	peer_address(conn, from, sizeof(from));
	report_error("login from %s refused: its %s %s: \"%s\"; give the initiator a valid one",
		from, fault->key, fault->why, fault->shown);
}

/* What holds for a login request that has come as a whole, if struct iscsi_connection is the one of the headers. */
static bool is_whole_request(const struct iscsi_connection *conn)
{
	size_t ahs = conn->req.bhs.hlength * (size_t)WORD_BYTES;

	return conn->tp == tcp && conn->req_buffer && conn->req.ahssize == ahs &&
	       conn->req.data == (char *)conn->req_buffer + ahs &&
	       ahs + conn->req.datasize <= INCOMING_BUFSIZE;
}

/* A login without a name is what tgt refuses by itself. */
static void check_login(struct iscsi_connection *conn)
{
	struct initiator_fault fault;

	if (!is_whole_request(conn)) {
		tcp->ep_event_modify = tgt_modify;
		report_error("logins are not as expected of this tgt: initiators' names are no "
			     "longer checked");
	} else if (initiator_check(conn->req.data, conn->req.datasize, &fault)) {
		report_refusal(conn, &fault);
		conn->req.datasize = 0;
	}
}

/* tgt calls it when a request has come as a whole, before it looks at it; STATE_FREE is that of the first one. */
static void event_modify(struct iscsi_connection *conn, int events)
{
	if (conn->state == STATE_FREE)
		check_login(conn);
	tgt_modify(conn, events);
}

/* As tgt fills it in for TCP: these in the middle are empty, their neighbours are not. */
static bool is_tcp(const struct iscsi_transport *t)
{
	return !strcmp(t->name, "iscsi") && !t->rdma && t->data_padding == WORD_BYTES &&
	       t->ep_init && t->ep_write_end && !t->ep_rdma_read && !t->ep_rdma_write &&
	       t->ep_close && t->ep_event_modify && t->ep_getpeername && t->ep_nop_reply;
}

static void take_over(const struct list_head *head)
{
	struct list_head *entry = head->next;

	for (int i = 0; !tcp && entry != head && i < TRANSPORTS_MAX; i++, entry = entry->next) {
		struct iscsi_transport *t =
			list_entry(entry, struct iscsi_transport, iscsi_transport_siblings);
		if (is_tcp(t))
			tcp = t;
	}
	if (!tcp) {
		report_error("tgt's network side is not as expected: initiators' names are not "
			     "checked");
		return;
	}
	tgt_modify = tcp->ep_event_modify;
	tcp->ep_event_modify = event_modify;
}

static int transport_init(void);

/* A node in tgt's list of transports, whose head has no name. */
static struct iscsi_transport node = {.name = "bs_crypt", .ep_init = transport_init};
static const struct list_head *list;

/* When it is preloaded: tgt sets its transports up. Not 0: this is none. */
static int transport_init(void)
{
	if (!tcp)
		take_over(list);
	return -1;
}

void login_guard(void)
{
	if (!iscsi_transport_register) {
		report_error("this tgtd has no iSCSI: initiators' names are not checked");
		return;
	}
	(void)iscsi_transport_register(&node); /* appends it: the head is the next one */
	list = node.iscsi_transport_siblings.next;
	if (list == node.iscsi_transport_siblings.prev)
		return; /* preloaded: tgt's own come later, and then transport_init() */
	list_del(&node.iscsi_transport_siblings);
	take_over(list);
}
