/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * A volume in memory, whose cipher is a XOR and whose faults are set by the test, and what it takes
 * to run requests on it. Its volume_…(), complete_post() and busy_lately() stand in for the real
 * ones; memory can be made to run out. The main thread's loop is complete().
 *
 * Functions that wait do so for LIMIT_SECONDS at most. Include after cmocka.h.
 */
#ifndef TESTS_FAKE_VOLUME_H
#define TESTS_FAKE_VOLUME_H

#include "request.h"

enum {
	SECTOR = 512,
	MEDIUM_BYTES = 16 << 20,
	KEY = 0x5a,
	WORKERS = 3,
	KIB = 1024,
	LIMIT_SECONDS = 20,
};

enum call { CALL_READ = 1, CALL_WRITE = 2, CALL_FLUSH = 4, CALL_PREFETCH = 8 };

struct volume {
	uint8_t medium[MEDIUM_BYTES]; /* ciphertext */

	/* What the calls return. Those of the store fail for this byte of the LUN, others do not. */
	int status, encrypt, decrypt, read, write, flush, prefetch, discard, map;
	uint64_t fail_at;
	bool lose_writes;     /* say yes and store nothing */
	uint64_t key_ends_at; /* encrypt and decrypt fail from this byte on */

	/* What the page cache has: reads and writes at once of this byte and later have to wait. */
	uint64_t read_now_ends_at, write_now_ends_at;
	size_t takes_at_once;  /* so many bytes of a write that has to wait are stored already */
	bool never_writes_now; /* and says so */
	bool encrypts_slowly;
	uint64_t hole_first, hole_end; /* what volume_map() tells */
	uint64_t status_ends_at;       /* status is -EAGAIN after so many bytes were discarded */
	uint64_t discarded_bytes;
	unsigned hangs; /* calls of these kinds do not return */

	_Atomic unsigned reads, writes, durable_writes, flushes, prefetches; /* that may wait */
	_Atomic unsigned reads_now, writes_now;
	_Atomic unsigned encrypted_sectors, waiting;
};

extern struct volume vol;  /* the volume of requests that set_request() makes */
extern struct volume hung; /* another one, whose device hangs */

/* posix_memalign(3) fails, and calloc(3) of pieces where CALLOC_CAN_FAIL. */
extern bool no_memory;

/* A sanitizer has its own calloc(3), which dlsym(3) would need before it is found. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CALLOC_CAN_FAIL true
#else
#define CALLOC_CAN_FAIL false
#endif

extern bool main_thread_is_busy; /* what busy_lately() says */
extern bool clients_are_many;    /* what busy_with_many() says */

/* The kinds of store that a promise is to hold for: how much of it answers at once. */
enum store_kind { MEMORY, CACHE_FOR_READS, DEVICE, FULL_CACHE, PARTLY_CACHED, STORES };

struct store_nature {
	uint64_t read_now_ends_at, write_now_ends_at;
	size_t takes_at_once;
	bool never_writes_now;
};

extern const struct store_nature stores[STORES];

/* Of zeros, without faults; nothing of it answers at once until set_store() says what. */
void make_volume(struct volume *v);
void set_store(struct volume *v, const struct store_nature *nature);

/* Lets all calls return that wait for the device, and those to come. */
void unhang(struct volume *v);

/* True as soon as so many calls wait for the device. */
bool waiting_becomes(struct volume *v, unsigned count);

/* How often completions were posted, and requests done. The test resets them. */
extern unsigned posts, dones;

/* Has done called for as many requests. */
void complete(unsigned count);

/* A request's done: counts it. */
void on_done(struct request *r);

/* The request that the functions below are for. */
extern struct request req;

/* Keeps what the test has set: durable and stamp. */
void set_request(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data);

/* Hands req to the workers; the test fails unless it is done once, and later. */
enum outcome start_and_wait(void);

/* set_request(), then start_and_wait(). */
enum outcome run(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data);

/* So many random bytes, always the same for a seed. The caller frees them. */
uint8_t *pattern(size_t len, unsigned seed);

/* What vol stores there is expected, encrypted. */
void assert_plain(const uint8_t *expected, uint64_t offset, size_t len);

/* cmocka's set-up and teardown. The test's state: a store's nature, or NULL for memory. */
int fresh(void **state);
int stop(void **state);

#define FRESH(f) cmocka_unit_test_setup_teardown(f, fresh, stop)

#endif
