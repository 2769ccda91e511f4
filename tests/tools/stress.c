/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* `iscsi-io stress`: many connections, many commands in flight, every read verified. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "iscsi-io.h"
#include "stress.h"

enum {
	POLL_MS = 20,
	IDLE_SERVICE_NS = 100 * 1000 * 1000,
};

static const uint64_t drain_ns = 5000000000u;

static volatile sig_atomic_t stop_asked, report_asked;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		report_asked = 1;
	else
		stop_asked = 1;
}

static void service_connection(struct connection *conn, short revents, uint64_t now_ns)
{
	if (conn->dead || (!revents && now_ns - conn->serviced_ns < IDLE_SERVICE_NS))
		return;
	conn->serviced_ns = now_ns;
	if (iscsi_service(conn->session.iscsi, revents) < 0)
		conn->dead = true;
}

/* One turn of the loop. False when every connection is dead. */
static bool turn(struct stress *st)
{
	struct pollfd fds[CONNECTIONS_MAX];
	bool alive = false;
	unsigned int i;

	for (i = 0; i < st->connections; i++) {
		struct connection *conn = &st->conn[i];

		fds[i] = (struct pollfd){.fd = -1};
		if (conn->dead)
			continue;
		alive = true;
		fds[i].fd = iscsi_get_fd(conn->session.iscsi);
		fds[i].events = (short)iscsi_which_events(conn->session.iscsi);
	}
	if (poll(fds, st->connections, POLL_MS) < 0)
		return alive;
	for (i = 0; i < st->connections; i++)
		service_connection(&st->conn[i], fds[i].revents, monotonic_ns());
	return alive;
}

static void report(const struct stress *st)
{
	unsigned int i, dead = 0;

	for (i = 0; i < st->connections; i++)
		dead += st->conn[i].dead;
	printf("reads %" PRIu64 "\nwrites %" PRIu64 "\nflushes %" PRIu64 "\ncorrupt %" PRIu64
	       "\nslowest_ms %" PRIu64 "\ndead_connections %u\n",
		st->done[OP_READ], st->done[OP_WRITE], st->done[OP_FLUSH], st->corrupt,
		st->slowest_ns / 1000000, dead);
	for (i = 0; i < OUTCOMES_MAX && st->outcome[i].count; i++)
		printf("outcome %s %" PRIu64 "\n", st->outcome[i].text, st->outcome[i].count);
	fflush(stdout);
}

static void housekeeping(struct stress *st)
{
	uint64_t now_ns = monotonic_ns();

	if (report_asked) {
		report_asked = 0;
		report(st);
	}
	if (st->log && now_ns - st->log_flushed_ns > IDLE_SERVICE_NS) {
		fflush(st->log);
		st->log_flushed_ns = now_ns;
	}
}

static unsigned int in_flight(const struct stress *st)
{
	unsigned int i, sum = 0;

	for (i = 0; i < st->connections; i++)
		sum += st->conn[i].dead ? 0 : st->conn[i].in_flight;
	return sum;
}

static void run(struct stress *st)
{
	uint64_t end_ns = monotonic_ns() + st->seconds * 1000000000u;
	bool alive = true;
	unsigned int i;

	while (alive && !stop_asked && monotonic_ns() < end_ns) {
		for (i = 0; i < st->connections; i++)
			stress_fill(&st->conn[i]);
		alive = turn(st);
		housekeeping(st);
	}
	end_ns = monotonic_ns() + drain_ns;
	while (in_flight(st) && monotonic_ns() < end_ns)
		turn(st);
}

static int open_connection(struct stress *st, unsigned int index)
{
	struct connection *conn = &st->conn[index];
	unsigned int i;

	conn->stress = st;
	conn->index = index;
	conn->random = 0x5deece66d * (index + 1);
	conn->flush_snapshot = calloc(st->slots_per_connection, sizeof(uint32_t));
	for (i = 0; i < st->depth; i++) {
		conn->op[i].conn = conn;
		conn->op[i].buf = malloc(st->state.slot_bytes);
		if (!conn->op[i].buf)
			return -ENOMEM;
	}
	if (!conn->flush_snapshot || session_open(&conn->session, st->url, st->reconnect))
		return -EIO;
	conn->open = true;
	if (conn->session.blocks * conn->session.block_bytes <
		slot_offset(&st->state, st->state.slots)) {
		fputs("iscsi-io: the LUN is smaller than the slots\n", stderr);
		return -ENOSPC;
	}
	return 0;
}

static int open_all(struct stress *st)
{
	unsigned int i;
	int ret = 0;

	st->state.slots = st->connections * st->slots_per_connection;
	st->state.slot = calloc(st->state.slots, sizeof(*st->state.slot));
	st->conn = calloc(st->connections, sizeof(*st->conn));
	if (!st->state.slot || !st->conn)
		return -ENOMEM;
	if (st->log_path && !(st->log = fopen(st->log_path, "w")))
		return -errno;
	for (i = 0; !ret && i < st->connections; i++)
		ret = open_connection(st, i);
	return ret;
}

static void close_all(struct stress *st)
{
	unsigned int i, j;

	for (i = 0; st->conn && i < st->connections; i++) {
		struct connection *conn = &st->conn[i];

		if (conn->open && conn->dead)
			iscsi_destroy_context(conn->session.iscsi);
		else if (conn->open)
			session_close(&conn->session);
		for (j = 0; j < st->depth; j++)
			free(conn->op[j].buf);
		free(conn->flush_snapshot);
	}
	free(st->conn);
	free(st->state.slot);
	if (st->log)
		fclose(st->log);
}

static int parse_stress(int argc, char **argv, struct stress *st)
{
	static const struct option known[] = {{"connections", 1, NULL, 'c'},
		{"depth", 1, NULL, 'd'}, {"seconds", 1, NULL, 's'}, {"size", 1, NULL, 'b'},
		{"slots", 1, NULL, 'n'}, {"reads", 1, NULL, 'r'}, {"flush-every", 1, NULL, 'f'},
		{"log", 1, NULL, 'l'}, {"state", 1, NULL, 't'}, {"offset", 1, NULL, 'o'},
		{"reconnect", 0, NULL, 'a'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned long n = optarg ? strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 'c':
			st->connections = (unsigned int)n;
			break;
		case 'd':
			st->depth = (unsigned int)n;
			break;
		case 's':
			st->seconds = n;
			break;
		case 'b':
			st->state.slot_bytes = (uint32_t)n;
			break;
		case 'n':
			st->slots_per_connection = (uint32_t)n;
			break;
		case 'r':
			st->reads_percent = (unsigned int)n;
			break;
		case 'f':
			st->flush_every = (uint32_t)n;
			break;
		case 'l':
			st->log_path = optarg;
			break;
		case 't':
			st->state_path = optarg;
			break;
		case 'o':
			st->state.first_byte = n;
			break;
		case 'a':
			st->reconnect = true;
			break;
		default:
			return -EINVAL;
		}
	}
	if (argc - optind != 1 || !st->connections || st->connections > CONNECTIONS_MAX ||
		!st->depth || st->depth > DEPTH_MAX || st->slots_per_connection < st->depth ||
		!st->state.slot_bytes || st->state.slot_bytes % 4096 || st->state.first_byte % 4096)
		return -EINVAL;
	st->url = argv[optind];
	return 0;
}

int io_stress(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct stress st = {.connections = 2,
		.depth = 8,
		.reads_percent = 50,
		.slots_per_connection = 64,
		.seconds = 10,
		.state.slot_bytes = 16384};
	int status = EXIT_FAILED;

	if (parse_stress(argc, argv, &st))
		return EXIT_USAGE;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (!open_all(&st)) {
		run(&st);
		report(&st);
		status = st.corrupt ? EXIT_FAILED : EXIT_OK;
		if (st.state_path && state_save(&st.state, st.state_path))
			status = EXIT_FAILED;
	}
	close_all(&st);
	return status;
}
