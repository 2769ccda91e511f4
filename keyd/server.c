/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "admin.h"
#include "clock.h"
#include "consumer.h"
#include "destroy.h"
#include "helper.h"
#include "listener.h"
#include "log.h"
#include "pending.h"
#include "places.h"
#include "policy.h"
#include "reserve.h"
#include "revocation.h"
#include "sandbox.h"
#include "sanitize.h"
#include "zeroize.h"

enum {
	GREETING_MS = 10 * 1000, /* for the first message of a connection */
	STRANGER_MS = 2 * 1000,  /* the same, of a peer without any right */
	ACCEPT_PAUSE_MS = 200,   /* when descriptors or memory are out */
	SETTLED_POLL_MS = 3600 * 1000,
	FILL_AGAIN_MS = 5 * 1000,
	ATTENTIVE_MS =
		100, /* a longer stretch without a look at the sockets is nobody's time but keyd's */
	SETTLE_EXCUSE_MS = 3000,
	FIXED_POLLS = 4, /* the signals, the two listeners, the helper */
};

struct server {
	struct keyd *keyd;
	struct listener consumers;
	struct listener admins;
	int signal_fd;
	int64_t accept_again_ms;
	int64_t fill_again_ms; /* the reserve */
	int64_t looked_ms;     /* when poll() last told what waits in the sockets */
	bool stopping;
};

static struct session *new_consumer(const struct keyd *keyd, struct peer *peer)
{
	bool stranger = !policy_may_fetch_any(&keyd->config.policy, peer);
	struct consumer *consumer = consumer_new(peer);

	if (!consumer)
		return NULL;
	consumer->session.stranger = stranger;
	return &consumer->session;
}

static struct session *new_admin(const struct keyd *keyd, struct peer *peer)
{
	struct admin *admin = admin_new(keyd, peer);

	if (!admin)
		return NULL;
	admin->session.stranger = !admin->roles;
	return &admin->session;
}

/* Closes ended connections; forgets their sessions unless their processes may still hold keys. */
static void reap(struct keyd *keyd)
{
	size_t kept = 0;

	for (size_t i = 0; i < keyd->session_count; i++) {
		struct session *session = keyd->sessions[i];
		bool stays = !session->ending;
		if (session->ending && session->fd >= 0) {
			session_close(session);
			session->ending = false;
			stays = session->kind->on_closed(keyd, session);
		}
		if (stays)
			keyd->sessions[kept++] = session;
		else
			session->kind->free(session);
	}
	keyd->session_count = kept;
}

/* Takes fd over. */
static void add_session(struct server *server, int fd,
	struct session *(*make)(const struct keyd *keyd, struct peer *peer))
{
	struct keyd *keyd = server->keyd;
	struct peer peer;

	int rc = peer_identify(&peer, fd);
	if (rc) {
		log_warning("refusing a connection: cannot tell whose it is: %s", strerror(-rc));
		(void)close(fd);
		return;
	}
	int pid = (int)peer.pid;
	unsigned uid = (unsigned)peer.uid;
	struct session *session = make(keyd, &peer);
	if (!session || !places_find(keyd, session)) {
		keyd_log_peer(keyd, LOG_LEVEL_WARNING, "refusing a connection of pid %d uid %u: %s",
			pid, uid, session ? "too many connections" : "out of memory");
		(void)close(fd);
		peer_clear(&peer); /* empty if the session took it */
		if (session)
			session->kind->free(session);
		return;
	}
	reap(keyd);       /* who made room for it */
	session->fd = fd; /* the session owns it */
	session->deadline_ms = clock_now_ms() + (session->stranger ? STRANGER_MS : GREETING_MS);
	keyd->sessions[keyd->session_count++] = session; /* the table owns it */
}

static void accept_one(struct server *server, const struct listener *listener,
	struct session *(*make)(const struct keyd *keyd, struct peer *peer))
{
	int fd = listener_accept(listener);
	if (fd >= 0) {
		add_session(server, fd, make);
	} else if (fd != -EAGAIN) {
		log_error("cannot accept a connection: %s", strerror(-fd));
		server->accept_again_ms = clock_now_ms() + ACCEPT_PAUSE_MS;
	}
}

static void receive(struct keyd *keyd, struct session *session)
{
	int rc = session_recv(keyd, session);
	session->served_at = ++keyd->served;
	if (!rc) {
		session->kind->on_message(keyd, session);
	} else if (rc == -EBADMSG || rc == -EPROTONOSUPPORT) {
		session->kind->on_garbage(keyd, session, rc);
		session->ending = true;
	} else if (rc != -EAGAIN) {
		session->ending = true;
	}
}

/* its_turn: to be read. Who is not ready to be read but closed has nothing left to say. */
static void on_session_event(
	struct keyd *keyd, struct session *session, short events, bool its_turn)
{
	if (session->fd < 0) { /* the process behind a broken connection has ended */
		session->kind->on_exit(keyd, session);
		session->ending = true;
		return;
	}
	if ((events & POLLOUT) && session->wants_to_send)
		session->kind->on_writable(keyd, session);
	else if (its_turn)
		receive(keyd, session);
	else if ((events & POLLIN) && !session->busy)
		return; /* later */
	else if (events & (POLLHUP | POLLERR | POLLNVAL))
		session->ending = true;
}

static short events_of(const struct session *session)
{
	if (session->fd < 0)
		return POLLIN; /* of the pidfd: pidfd_open(2) */
	return (short)((session->wants_to_send ? POLLOUT : 0) | (session->busy ? 0 : POLLIN));
}

static size_t fill_polls(const struct server *server, struct pollfd *polls, int64_t now_ms)
{
	const struct keyd *keyd = server->keyd;
	short accepting = now_ms >= server->accept_again_ms ? POLLIN : 0;

	polls[0] = (struct pollfd){.fd = server->signal_fd, .events = POLLIN};
	polls[1] = (struct pollfd){.fd = server->consumers.fd, .events = accepting};
	polls[2] = (struct pollfd){.fd = server->admins.fd, .events = accepting};
	polls[3] = (struct pollfd){.fd = helper_fd(keyd), .events = POLLIN};
	for (size_t i = 0; i < keyd->session_count; i++) {
		const struct session *session = keyd->sessions[i];
		polls[FIXED_POLLS + i] = (struct pollfd){
			.fd = session->fd >= 0 ? session->fd : session->peer.pidfd,
			.events = events_of(session),
		};
	}
	return FIXED_POLLS + keyd->session_count;
}

static void soonest(int64_t *next_ms, int64_t candidate_ms)
{
	if (candidate_ms && (!*next_ms || candidate_ms < *next_ms))
		*next_ms = candidate_ms;
}

/* While nothing needs it. Returns when to try again; 0: it is whole. */
static int64_t fill_reserve(struct server *server, int64_t now_ms)
{
	const struct keyd *keyd = server->keyd;

	if (now_ms < server->fill_again_ms)
		return server->fill_again_ms;
	if (keyd->destroys || keyd->sanitizes || keyd->zeroize || keyd->revocations)
		return 0; /* the loop comes back when they end */
	int rc = reserve_fill(&keyd->store);
	if (rc && !server->fill_again_ms)
		log_warning("the reserve in " RESERVE_DIR
			    "/ is not whole: %s: make room on the disk of %s, or "
			    "destroying may fail there",
			strerror(-rc), keyd->store.dir);
	server->fill_again_ms = rc ? now_ms + FILL_AGAIN_MS : 0;
	return server->fill_again_ms;
}

/*
 * Does what is due. Peers are judged as of the moment when keyd last looked at its sockets: what they sent since is not
 * read yet. Returns for how many ms poll() may wait.
 */
static int tick(struct server *server)
{
	struct keyd *keyd = server->keyd;
	int64_t now_ms = server->looked_ms, next_ms = 0;

	for (size_t i = 0; i < keyd->session_count; i++) {
		struct session *session = keyd->sessions[i];
		int64_t late_ms = now_ms - session->deadline_ms;
		if (session->deadline_ms && late_ms >= (session->unread ? UNREAD_MS : 0)) {
			log_debug("pid %d uid %u: no word in time", (int)session->peer.pid,
				(unsigned)session->peer.uid);
			session->ending = true;
		}
		soonest(&next_ms, session->deadline_ms);
	}
	soonest(&next_ms, audit_tick(&keyd->audit, now_ms));
	reserve_begin();
	soonest(&next_ms, pending_tick(keyd, now_ms));
	soonest(&next_ms, revocation_tick(keyd, now_ms));
	bool more = destroy_step(keyd);
	more = sanitize_step(keyd) || more;
	more = zeroize_step(keyd) || more;
	reserve_end();
	soonest(&next_ms, fill_reserve(server, now_ms));
	reap(keyd);
	/* Both may have started or ended something: look again at once. */
	if (more || ((keyd->destroys || keyd->sanitizes || keyd->zeroize) && !keyd->revocations))
		return 0;
	if (server->accept_again_ms > now_ms)
		soonest(&next_ms, server->accept_again_ms);
	if (!next_ms)
		return -1;
	int64_t wait_ms = next_ms - clock_now_ms();
	if (wait_ms > SETTLED_POLL_MS)
		wait_ms = SETTLED_POLL_MS;
	return wait_ms > 0 ? (int)wait_ms : 0;
}

static int64_t beyond(int64_t took_ms, int64_t allowed_ms)
{
	return took_ms > allowed_ms ? took_ms - allowed_ms : 0;
}

/* keyd was busy, or stopped, for absent_ms since it last looked: that is not its peers' fault. */
static void excuse(struct server *server, int64_t absent_ms)
{
	struct keyd *keyd = server->keyd;

	log_debug("nobody looked at the sockets for %lld ms", (long long)absent_ms);
	for (size_t i = 0; i < keyd->session_count; i++) {
		if (keyd->sessions[i]->deadline_ms > server->looked_ms)
			keyd->sessions[i]->deadline_ms += absent_ms;
	}
	revocation_excuse(keyd, server->looked_ms, absent_ms);
	if (keyd->settle_until_ms > server->looked_ms)
		keyd->settle_until_ms +=
			absent_ms < SETTLE_EXCUSE_MS ? absent_ms : SETTLE_EXCUSE_MS;
}

/* Notes what poll() has told, which was called at asked_ms to wait for wait_ms at most (-1: for ever). */
static void look(struct server *server, const struct pollfd *polls, int64_t asked_ms, int wait_ms)
{
	struct keyd *keyd = server->keyd;
	int64_t now_ms = clock_now_ms(), busy_ms = asked_ms - server->looked_ms;

	int64_t absent_ms = beyond(busy_ms, ATTENTIVE_MS);
	if (wait_ms >= 0)
		absent_ms += beyond(now_ms - asked_ms, wait_ms + ATTENTIVE_MS);
	if (absent_ms)
		excuse(server, absent_ms);
	if (busy_ms > keyd->loop_longest_ms)
		keyd->loop_longest_ms = busy_ms;
	server->looked_ms = now_ms;
	keyd->newcomers = polls[1].revents != 0;
	for (size_t i = 0; i < keyd->session_count; i++) {
		struct session *session = keyd->sessions[i];
		const struct consumer *consumer = consumer_of(session);
		session->unread = session->fd >= 0 && (polls[FIXED_POLLS + i].revents & POLLIN);
		keyd->newcomers |= session->unread && consumer && !consumer->greeted;
	}
}

static void serve_events(struct server *server, const struct pollfd *polls, size_t count)
{
	struct keyd *keyd = server->keyd;
	struct signalfd_siginfo info;
	bool turn[SESSIONS_MAX];

	if (polls[0].revents && read(server->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		log_info("stopping: signal %u", info.ssi_signo);
		server->stopping = true;
	}
	places_turns(keyd, polls + FIXED_POLLS, turn);
	/* Handlers mark sessions as ending and never remove them: the table stands still here. */
	for (size_t i = FIXED_POLLS; i < count && !keyd->unclear; i++) {
		struct session *session = keyd->sessions[i - FIXED_POLLS];
		if (polls[i].revents && !session->ending)
			on_session_event(keyd, session, polls[i].revents, turn[i - FIXED_POLLS]);
	}
	if (polls[3].revents && !keyd->unclear)
		helper_take(keyd);
	reap(keyd); /* their places are free for those who wait */
	if (polls[1].revents)
		accept_one(server, &server->consumers, new_consumer);
	if (polls[2].revents)
		accept_one(server, &server->admins, new_admin);
}

static int loop(struct server *server)
{
	struct pollfd polls[FIXED_POLLS + SESSIONS_MAX];

	server->looked_ms = clock_now_ms();
	while (!server->stopping) {
		int wait_ms = tick(server);
		if (server->keyd->unclear)
			return -EUCLEAN;
		int64_t asked_ms = clock_now_ms();
		size_t count = fill_polls(server, polls, asked_ms);
		if (poll(polls, (nfds_t)count, wait_ms) < 0) {
			if (errno == EINTR)
				continue;
			log_error("poll: %s", strerror(errno));
			return -errno;
		}
		look(server, polls, asked_ms, wait_ms);
		serve_events(server, polls, count);
		reap(server->keyd);
		if (server->keyd->unclear)
			return -EUCLEAN;
	}
	return 0;
}

/* What is under way is answered; what is durable goes on at the next start. */
static void stop(struct keyd *keyd)
{
	for (struct revocation *rev = keyd->revocations; rev; rev = rev->next) {
		if (rev->reason == PROTO_REASON_SUSPEND || rev->reason == PROTO_REASON_RESIZE)
			rev->deadline_ms = 0; /* told as it stands */
	}
	if (!keyd->unclear) /* it may write records, under whichever root key */
		(void)revocation_tick(keyd, clock_now_ms());
	keyd->revocations = NULL; /* the rest are parts of destructions */
	helper_close(keyd);
	destroy_forget_all(keyd);
	sanitize_forget_all(keyd);
	zeroize_forget(keyd);
	pending_forget_all(keyd);
	for (size_t i = 0; i < keyd->session_count; i++) {
		struct session *session = keyd->sessions[i];
		session_close(session);
		session->kind->free(session);
	}
	keyd->session_count = 0;
}

static int open_signals(int *fd)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	*fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

void keyd_stop_if_unclear(struct keyd *keyd, int error)
{
	if (error == -EUCLEAN)
		keyd->unclear = true;
}

int server_run(struct keyd *keyd)
{
	struct server server = {
		.keyd = keyd,
		.consumers = {.fd = -1},
		.admins = {.fd = -1},
		.signal_fd = -1,
	};

	int rc = open_signals(&server.signal_fd);
	if (!rc)
		rc = listener_open(&server.consumers, keyd->config.socket);
	if (!rc)
		rc = listener_open(&server.admins, keyd->config.admin_socket);
	if (!rc)
		rc = helper_open(keyd);
	if (!rc)
		rc = sandbox_enter(&keyd->config);
	if (!rc) {
		destroy_resume_all(keyd);
		sanitize_resume_all(keyd);
		pending_load_all(keyd);
		zeroize_resume(keyd);
		log_info("ready: %s for tgtd, %s for keyadm", keyd->config.socket,
			keyd->config.admin_socket);
		(void)sd_notify(0, "READY=1");
		reserve_end(); /* of main.c: from here on peers ask */
		rc = loop(&server);
		reserve_begin();
		(void)sd_notify(0, "STOPPING=1");
	}
	stop(keyd);
	listener_close(&server.admins);
	listener_close(&server.consumers);
	if (server.signal_fd >= 0)
		(void)close(server.signal_fd);
	return rc;
}
