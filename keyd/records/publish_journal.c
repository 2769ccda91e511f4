/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Records as entries of the journal (systemd.io/JOURNAL_NATIVE_PROTOCOL). Not sd_journal_sendv(3): that
 * waits for a journald that does not read, and a wipe must not wait for it.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "publish_private.h"

#define MESSAGE_ID "f2c46a6b9a5f4b0f8f3d1f6a7c0e52d9"

enum { ENTRY_BYTES_MAX = 32768, NOTICE = 5, WARNING = 4 };

static const char socket_path[] = "/run/systemd/journal/socket";

static int socket_fd = -1;
static bool refused; /* said so already */

struct entry {
	char bytes[ENTRY_BYTES_MAX];
	size_t len;
};

/* A field in the form for any bytes: name, newline, length, value, newline. One that does not fit is left out. */
static void add_text(struct entry *e, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = value ? strlen(value) : 0;
	uint64_t wire_len = htole64(value_len);

	if (!value_len || e->len + name_len + value_len + sizeof(wire_len) + 2 > sizeof(e->bytes))
		return;
	char *to = e->bytes + e->len;
	to = mempcpy(to, name, name_len);
	*to++ = '\n';
	to = mempcpy(to, &wire_len, sizeof(wire_len));
	to = mempcpy(to, value, value_len);
	*to++ = '\n';
	e->len = (size_t)(to - e->bytes);
}

static void add_number(struct entry *e, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	add_text(e, name, text);
}

static void fill(struct entry *e, const struct publication *p)
{
	const struct audit_event *event = p->event;

	add_text(e, "MESSAGE", p->summary);
	add_text(e, "MESSAGE_ID", MESSAGE_ID);
	add_number(e, "PRIORITY", p->passed ? NOTICE : WARNING);
	add_text(e, "SYSLOG_IDENTIFIER", "keyd");
	add_text(e, "KEYD_EVENT", event->event);
	add_text(e, "KEYD_RESULT", event->result);
	add_number(e, "KEYD_SEQ", p->seq);
	add_text(e, "KEYD_HASH", p->hash);
	add_number(e, "KEYD_UID", p->uid);
	add_number(e, "KEYD_PID", (uint64_t)p->pid);
	add_text(e, "KEYD_LEVEL", event->level);
	add_text(e, "KEYD_VOLUME", event->volume);
	add_text(e, "KEYD_PATH", event->path);
	add_text(e, "KEYD_DETAIL", event->detail);
}

/* 0 or -errno. The journal may come, go and come again. */
static int send_entry(const struct entry *e)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (socket_fd < 0)
		socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (socket_fd < 0)
		return -errno;
	memcpy(to.sun_path, socket_path, sizeof(socket_path));
	ssize_t n = sendto(socket_fd, e->bytes, e->len, MSG_DONTWAIT | MSG_NOSIGNAL,
		(const struct sockaddr *)&to, sizeof(to));
	return n < 0 ? -errno : 0;
}

void publish_journal(const struct publication *p)
{
	struct entry e = {.len = 0};

	fill(&e, p);
	int rc = send_entry(&e);
	if (rc == -ENOENT || rc == -ECONNREFUSED) {
		if (!refused)
			log_debug("there is no journal to tell records to");
	} else if (rc && !refused) {
		log_warning("the journal misses record %" PRIu64 " and perhaps more: %s", p->seq,
			strerror(-rc));
	}
	refused = rc != 0;
}

void publish_journal_close(void)
{
	if (socket_fd >= 0)
		(void)close(socket_fd);
	socket_fd = -1;
	refused = false;
}
