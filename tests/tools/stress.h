/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What the stress knows about the LUN. An area is cut into slots, one command each; a
 * slot belongs to one connection and has at most one command in flight, so its versions are exact.
 */
#ifndef TESTS_STRESS_H
#define TESTS_STRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "session.h"

enum {
	CONNECTIONS_MAX = 64,
	DEPTH_MAX = 256,
	OUTCOMES_MAX = 16,
};

struct slot {
	uint32_t flushed;      /* a flush that started after this version's write has ended */
	uint32_t acknowledged; /* the last version that the target said it has */
	uint32_t attempted;    /* the last version sent: units may hold anything up to it */
	bool busy;
};

struct stress_state {
	uint64_t first_byte; /* where the first slot begins */
	uint32_t slots;
	uint32_t slot_bytes;
	struct slot *slot;
};

enum op_kind { OP_READ, OP_WRITE, OP_FLUSH };

struct connection;

struct op {
	struct connection *conn;
	enum op_kind kind;
	bool active;
	uint32_t slot;
	uint32_t version; /* of a write */
	uint64_t start_ns;
	uint8_t *buf;
};

struct connection {
	struct session session;
	struct stress *stress;
	unsigned int index;
	struct op op[DEPTH_MAX];
	unsigned int in_flight;
	bool open, dead, flushing;
	uint32_t writes_since_flush;
	uint32_t *flush_snapshot; /* of the connection's slots, when the flush started */
	uint64_t pause_until_ns, serviced_ns;
	uint64_t random;
};

struct outcome_count {
	char text[16];
	uint64_t count;
};

struct stress {
	const char *url, *log_path, *state_path;
	unsigned int connections, depth, reads_percent;
	uint32_t slots_per_connection, flush_every;
	uint64_t seconds;
	bool reconnect;

	struct stress_state state;
	struct connection *conn;
	FILE *log;
	uint64_t done[3], corrupt, slowest_ns, log_flushed_ns;
	struct outcome_count outcome[OUTCOMES_MAX];
};

/* Sends commands until depth of them are in flight, or marks the connection as dead. */
void stress_fill(struct connection *conn);

/* The LUN's byte offset of a slot. */
uint64_t slot_offset(const struct stress_state *state, uint32_t slot);

/* One line a slot. 0 or -errno. */
int state_save(const struct stress_state *state, const char *path)
	__attribute__((warn_unused_result));

/* Allocates state->slot. 0 or -errno. */
int state_load(struct stress_state *state, const char *path) __attribute__((warn_unused_result));

#endif
