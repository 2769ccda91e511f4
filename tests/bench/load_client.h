/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * One initiator: a connection, an area of the LUN that is its own, and commands in flight. An area
 * is cut into places of one command's size. One thread at a time calls into a client.
 */
#ifndef TESTS_BENCH_LOAD_CLIENT_H
#define TESTS_BENCH_LOAD_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../tools/session.h"
#include "load_options.h"
#include "load_stats.h"

/* When the timed part is; shared by all threads, and end_ns may come nearer while they run. */
struct load_window {
	uint64_t start_ns;
	_Atomic uint64_t end_ns;
};

enum client_mode {
	CLIENT_IDLE, /* sends nothing, takes what comes back */
	CLIENT_FILLING,
	CLIENT_LOADING,
	CLIENT_STALLED, /* asked for much, reads nothing */
	CLIENT_DEAD,    /* its connection is lost, and that was counted */
};

struct load_client;

struct command {
	struct load_client *client;
	struct command *next_free;
	struct scsi_task *task; /* used again for every command */
	struct scsi_iovec iov;
	uint64_t *buf;
	enum load_kind kind;
	bool in_flight;
	uint64_t place;
	uint32_t places; /* more than one when filling */
	uint64_t version;
	uint64_t since_ns; /* latency counts from here */
	uint64_t sent_ns;
};

/* With --verify: what a place may hold. A place is used by one command at a time. */
struct place {
	uint32_t acknowledged; /* 0: what an earlier run has left there */
	uint32_t attempted;
	bool busy;
};

struct load_client {
	const struct load_options *opt;
	const struct load_window *window;
	struct load_stats *stats; /* its thread's */
	const char *url;
	unsigned int index;
	bool stalls;

	struct session session;
	enum client_mode mode;
	bool lost; /* libiscsi has given the connection up */
	uint64_t first_lba, places;
	uint32_t place_blocks, place_bytes;
	struct place *place; /* NULL without --verify */
	uint64_t writer;     /* in the marks */

	struct command *command;
	unsigned int commands, in_flight;
	struct command *free;
	uint64_t *buffers;
	uint32_t buffer_bytes;

	uint64_t next_place, random, serial;
	uint64_t pause_until_ns;
	uint64_t bytes;         /* moved in the timed part */
	uint64_t stalled_bytes; /* asked for by a stalled client */
	uint64_t unread_bytes;  /* of them, waiting in the socket when it was closed */
};

/* The share-th of shares clients of one LUN. */
struct client_share {
	uint64_t share, shares;
};

/*
 * Connects and takes the share's area. client is all 0 but for opt, window, stats, url, index,
 * stalls and writer. 0, or a negative errno after a line on stderr, -EINVAL when the options do not
 * suit the LUN. client_close() in either case.
 */
int client_open(struct load_client *client, const struct client_share *share)
	__attribute__((warn_unused_result));

void client_close(struct load_client *client);

/* From now on the client fills its area, or loads it, or sends nothing new. */
void client_fill(struct load_client *client);
void client_load(struct load_client *client);
void client_idle(struct load_client *client);

/* Sends reads of STALL_BYTES together; from then on nobody calls client_service(). */
void client_stall(struct load_client *client);

/* Is every place written, or that has failed? */
bool client_is_filled(const struct load_client *client);

/* Sends as much as the mode and the depth allow. With --rate the load is client_send_due() only. */
void client_send(struct load_client *client);

/* Sends one command of the load, due at that moment. False when none is free. */
bool client_send_due(struct load_client *client, uint64_t due_ns);

/*
 * Moves data: revents as of poll(). What ends is counted, what the depth then allows is sent. True
 * when the socket took less than there is: call again when POLLOUT comes.
 */
bool client_service(struct load_client *client, int revents);

/* A client with a command that took longer than the timeout is lost. */
void client_check_timeout(struct load_client *client, uint64_t now_ns);

#endif
