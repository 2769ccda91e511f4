/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What the calls do and say; the contracts are in fake_volume.h. */
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

#include "busy.h"
#include "fake_volume.h"

struct volume vol, hung;
bool no_memory;

int posix_memalign(void **memory, size_t alignment, size_t len)
{
	int (*real)(void **, size_t, size_t);

	*(void **)&real = dlsym(RTLD_NEXT, "posix_memalign");
	return no_memory ? ENOMEM : real(memory, alignment, len);
}

#if CALLOC_CAN_FAIL
void *__libc_calloc(size_t count, size_t len);

void *calloc(size_t count, size_t len)
{
	return no_memory && len == sizeof(struct request_piece) ? NULL : __libc_calloc(count, len);
}
#endif

bool main_thread_is_busy, clients_are_many;

bool busy_lately(void)
{
	return main_thread_is_busy;
}

bool busy_with_many(void)
{
	return clients_are_many;
}

uint32_t volume_sector_bytes(const struct volume *v)
{
	(void)v;
	return SECTOR;
}

uint64_t volume_size_bytes(const struct volume *v)
{
	(void)v;
	return MEDIUM_BYTES;
}

int volume_status(struct volume *v)
{
	if (v->status_ends_at && v->discarded_bytes >= v->status_ends_at)
		return -EAGAIN;
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

static bool hit(const struct volume *v, uint64_t len, uint64_t offset)
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

int volume_discard(struct volume *v, uint64_t len, uint64_t offset)
{
	if (v->discard && hit(v, len, offset))
		return v->discard;
	v->discarded_bytes += len;
	for (uint64_t at = offset; at < offset + len && at < MEDIUM_BYTES; at++)
		v->medium[at] = KEY;
	return 0;
}

int volume_map(struct volume *v, uint64_t offset, uint64_t *end, bool *hole)
{
	*hole = offset >= v->hole_first && offset < v->hole_end;
	*end = *hole ? v->hole_end : offset < v->hole_first ? v->hole_first : MEDIUM_BYTES;
	return v->map;
}

/* The main thread's loop. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct completion *posted;
unsigned posts, dones;

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

void unhang(struct volume *v)
{
	pthread_mutex_lock(&lock);
	v->hangs = 0;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

bool waiting_becomes(struct volume *v, unsigned count)
{
	pthread_mutex_lock(&lock);
	while (v->waiting != count && wait_changed())
		;
	bool reached = v->waiting == count;
	pthread_mutex_unlock(&lock);
	return reached;
}

void complete(unsigned count)
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

void on_done(struct request *r)
{
	(void)r;
	dones++;
}

struct request req;

void set_request(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data)
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

enum outcome start_and_wait(void)
{
	dones = posts = 0;
	request_start(&req);
	assert_int_equal(dones, 0); /* never from within */
	complete(1);
	assert_int_equal(dones, 1);
	assert_int_equal(posts, 1);
	return req.outcome;
}

enum outcome run(enum request_op op, uint64_t offset, uint64_t len, uint8_t *data)
{
	set_request(op, offset, len, data);
	return start_and_wait();
}

uint8_t *pattern(size_t len, unsigned seed)
{
	uint8_t *data = malloc(len);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)rand_r(&seed);
	return data;
}

void assert_plain(const uint8_t *expected, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(vol.medium[offset + i] ^ KEY, expected[i]);
}

void make_volume(struct volume *v)
{
	memset(v, 0, sizeof(*v));
	memset(v->medium, KEY, sizeof(v->medium)); /* reads as zeros */
}

const struct store_nature stores[STORES] = {
	[MEMORY] = {UINT64_MAX, UINT64_MAX, 0, false},
	[CACHE_FOR_READS] = {UINT64_MAX, 0, 0, true},
	[DEVICE] = {0, 0, 0, true},
	[FULL_CACHE] = {0, 0, 1000, false},
	[PARTLY_CACHED] = {300 * KIB, 200 * KIB, 70000, false},
};

void set_store(struct volume *v, const struct store_nature *nature)
{
	v->read_now_ends_at = nature->read_now_ends_at;
	v->write_now_ends_at = nature->write_now_ends_at;
	v->takes_at_once = nature->takes_at_once;
	v->never_writes_now = nature->never_writes_now;
}

int fresh(void **state)
{
	make_volume(&vol);
	set_store(&vol, *state ? *state : &stores[MEMORY]);
	memset(&req, 0, sizeof(req));
	no_memory = false;
	posted = NULL;
	return pool_get(WORKERS);
}

int stop(void **state)
{
	(void)state;
	unhang(&vol);
	unhang(&hung);
	pool_put();
	return 0;
}
