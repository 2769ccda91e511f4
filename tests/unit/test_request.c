/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * bs_crypt/request.h over a volume in memory, whose cipher is a XOR and whose faults are set by the
 * test: what each operation does, how it is split, and what it says when a step fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "range.h"
#include "busy.h"
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
	int status, encrypt, decrypt, read, write, flush, prefetch;
	uint64_t fail_at;
	bool lose_writes;     /* say yes and store nothing */
	uint64_t key_ends_at; /* encrypt and decrypt fail from this byte on */

	/* What the page cache has: reads and writes at once of this byte and later have to wait. */
	uint64_t read_now_ends_at, write_now_ends_at;
	size_t takes_at_once;  /* so many bytes of a write that has to wait are stored already */
	bool never_writes_now; /* and says so */
	bool encrypts_slowly;
	unsigned hangs; /* calls of these kinds do not return */

	_Atomic unsigned reads, writes, durable_writes, flushes, prefetches; /* that may wait */
	_Atomic unsigned reads_now, writes_now;
	_Atomic unsigned encrypted_sectors, waiting;
};

static struct volume vol, hung;

/* For calls that fail when the test says so: no memory. */
static bool no_memory;

int posix_memalign(void **memory, size_t alignment, size_t len)
{
	int (*real)(void **, size_t, size_t);

	*(void **)&real = dlsym(RTLD_NEXT, "posix_memalign");
	return no_memory ? ENOMEM : real(memory, alignment, len);
}

/* A sanitizer has its own calloc(3), which dlsym(3) would need before it is found. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CALLOC_CAN_FAIL true
void *__libc_calloc(size_t count, size_t len);

void *calloc(size_t count, size_t len)
{
	return no_memory && len == sizeof(struct request_piece) ? NULL : __libc_calloc(count, len);
}
#else
#define CALLOC_CAN_FAIL false
#endif

static bool main_thread_is_busy;

bool busy_lately(void)
{
	return main_thread_is_busy;
}

uint32_t volume_sector_bytes(const struct volume *v)
{
	(void)v;
	return SECTOR;
}

int volume_status(struct volume *v)
{
	return v->status;
}

static void mask(uint8_t *data, size_t len, uint64_t offset)
{
	assert(len % SECTOR == 0 && offset % SECTOR == 0);
	for (size_t i = 0; i < len; i++)
		data[i] ^= KEY;
}

int volume_encrypt(struct volume *v, uint8_t *data, size_t len, uint64_t offset)
{
	mask(data, len, offset);
	v->encrypted_sectors += (unsigned)(len / SECTOR);
	return offset + len > v->key_ends_at ? v->encrypt : 0;
}

int volume_decrypt(struct volume *v, uint8_t *data, size_t len, uint64_t offset)
{
	mask(data, len, offset);
	return offset + len > v->key_ends_at ? v->decrypt : 0;
}

static bool hit(const struct volume *v, size_t len, uint64_t offset)
{
	return v->fail_at >= offset && v->fail_at < offset + len;
}

static void wait_for_device(struct volume *v, enum call call);

int volume_read(struct volume *v, void *data, size_t len, uint64_t offset)
{
	assert(offset + len <= MEDIUM_BYTES);
	v->reads++;
	wait_for_device(v, CALL_READ);
	if (v->read && hit(v, len, offset))
		return v->read;
	memcpy(data, v->medium + offset, len);
	return 0;
}

int volume_write(struct volume *v, const void *data, size_t len, uint64_t offset, bool durable)
{
	assert(offset + len <= MEDIUM_BYTES);
	v->writes++;
	v->durable_writes += durable;
	wait_for_device(v, CALL_WRITE);
	if (v->write && hit(v, len, offset))
		return v->write;
	if (!v->lose_writes)
		memcpy(v->medium + offset, data, len);
	return 0;
}

/* What is read before it turns out that it has to be waited for is in the buffer, but not all. */
int volume_read_now(struct volume *v, void *data, size_t len, uint64_t offset)
{
	assert(offset + len <= MEDIUM_BYTES);
	v->reads_now++;
	if (offset + len > v->read_now_ends_at) {
		memset(data, 0xee, len / 2);
		return -EAGAIN;
	}
	if (v->read && hit(v, len, offset))
		return v->read;
	memcpy(data, v->medium + offset, len);
	return 0;
}

bool volume_encrypts_fast(const struct volume *v)
{
	return !v->encrypts_slowly;
}

bool volume_writes_now(struct volume *v)
{
	return !v->never_writes_now;
}

int volume_write_now(struct volume *v, const void *data, size_t len, uint64_t offset)
{
	assert(offset + len <= MEDIUM_BYTES);
	v->writes_now++;
	if (v->never_writes_now)
		return -EAGAIN;
	if (offset + len > v->write_now_ends_at) {
		memcpy(v->medium + offset, data, len < v->takes_at_once ? len : v->takes_at_once);
		return -EAGAIN;
	}
	if (v->write && hit(v, len, offset))
		return v->write;
	if (!v->lose_writes)
		memcpy(v->medium + offset, data, len);
	return 0;
}

int volume_flush(struct volume *v)
{
	v->flushes++;
	wait_for_device(v, CALL_FLUSH);
	return v->flush;
}

int volume_prefetch(struct volume *v, uint64_t len, uint64_t offset)
{
	assert(offset + len <= MEDIUM_BYTES);
	v->prefetches++;
	wait_for_device(v, CALL_PREFETCH);
	return v->prefetch;
}

/* The main thread's loop. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct completion *posted;
static unsigned posts, dones;

void complete_post(struct completion *c)
{
	pthread_mutex_lock(&lock);
	c->next = posted;
	posted = c;
	posts++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* Caller holds lock. False when it took too long. */
static bool wait_changed(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LIMIT_SECONDS;
	return !pthread_cond_timedwait(&changed, &lock, &until);
}

static void wait_for_device(struct volume *v, enum call call)
{
	pthread_mutex_lock(&lock);
	bool hangs = v->hangs & call;
	v->waiting += hangs;
	pthread_cond_broadcast(&changed);
	while (v->hangs & call && wait_changed())
		;
	v->waiting -= hangs;
	pthread_mutex_unlock(&lock);
}

static void unhang(struct volume *v)
{
	pthread_mutex_lock(&lock);
	v->hangs = 0;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* True as soon as so many calls wait for the device. */
static bool waiting_becomes(struct volume *v, unsigned count)
{
	pthread_mutex_lock(&lock);
	while (v->waiting != count && wait_changed())
		;
	bool reached = v->waiting == count;
	pthread_mutex_unlock(&lock);
	return reached;
}

/* Has done called for as many requests. */
static void complete(unsigned count)
{
	for (; count; count--) {
		pthread_mutex_lock(&lock);
		bool in_time = true;
		while (!posted && in_time)
			in_time = wait_changed();
		struct completion *c = posted;
		if (c)
			posted = c->next;
		pthread_mutex_unlock(&lock);
		assert_non_null(c);
		c->done(c);
	}
}

static void on_done(struct request *req)
{
	(void)req;
	dones++;
}

static struct request req;

/* Keeps what the test has set: durable and stamp. */
static void set_request(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data)
{
	bool durable = req.durable;
	enum request_stamp stamp = req.stamp;

	memset(&req, 0, sizeof(req));
	req.op = op;
	req.volume = &vol;
	req.offset_bytes = offset;
	req.len_bytes = len;
	req.data = data;
	req.durable = durable;
	req.stamp = stamp;
	req.done = on_done;
}

static enum outcome start_and_wait(void)
{
	dones = posts = 0;
	request_start(&req);
	assert_int_equal(dones, 0); /* never from within */
	complete(1);
	assert_int_equal(dones, 1);
	assert_int_equal(posts, 1);
	return req.outcome;
}

static enum outcome run(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data)
{
	set_request(op, offset, len, data);
	return start_and_wait();
}

/* True when it was done; done is not called then, and nothing posted. */
static bool now(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data)
{
	dones = posts = 0;
	set_request(op, offset, len, data);
	bool over = request_now(&req);
	assert_int_equal(dones + posts, 0);
	return over;
}

static uint8_t *pattern(size_t len, unsigned seed)
{
	uint8_t *data = malloc(len);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)rand_r(&seed);
	return data;
}

static void assert_plain(const uint8_t *expected, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(vol.medium[offset + i] ^ KEY, expected[i]);
}

static void make_volume(struct volume *v)
{
	memset(v, 0, sizeof(*v));
	memset(v->medium, KEY, sizeof(v->medium)); /* reads as zeros */
}

/* The kinds of store that a promise is to hold for: how much of it answers at once. */
enum store_kind { MEMORY, CACHE_FOR_READS, DEVICE, FULL_CACHE, PARTLY_CACHED, STORES };

static const struct store_nature {
	uint64_t read_now_ends_at, write_now_ends_at;
	size_t takes_at_once;
	bool never_writes_now;
} stores[STORES] = {
	[MEMORY] = {UINT64_MAX, UINT64_MAX, 0, false},
	[CACHE_FOR_READS] = {UINT64_MAX, 0, 0, true},
	[DEVICE] = {0, 0, 0, true},
	[FULL_CACHE] = {0, 0, 1000, false},
	[PARTLY_CACHED] = {300 * KIB, 200 * KIB, 70000, false},
};

static void set_store(struct volume *v, const struct store_nature *nature)
{
	v->read_now_ends_at = nature->read_now_ends_at;
	v->write_now_ends_at = nature->write_now_ends_at;
	v->takes_at_once = nature->takes_at_once;
	v->never_writes_now = nature->never_writes_now;
}

/* The test's state: a store, or NULL for memory. */
static int fresh(void **state)
{
	make_volume(&vol);
	set_store(&vol, *state ? *state : &stores[MEMORY]);
	memset(&req, 0, sizeof(req));
	no_memory = false;
	posted = NULL;
	return pool_get(WORKERS);
}

static int stop(void **state)
{
	(void)state;
	unhang(&vol);
	unhang(&hung);
	pool_put();
	return 0;
}

static void assert_written_and_read(uint64_t offset, size_t len, unsigned seed)
{
	uint8_t *data = pattern(len, seed), *sent = malloc(len), *back = calloc(1, len);

	memcpy(sent, data, len);
	vol.encrypted_sectors = 0;
	assert_int_equal(run(REQUEST_WRITE, offset, len, sent), OUTCOME_GOOD);
	assert_int_equal(vol.encrypted_sectors, len / SECTOR); /* each once */
	assert_plain(data, offset, len);
	assert_int_equal(run(REQUEST_READ, offset, len, back), OUTCOME_GOOD);
	assert_memory_equal(data, back, len);
	free(data);
	free(sent);
	free(back);
}

static void what_is_written_is_read_at_every_size(void **state)
{
	static const size_t sizes[] = {512, 1024, 65536, 65536 + 512, 131072 - 512, 131072, 131584,
		196608, 262144, 1 << 20, (1 << 20) + 512};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_written_and_read(4096 + 512 * i, sizes[i], i);
}

static void a_part_of_a_sector_is_merged_and_read(void **state)
{
	uint8_t *old = pattern(2048, 1), *data = pattern(1100, 2);
	uint8_t sent[2048], back[1100 + 16];

	(void)state;
	memcpy(sent, old, sizeof(sent));
	assert_int_equal(run(REQUEST_WRITE, 0, 2048, sent), OUTCOME_GOOD);
	memcpy(sent, data, 1100);
	assert_int_equal(run(REQUEST_WRITE, 0, 1100, sent), OUTCOME_GOOD);
	assert_plain(data, 0, 1100);
	assert_plain(old + 1100, 1100, 2048 - 1100);
	memset(back, 0xee, sizeof(back));
	assert_int_equal(run(REQUEST_READ, 0, 1100, back), OUTCOME_GOOD);
	assert_memory_equal(back, data, 1100);
	assert_int_equal(back[1100], 0xee);
	memcpy(sent, old, 100);
	assert_int_equal(run(REQUEST_WRITE, 512, 100, sent), OUTCOME_GOOD); /* no whole one */
	assert_plain(old, 512, 100);
	assert_plain(data + 612, 612, 1100 - 612);
	assert_int_equal(run(REQUEST_READ, 512, 100, back), OUTCOME_GOOD);
	assert_memory_equal(back, old, 100);
	assert_memory_equal(back + 100, data + 100, 1000);
	free(old);
	free(data);
}

static void verify_tells_the_first_difference(void **state)
{
	const size_t len = 700000;
	uint8_t *data = pattern(len, 3), *sent = malloc(len);

	(void)state;
	memcpy(sent, data, len);
	assert_int_equal(run(REQUEST_WRITE, 0, len, sent), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_VERIFY, 0, len, data), OUTCOME_GOOD);
	data[600001] ^= 1;
	data[300002] ^= 1;
	assert_int_equal(run(REQUEST_VERIFY, 0, len, data), OUTCOME_MISCOMPARE);
	assert_true(req.miscompare_byte == 300002 || req.miscompare_byte == 600001);
	data[600001] ^= 1;
	assert_int_equal(run(REQUEST_VERIFY, 0, len, data), OUTCOME_MISCOMPARE);
	assert_int_equal(req.miscompare_byte, 300002);
	assert_int_equal(run(REQUEST_VERIFY, 0, MEDIUM_BYTES, NULL), OUTCOME_GOOD);
	vol.read = -EIO;
	vol.fail_at = MEDIUM_BYTES - 1; /* beyond the first slices */
	assert_int_equal(run(REQUEST_VERIFY, 0, MEDIUM_BYTES, NULL), OUTCOME_READ_ERROR);
	free(data);
	free(sent);
}

static void write_and_verify_notices_a_lost_write(void **state)
{
	const size_t len = 1 << 20;
	uint8_t *data = pattern(len, 4);

	(void)state;
	assert_int_equal(run(REQUEST_WRITE_VERIFY, 0, len, data), OUTCOME_GOOD);
	vol.lose_writes = true;
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(data[i] + 1);
	assert_int_equal(run(REQUEST_WRITE_VERIFY, 0, len, data), OUTCOME_MISCOMPARE);
	free(data);
}

static void compare_and_write_writes_only_what_compared(void **state)
{
	uint8_t *old = pattern(1024, 5), *data = malloc(2048), sent[1024];

	(void)state;
	memcpy(sent, old, 1024);
	assert_int_equal(run(REQUEST_WRITE, 512, 1024, sent), OUTCOME_GOOD);
	memcpy(data, old, 1024);
	memset(data + 1024, 0x77, 1024);
	data[1000] ^= 1;
	assert_int_equal(run(REQUEST_COMPARE_WRITE, 512, 1024, data), OUTCOME_MISCOMPARE);
	assert_int_equal(req.miscompare_byte, 1000);
	assert_plain(old, 512, 1024);
	data[1000] ^= 1;
	assert_int_equal(run(REQUEST_COMPARE_WRITE, 512, 1024, data), OUTCOME_GOOD);
	memset(data, 0x77, 1024);
	assert_plain(data, 512, 1024);
	free(old);
	free(data);
}

static void or_write_sets_bits(void **state)
{
	const size_t len = 400000 / 512 * 512;
	uint8_t *a = pattern(len, 6), *b = pattern(len, 7), *sent = malloc(len);

	(void)state;
	memcpy(sent, a, len);
	assert_int_equal(run(REQUEST_WRITE, 0, len, sent), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_OR_WRITE, 0, len, b), OUTCOME_GOOD);
	for (size_t i = 0; i < len; i++)
		a[i] |= b[i];
	assert_plain(a, 0, len);
	free(a);
	free(b);
	free(sent);
}

static void write_same_fills_far_more_than_a_slice(void **state)
{
	uint8_t *one = pattern(SECTOR, 8), *edge = pattern(SECTOR, 9);
	uint8_t sent[SECTOR];
	const uint64_t end = MEDIUM_BYTES - SECTOR;

	(void)state;
	memcpy(sent, edge, SECTOR);
	assert_int_equal(run(REQUEST_WRITE, end, SECTOR, sent), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_WRITE_SAME, SECTOR, end - SECTOR, one), OUTCOME_GOOD);
	for (uint64_t at = SECTOR; at < end; at += SECTOR)
		assert_plain(one, at, SECTOR);
	assert_plain(edge, end, SECTOR);
	assert_int_equal(vol.medium[0], KEY);
	assert_int_equal(run(REQUEST_WRITE_SAME, 0, MEDIUM_BYTES, NULL), OUTCOME_GOOD);
	for (size_t i = 0; i < MEDIUM_BYTES; i++)
		assert_int_equal(vol.medium[i], KEY);
	free(one);
	free(edge);
}

static void write_same_stamps_the_address(void **state)
{
	uint8_t one[SECTOR] = {0};

	(void)state;
	req.stamp = STAMP_LBA32;
	assert_int_equal(run(REQUEST_WRITE_SAME, 258 * SECTOR, 2 * SECTOR, one), OUTCOME_GOOD);
	assert_plain((const uint8_t[]){0, 0, 1, 2, 0}, 258 * SECTOR, 5);
	assert_plain((const uint8_t[]){0, 0, 1, 3, 0}, 259 * SECTOR, 5);
	req.stamp = STAMP_LBA64;
	assert_int_equal(run(REQUEST_WRITE_SAME, 258 * SECTOR, SECTOR, one), OUTCOME_GOOD);
	assert_plain((const uint8_t[]){0, 0, 0, 0, 0, 0, 1, 2, 0}, 258 * SECTOR, 9);
}

static void durable_reaches_every_piece(void **state)
{
	uint8_t *data = pattern(2 << 20, 10);

	(void)state;
	req.durable = true;
	assert_int_equal(run(REQUEST_WRITE, 0, 2 << 20, data), OUTCOME_GOOD);
	assert_int_equal(vol.writes, WORKERS);
	assert_int_equal(vol.durable_writes, WORKERS);
	assert_int_equal(run(REQUEST_READ, 0, 2 << 20, data), OUTCOME_GOOD);
	assert_int_equal(vol.flushes, 1); /* FUA read: the cache first */
	free(data);
}

static void each_failure_has_its_outcome(void **state)
{
	uint8_t *data = pattern(1 << 20, 11);

	(void)state;
	vol.fail_at = 700000;
	vol.read = -EIO;
	assert_int_equal(run(REQUEST_READ, 0, 1 << 20, data), OUTCOME_READ_ERROR);
	assert_int_equal(run(REQUEST_VERIFY, 699904, 512, data), OUTCOME_READ_ERROR);
	assert_int_equal(run(REQUEST_OR_WRITE, 0, 1 << 20, data), OUTCOME_READ_ERROR);
	assert_int_equal(run(REQUEST_READ, 0, 700000 / 512 * 512, data), OUTCOME_GOOD);
	vol.read = -ENODATA;
	assert_int_equal(run(REQUEST_READ, 0, 1 << 20, data), OUTCOME_READ_ERROR);
	vol.read = 0;
	vol.write = -EIO;
	assert_int_equal(run(REQUEST_WRITE, 0, 1 << 20, data), OUTCOME_WRITE_ERROR);
	vol.write = -ENOSPC;
	assert_int_equal(run(REQUEST_WRITE, 0, 1 << 20, data), OUTCOME_NO_SPACE);
	assert_int_equal(run(REQUEST_WRITE_SAME, 0, 8 << 20, data), OUTCOME_NO_SPACE);
	vol.fail_at = 0; /* in the first of several steps */
	assert_int_equal(run(REQUEST_OR_WRITE, 0, 1 << 20, data), OUTCOME_NO_SPACE);
	vol.fail_at = 700000;
	vol.write = 0;
	vol.flush = -EIO;
	assert_int_equal(run(REQUEST_FLUSH, 0, 0, NULL), OUTCOME_WRITE_ERROR);
	vol.flush = 0;
	assert_int_equal(run(REQUEST_FLUSH, 0, 0, NULL), OUTCOME_GOOD);
	vol.encrypt = -EACCES; /* destroyed between two pieces */
	assert_int_equal(run(REQUEST_WRITE, 0, 1 << 20, data), OUTCOME_NO_ACCESS);
	vol.encrypt = -EIO;
	assert_int_equal(run(REQUEST_WRITE, 0, 512, data), OUTCOME_INTERNAL);
	vol.decrypt = -EAGAIN;
	assert_int_equal(run(REQUEST_READ, 0, 512, data), OUTCOME_NOT_READY);
	free(data);
}

static void a_volume_without_key_does_no_work(void **state)
{
	uint8_t data[512] = {0};

	(void)state;
	vol.status = -EAGAIN;
	assert_int_equal(run(REQUEST_WRITE, 0, 512, data), OUTCOME_NOT_READY);
	vol.status = -EACCES;
	assert_int_equal(run(REQUEST_READ, 0, 512, data), OUTCOME_NO_ACCESS);
	assert_int_equal(run(REQUEST_FLUSH, 0, 0, NULL), OUTCOME_NO_ACCESS);
	assert_int_equal(vol.writes + vol.flushes, 0);
}

static void nothing_to_do_is_good(void **state)
{
	(void)state;
	assert_int_equal(run(REQUEST_WRITE, 0, 0, NULL), OUTCOME_GOOD);
	assert_int_equal(run(REQUEST_READ, 0, 0, NULL), OUTCOME_GOOD);
}

/* The pieces cover the request once and whole, none ends inside a sector, none is needless. */
static void a_split_covers_every_byte_once(void **state)
{
	unsigned seed = 12;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t len = (uint64_t)rand_r(&seed) % (i % 2 ? 3000000 : UINT64_C(1) << 33) + 1;
		unsigned workers = (unsigned)rand_r(&seed) % POOL_WORKERS_MAX + 1;
		uint64_t piece;
		unsigned count = request_split(REQUEST_READ, len, workers, &piece);
		assert_in_range(count, 1, workers);
		assert_int_equal(piece % 4096, 0);
		assert_true(piece * count >= len && piece * (count - 1) < len);
		if (len < 1024 * 1024)
			assert_int_equal(count, 1);
		assert_int_equal(request_split(REQUEST_COMPARE_WRITE, len, workers, &piece), 1);
	}
}

static void assert_split(uint64_t len, unsigned workers, unsigned count, uint64_t bytes)
{
	uint64_t piece;

	assert_int_equal(request_split(REQUEST_WRITE, len, workers, &piece), count);
	assert_int_equal(piece, bytes);
}

static void a_split_changes_where_it_is_worth_it(void **state)
{
	uint64_t piece;

	(void)state;
	assert_split(1, 4, 1, 4096);
	assert_split(1024 * KIB - 1, 4, 1, 1024 * KIB);
	assert_split(1024 * KIB, 4, 2, 512 * KIB);
	assert_split(1536 * KIB - 512, 4, 2, 768 * KIB);
	assert_split(1536 * KIB, 4, 3, 512 * KIB);
	assert_split(2048 * KIB, 4, 4, 512 * KIB);
	assert_split(2048 * KIB + 512, 4, 4, 516 * KIB);
	assert_split(MEDIUM_BYTES, 4, 4, MEDIUM_BYTES / 4);
	assert_split(MEDIUM_BYTES, 1, 1, MEDIUM_BYTES);
	assert_split(MEDIUM_BYTES, 0, 1, MEDIUM_BYTES); /* all are busy: it waits in one piece */
	assert_int_equal(request_split(REQUEST_FLUSH, 0, 4, &piece), 1);
	assert_int_equal(request_split(REQUEST_PREFETCH, MEDIUM_BYTES, 4, &piece), 1);
	assert_int_equal(request_split(REQUEST_COMPARE_WRITE, MEDIUM_BYTES, 4, &piece), 1);
}

/* A task that holds its worker until the test lets it go. */
static atomic_uint holding;
static atomic_bool hold_on;

static void hold(struct pool_task *task)
{
	(void)task;
	holding++;
	for (int i = 0; hold_on && i < LIMIT_SECONDS * 1000; i++)
		usleep(1000);
	holding--;
}

static unsigned writes_with_workers_held(unsigned count)
{
	static struct pool_task tasks[WORKERS];
	static uint8_t data[2 << 20];

	for (int i = 0; pool_free() != WORKERS && i < LIMIT_SECONDS * 1000; i++)
		usleep(1000); /* the last ones end */
	hold_on = true;
	for (unsigned i = 0; i < count; i++) {
		tasks[i].run = hold;
		pool_submit(&tasks[i]);
	}
	while (holding != count)
		usleep(1000);
	vol.writes = 0;
	set_request(REQUEST_WRITE, 0, sizeof(data), data);
	request_start(&req);
	hold_on = false;
	complete(1);
	while (holding)
		usleep(1000);
	return vol.writes;
}

static void a_request_is_split_over_the_workers_that_are_free(void **state)
{
	(void)state;
	req.durable = true;
	assert_int_equal(writes_with_workers_held(0), 3);
	assert_int_equal(writes_with_workers_held(1), 2);
	assert_int_equal(writes_with_workers_held(2), 1);
	assert_int_equal(writes_with_workers_held(3), 1);
}

static void a_split_that_finds_no_memory_is_none(void **state)
{
	static uint8_t data[1 << 20];

	(void)state;
	if (!CALLOC_CAN_FAIL)
		skip();
	req.durable = true;
	no_memory = true;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_GOOD);
	assert_int_equal(vol.writes, 1);
	assert_plain((uint8_t[SECTOR]){0}, sizeof(data) - SECTOR, SECTOR);
}

static void without_memory_for_a_copy_nothing_is_changed(void **state)
{
	static const enum request_op ops[] = {
		REQUEST_VERIFY, REQUEST_COMPARE_WRITE, REQUEST_OR_WRITE, REQUEST_WRITE_SAME};
	uint8_t data[2 * SECTOR];

	(void)state;
	memset(data, 1, sizeof(data));
	no_memory = true;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		assert_int_equal(run(ops[i], 0, SECTOR, data), OUTCOME_INTERNAL);
	assert_int_equal(vol.writes + vol.writes_now, 0);
	assert_int_equal(run(REQUEST_WRITE_VERIFY, 0, SECTOR, data), OUTCOME_INTERNAL);
	assert_int_equal(run(REQUEST_READ, SECTOR, SECTOR, data), OUTCOME_GOOD); /* needs none */
}

/* ---- At once, on the main thread ---- */

static void a_small_read_or_write_is_done_at_once(void **state)
{
	static const size_t sizes[] = {SECTOR, 4096, 256 * KIB - SECTOR, 256 * KIB};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t len = sizes[i];
		uint64_t offset = 70 * KIB * i + SECTOR;
		uint8_t *data = pattern(len, i), *sent = malloc(len), *back = calloc(1, len);
		memcpy(sent, data, len);
		assert_true(now(REQUEST_WRITE, offset, len, sent));
		assert_int_equal(req.outcome, OUTCOME_GOOD);
		assert_plain(data, offset, len);
		assert_true(now(REQUEST_READ, offset, len, back));
		assert_int_equal(req.outcome, OUTCOME_GOOD);
		assert_memory_equal(data, back, len);
		free(data);
		free(sent);
		free(back);
	}
	assert_int_equal(vol.reads + vol.writes, 0); /* nothing that may wait */
	assert_int_equal(vol.encrypted_sectors, 1 + 8 + 511 + 512);
}

static void a_busy_main_thread_leaves_more_to_the_workers(void **state)
{
	uint8_t *data = pattern(256 * KIB, 1);

	(void)state;
	main_thread_is_busy = true;
	assert_true(now(REQUEST_WRITE, 0, 64 * KIB, data));
	assert_false(now(REQUEST_WRITE, 0, 64 * KIB + SECTOR, data));
	assert_true(now(REQUEST_READ, 0, 32 * KIB, data));
	assert_false(now(REQUEST_READ, 0, 32 * KIB + SECTOR, data));
	main_thread_is_busy = false;
	assert_true(now(REQUEST_READ, 0, 256 * KIB, data));
	free(data);
}

static void with_few_workers_more_stays_with_the_main_thread(void **state)
{
	uint8_t *data = pattern(512 * KIB + SECTOR, 1);

	(void)state;
	pool_put();
	assert_int_equal(pool_get(2), 0);
	for (int busy = 0; busy < 2; busy++) {
		main_thread_is_busy = busy;
		assert_true(now(REQUEST_WRITE, 0, 512 * KIB, data));
		assert_false(now(REQUEST_WRITE, 0, 512 * KIB + SECTOR, data));
		assert_int_equal(now(REQUEST_READ, 0, 32 * KIB + SECTOR, data), !busy);
	}
	pool_put();
	assert_int_equal(pool_get(1), 0);
	assert_true(now(REQUEST_WRITE, 0, 512 * KIB, data));
	assert_true(now(REQUEST_READ, 0, 256 * KIB, data));
	vol.encrypts_slowly = true; /* then a second CPU is worth more than it costs */
	assert_false(now(REQUEST_WRITE, 0, 64 * KIB + SECTOR, data));
	assert_false(now(REQUEST_READ, 0, 256 * KIB, data));
	main_thread_is_busy = false;
	assert_false(now(REQUEST_WRITE, 0, 512 * KIB, data));
	assert_true(now(REQUEST_WRITE, 0, 256 * KIB, data));
	free(data);
}

static void assert_left(enum request_op op, uint64_t len, bool durable)
{
	static uint8_t data[128 * KIB], before[128 * KIB];

	memset(data, 0x77, sizeof(data));
	memset(before, 0x77, sizeof(before));
	req.durable = durable;
	assert_false(now(op, 0, len, data));
	assert_memory_equal(data, before, sizeof(data));
	assert_int_equal(vol.reads + vol.reads_now + vol.writes + vol.writes_now + vol.flushes, 0);
	assert_int_equal(vol.encrypted_sectors, 0);
	assert_false(req.encrypted);
}

static void all_but_small_reads_and_writes_is_left_to_the_workers(void **state)
{
	(void)state;
	for (enum request_op op = REQUEST_READ; op <= REQUEST_PREFETCH; op++) {
		assert_left(op, SECTOR, true);
		assert_left(op, 0, false);
		assert_left(op, SECTOR - 1, false);
		assert_left(op, SECTOR + 1, false);
		assert_left(op, 256 * KIB + SECTOR, false);
		if (op != REQUEST_READ && op != REQUEST_WRITE)
			assert_left(op, SECTOR, false);
	}
}

static void a_read_that_would_wait_is_left_to_the_workers(void **state)
{
	uint8_t *data = pattern(8192, 20), sent[8192], back[8192];

	(void)state;
	memcpy(sent, data, sizeof(sent));
	assert_true(now(REQUEST_WRITE, 0, 8192, sent));
	vol.read_now_ends_at = 8191;
	assert_false(now(REQUEST_READ, 0, 8192, back));
	assert_int_equal(vol.reads, 0);
	assert_int_equal(start_and_wait(), OUTCOME_GOOD);
	assert_memory_equal(back, data, 8192);
	assert_int_equal(vol.reads, 1);
	free(data);
}

static void a_write_is_not_begun_where_it_always_waits(void **state)
{
	(void)state;
	vol.never_writes_now = true;
	assert_left(REQUEST_WRITE, SECTOR, false);
	assert_left(REQUEST_WRITE, 256 * KIB, false);
}

/* Whatever the store took at once: it may be all, some, or none. */
static void a_write_begun_at_once_is_ended_by_a_worker_and_encrypted_once(void **state)
{
	static const size_t taken[] = {0, 1, SECTOR, 5000, 256 * KIB};
	const size_t len = 256 * KIB;

	(void)state;
	for (unsigned i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		uint64_t offset = i * 128 * KIB;
		uint8_t *data = pattern(len, 30 + i), *sent = malloc(len);
		vol.encrypted_sectors = vol.writes = vol.writes_now = 0;
		vol.write_now_ends_at = offset + len - 1;
		vol.takes_at_once = taken[i];
		memcpy(sent, data, len);
		assert_false(now(REQUEST_WRITE, offset, len, sent));
		assert_int_equal(start_and_wait(), OUTCOME_GOOD);
		assert_plain(data, offset, len);
		assert_int_equal(vol.encrypted_sectors, len / SECTOR);
		assert_int_equal(vol.writes_now, 1);
		assert_int_equal(vol.writes, 1);
		assert_int_equal(vol.durable_writes, 0);
		free(data);
		free(sent);
	}
}

static void a_write_begun_at_once_can_still_fail(void **state)
{
	uint8_t data[SECTOR] = {0};

	(void)state;
	vol.write_now_ends_at = 0;
	vol.write = -ENOSPC;
	assert_false(now(REQUEST_WRITE, 0, SECTOR, data));
	assert_int_equal(start_and_wait(), OUTCOME_NO_SPACE);
	vol.write = -EIO;
	assert_false(now(REQUEST_WRITE, 0, SECTOR, data));
	assert_int_equal(start_and_wait(), OUTCOME_WRITE_ERROR);
	vol.writes = 0;
	assert_false(now(REQUEST_WRITE, 0, SECTOR, data));
	vol.status = -EAGAIN; /* suspended meanwhile */
	assert_int_equal(start_and_wait(), OUTCOME_NOT_READY);
	assert_int_equal(vol.writes, 0);
}

/* A failure is an end, too: no worker tries again. */
static void each_failure_at_once_has_its_outcome(void **state)
{
	static const struct {
		int read, decrypt, encrypt, write;
		enum outcome outcome;
	} cases[] = {
		{-EIO, 0, 0, 0, OUTCOME_READ_ERROR},
		{-ENODATA, 0, 0, 0, OUTCOME_READ_ERROR},
		{0, -EAGAIN, 0, 0, OUTCOME_NOT_READY},
		{0, -EACCES, 0, 0, OUTCOME_NO_ACCESS},
		{0, -EIO, 0, 0, OUTCOME_INTERNAL},
		{0, 0, -EAGAIN, 0, OUTCOME_NOT_READY},
		{0, 0, -EACCES, 0, OUTCOME_NO_ACCESS},
		{0, 0, -EIO, 0, OUTCOME_INTERNAL},
		{0, 0, 0, -EIO, OUTCOME_WRITE_ERROR},
		{0, 0, 0, -ENOSPC, OUTCOME_NO_SPACE},
		{0, 0, 0, -EDQUOT, OUTCOME_NO_SPACE},
	};
	uint8_t data[4096] = {0};

	(void)state;
	vol.fail_at = 4095;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool reads = cases[i].read || cases[i].decrypt;
		vol.read = cases[i].read;
		vol.decrypt = cases[i].decrypt;
		vol.encrypt = cases[i].encrypt;
		vol.write = cases[i].write;
		vol.writes_now = 0;
		assert_true(now(reads ? REQUEST_READ : REQUEST_WRITE, 0, 4096, data));
		assert_int_equal(req.outcome, cases[i].outcome);
		assert_false(req.encrypted);
		assert_int_equal(vol.writes_now, cases[i].write != 0);
		assert_int_equal(vol.reads + vol.writes, 0);
	}
}

/* ---- What must not be mixed up ---- */

static void assert_all_durable(enum request_op op, uint64_t len)
{
	uint8_t *data = calloc(2, len);

	vol.writes = vol.durable_writes = 0;
	req.durable = true;
	assert_false(now(op, 0, len, data));
	assert_int_equal(start_and_wait(), OUTCOME_GOOD);
	assert_true(vol.writes > 0);
	assert_int_equal(vol.durable_writes, vol.writes);
	assert_int_equal(vol.writes_now, 0);
	free(data);
}

static void durable_writes_are_never_left_in_the_cache(void **state)
{
	static const enum request_op ops[] = {REQUEST_WRITE, REQUEST_WRITE_VERIFY, REQUEST_OR_WRITE,
		REQUEST_WRITE_SAME, REQUEST_COMPARE_WRITE};

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		assert_all_durable(ops[i], SECTOR);
		assert_all_durable(ops[i], 300 * SECTOR);
		assert_all_durable(ops[i], 700 * KIB);
		if (ops[i] == REQUEST_WRITE || ops[i] == REQUEST_OR_WRITE)
			assert_all_durable(ops[i], SECTOR + 100);
	}
}

/* Within one piece, between its chunks. What was written before is whole, the rest is as it was. */
static void a_key_that_goes_during_a_write_leaves_old_or_new_sectors(void **state)
{
	static const uint8_t old[200 * KIB];
	uint8_t *data = pattern(sizeof(old), 40), *sent = malloc(sizeof(old));

	(void)state;
	vol.encrypt = -EAGAIN;
	vol.key_ends_at = 128 * KIB;
	memcpy(sent, data, sizeof(old));
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(old), sent), OUTCOME_NOT_READY);
	assert_plain(data, 0, 128 * KIB);
	assert_plain(old, 128 * KIB, sizeof(old) - 128 * KIB);
	vol.encrypt = -EACCES;
	vol.write_now_ends_at = 0; /* the rest is to be written in one, after it is encrypted */
	vol.key_ends_at = 640 * KIB;
	memcpy(sent, data, sizeof(old));
	assert_int_equal(run(REQUEST_WRITE, 512 * KIB, sizeof(old), sent), OUTCOME_NO_ACCESS);
	assert_plain(old, 512 * KIB, sizeof(old));
	assert_int_equal(vol.writes, 0);
	req.durable = true;
	assert_int_equal(run(REQUEST_WRITE, 512 * KIB, sizeof(old), sent), OUTCOME_NO_ACCESS);
	assert_plain(old, 512 * KIB, sizeof(old));
	assert_int_equal(vol.writes, 0);
	free(data);
	free(sent);
}

static void a_key_that_goes_during_a_read_fails_it(void **state)
{
	static uint8_t data[200 * KIB];

	(void)state;
	vol.decrypt = -EAGAIN;
	vol.key_ends_at = 128 * KIB;
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_NOT_READY);
	vol.decrypt = -EACCES;
	vol.read_now_ends_at = 128 * KIB;
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_NO_ACCESS);
	assert_int_equal(run(REQUEST_READ, 0, 128 * KIB, data), OUTCOME_GOOD);
}

static void each_step_of_a_part_of_a_sector_can_fail(void **state)
{
	uint8_t data[SECTOR + 100] = {0};

	(void)state;
	vol.fail_at = SECTOR;
	vol.read = -EIO;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_READ_ERROR);
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_READ_ERROR);
	vol.read = 0;
	vol.write = -EIO;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_WRITE_ERROR);
	vol.fail_at = 0; /* what comes before it */
	vol.writes = vol.reads = vol.reads_now = 0;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_WRITE_ERROR);
	vol.read = -EIO;
	assert_int_equal(vol.reads + vol.reads_now, 0);
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_READ_ERROR);
	vol.read = vol.write = 0;
	vol.decrypt = -EAGAIN;
	vol.key_ends_at = SECTOR;
	assert_int_equal(run(REQUEST_WRITE, 0, sizeof(data), data), OUTCOME_NOT_READY);
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_NOT_READY);
}

/* One sector of zeros, which is what the medium has, and one more to write. */
static enum outcome run_zeros(enum request_op op)
{
	uint8_t data[2 * SECTOR] = {0};

	return run(op, 0, SECTOR, data);
}

static void each_step_of_a_compound_can_fail(void **state)
{
	(void)state;
	vol.read = -EIO;
	assert_int_equal(run_zeros(REQUEST_COMPARE_WRITE), OUTCOME_READ_ERROR);
	assert_int_equal(run_zeros(REQUEST_OR_WRITE), OUTCOME_READ_ERROR);
	assert_int_equal(vol.writes + vol.writes_now, 0);
	assert_int_equal(run_zeros(REQUEST_WRITE_VERIFY), OUTCOME_READ_ERROR);
	vol.read = 0;
	vol.write = -EIO;
	assert_int_equal(run_zeros(REQUEST_COMPARE_WRITE), OUTCOME_WRITE_ERROR);
	assert_int_equal(run_zeros(REQUEST_OR_WRITE), OUTCOME_WRITE_ERROR);
	assert_int_equal(run_zeros(REQUEST_WRITE_VERIFY), OUTCOME_WRITE_ERROR);
	assert_int_equal(run_zeros(REQUEST_WRITE_SAME), OUTCOME_WRITE_ERROR);
	vol.write = 0;
	vol.encrypt = -EACCES;
	assert_int_equal(run_zeros(REQUEST_WRITE_VERIFY), OUTCOME_NO_ACCESS);
	assert_int_equal(run_zeros(REQUEST_WRITE_SAME), OUTCOME_NO_ACCESS);
}

static void a_durable_read_flushes_first_or_fails(void **state)
{
	uint8_t data[SECTOR + 100] = {0};

	(void)state;
	req.durable = true;
	vol.flush = -EIO;
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_WRITE_ERROR);
	assert_int_equal(vol.reads + vol.reads_now, 0);
	vol.flush = 0;
	assert_int_equal(run(REQUEST_READ, 0, sizeof(data), data), OUTCOME_GOOD);
	assert_int_equal(vol.flushes, 2);
}

static void a_prefetch_asks_for_its_range_once(void **state)
{
	(void)state;
	assert_int_equal(run(REQUEST_PREFETCH, SECTOR, MEDIUM_BYTES - SECTOR, NULL), OUTCOME_GOOD);
	assert_int_equal(vol.prefetches, 1);
	vol.prefetch = -EIO;
	assert_int_equal(run(REQUEST_PREFETCH, 0, SECTOR, NULL), OUTCOME_READ_ERROR);
	assert_int_equal(vol.reads + vol.reads_now, 0);
}

static void a_request_that_fails_without_work_is_done_later(void **state)
{
	uint8_t data[SECTOR] = {0};

	(void)state;
	set_request(REQUEST_WRITE, 0, SECTOR, data);
	dones = 0;
	request_fail(&req, OUTCOME_LBA_RANGE);
	assert_int_equal(dones, 0);
	complete(1);
	assert_int_equal(dones, 1);
	assert_int_equal(req.outcome, OUTCOME_LBA_RANGE);
	assert_int_equal(vol.writes + vol.writes_now + vol.encrypted_sectors, 0);
}

/* ---- A device that hangs ---- */

enum { HUNG_REQUESTS = 8 }; /* more than workers */

static struct request many[RANGE_GRANTED_MAX];

static void start_on_hung(unsigned count, enum request_op op, bool durable, uint64_t len)
{
	for (unsigned i = 0; i < count; i++) {
		many[i] = (struct request){.op = op,
			.volume = &hung,
			.offset_bytes = i * len % MEDIUM_BYTES, /* as claims would have it */
			.len_bytes = len,
			.durable = durable,
			.done = on_done};
		if (len)
			assert_non_null(many[i].data = calloc(2, len));
		request_start(&many[i]);
		usleep(5000); /* until it waits: the next one finds the workers free again */
	}
}

static void end_on_hung(unsigned count)
{
	unhang(&hung);
	complete(count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(many[i].outcome, OUTCOME_GOOD);
		free(many[i].data);
	}
}

static void what_waits_for_a_device_holds_up_no_other(void **state)
{
	static const struct {
		enum request_op op;
		bool durable;
		enum call hangs;
	} cases[] = {
		{REQUEST_READ, false, CALL_READ},
		{REQUEST_READ, true, CALL_FLUSH},
		{REQUEST_WRITE, false, CALL_WRITE},
		{REQUEST_WRITE, true, CALL_WRITE},
		{REQUEST_WRITE_VERIFY, true, CALL_READ},
		{REQUEST_VERIFY, false, CALL_READ},
		{REQUEST_COMPARE_WRITE, false, CALL_READ},
		{REQUEST_OR_WRITE, true, CALL_WRITE},
		{REQUEST_WRITE_SAME, false, CALL_WRITE},
		{REQUEST_FLUSH, false, CALL_FLUSH},
		{REQUEST_PREFETCH, false, CALL_PREFETCH},
	};
	static uint8_t data[SECTOR]; /* outlives a test that fails */

	(void)state;
	set_store(&vol, &stores[DEVICE]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_volume(&hung);
		set_store(&hung, &stores[DEVICE]);
		hung.hangs = cases[i].hangs;
		start_on_hung(HUNG_REQUESTS, cases[i].op, cases[i].durable, SECTOR);
		assert_true(waiting_becomes(&hung, HUNG_REQUESTS));
		assert_int_equal(run(REQUEST_READ, 0, SECTOR, data), OUTCOME_GOOD);
		end_on_hung(HUNG_REQUESTS);
	}
}

/* All that a LUN may have granted, each long enough to be split over every worker. */
static void a_hung_volume_leaves_threads_for_the_others(void **state)
{
	static uint8_t data[SECTOR]; /* outlives a test that fails */

	(void)state;
	pool_put();
	assert_int_equal(pool_get(8), 0);
	set_store(&vol, &stores[DEVICE]);
	make_volume(&hung);
	set_store(&hung, &stores[DEVICE]);
	hung.hangs = CALL_READ;
	start_on_hung(RANGE_GRANTED_MAX, REQUEST_READ, false, 1 << 20);
	assert_int_equal(run(REQUEST_READ, 0, SECTOR, data), OUTCOME_GOOD);
	assert_true(hung.waiting <= POOL_WAITING_MAX / 2);
	end_on_hung(RANGE_GRANTED_MAX);
}

int main(void)
{
#define FRESH(f) cmocka_unit_test_setup_teardown(f, fresh, stop)
#define ON(f, store)                                                                               \
	{                                                                                          \
#f " on " #store, f, fresh, stop, (void *)(uintptr_t)&stores[store]                \
	}
#define ON_EACH(f)                                                                                 \
	ON(f, MEMORY), ON(f, CACHE_FOR_READS), ON(f, DEVICE), ON(f, FULL_CACHE),                   \
		ON(f, PARTLY_CACHED)
	const struct CMUnitTest tests[] = {
		ON_EACH(what_is_written_is_read_at_every_size),
		ON_EACH(a_part_of_a_sector_is_merged_and_read),
		ON_EACH(verify_tells_the_first_difference),
		ON_EACH(write_and_verify_notices_a_lost_write),
		ON_EACH(compare_and_write_writes_only_what_compared),
		ON_EACH(or_write_sets_bits),
		ON_EACH(write_same_fills_far_more_than_a_slice),
		ON_EACH(write_same_stamps_the_address),
		ON_EACH(durable_reaches_every_piece),
		ON_EACH(each_failure_has_its_outcome),
		ON_EACH(a_volume_without_key_does_no_work),
		ON_EACH(each_step_of_a_part_of_a_sector_can_fail),
		ON_EACH(each_step_of_a_compound_can_fail),
		FRESH(nothing_to_do_is_good),
		cmocka_unit_test(a_split_covers_every_byte_once),
		cmocka_unit_test(a_split_changes_where_it_is_worth_it),
		FRESH(a_request_is_split_over_the_workers_that_are_free),
		FRESH(a_split_that_finds_no_memory_is_none),
		FRESH(without_memory_for_a_copy_nothing_is_changed),
		FRESH(a_small_read_or_write_is_done_at_once),
		FRESH(a_busy_main_thread_leaves_more_to_the_workers),
		FRESH(with_few_workers_more_stays_with_the_main_thread),
		FRESH(all_but_small_reads_and_writes_is_left_to_the_workers),
		FRESH(a_read_that_would_wait_is_left_to_the_workers),
		FRESH(a_write_is_not_begun_where_it_always_waits),
		FRESH(a_write_begun_at_once_is_ended_by_a_worker_and_encrypted_once),
		FRESH(a_write_begun_at_once_can_still_fail),
		FRESH(each_failure_at_once_has_its_outcome),
		FRESH(durable_writes_are_never_left_in_the_cache),
		FRESH(a_key_that_goes_during_a_write_leaves_old_or_new_sectors),
		FRESH(a_key_that_goes_during_a_read_fails_it),
		FRESH(a_durable_read_flushes_first_or_fails),
		FRESH(a_prefetch_asks_for_its_range_once),
		FRESH(a_request_that_fails_without_work_is_done_later),
		FRESH(what_waits_for_a_device_holds_up_no_other),
		FRESH(a_hung_volume_leaves_threads_for_the_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
