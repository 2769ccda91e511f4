/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Where a volume's ciphertext lies: an interface, because more kinds than files will follow.
 *
 * Offsets and lengths are bytes from the start of the store. Calls may come from several threads at
 * once; each blocks until it is done. Transfers are full or an error.
 */
#ifndef BS_CRYPT_STORE_H
#define BS_CRYPT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

struct store_flags {
	bool read_only;
	bool shared;  /* other openers of the same store are allowed, if they share, too */
	bool sync;    /* every write is durable when it returns, as O_DSYNC */
	bool direct;  /* past the page cache, as O_DIRECT */
	bool discard; /* store_discard() will be asked for */
};

struct store_ops {
	int (*read)(struct store *s, void *buf, size_t len, uint64_t offset);
	int (*read_now)(struct store *s, void *buf, size_t len, uint64_t offset);
	int (*write_now)(struct store *s, const void *buf, size_t len, uint64_t offset);
	bool (*writes_now)(struct store *s);
	int (*write)(struct store *s, const void *buf, size_t len, uint64_t offset, bool durable);
	int (*flush)(struct store *s);
	int (*prefetch)(struct store *s, uint64_t len, uint64_t offset);
	int (*measure)(struct store *s);
	bool (*discards)(struct store *s);
	int (*discard)(struct store *s, uint64_t len, uint64_t offset);
	int (*map)(struct store *s, uint64_t offset, uint64_t *end, bool *hole);
	void (*close)(struct store *s);
};

struct store {
	const struct store_ops *ops;
	uint64_t size_bytes; /* when it was measured last */
	uint32_t io_bytes;   /* preferred transfer size, for the LUN's physical block exponent */
	/* What transfers must be multiples of, in place, length and memory: 1, or O_DIRECT's demand. */
	uint32_t align_bytes;
	uint32_t discard_bytes; /* what space is given back in; 0: not known */
	int fd;                 /* to read the LUKS2 header through */
};

/*
 * Opens the file or block device at path. The caller owns *store. -EBUSY: somebody else has it
 * open as a volume; -EACCES and -EROFS: try read_only; -EINVAL: neither file nor block device;
 * -EOPNOTSUPP: direct is not possible there.
 */
int store_open_file(const char *path, struct store_flags flags, struct store **store)
	__attribute__((warn_unused_result));

/* 0 or -errno; -ENODATA when the store ends before len bytes. */
static inline int store_read(struct store *s, void *buf, size_t len, uint64_t offset)
{
	return s->ops->read(s, buf, len, offset);
}

/*
 * As store_read() and a store_write() that is not durable, but never wait for a device: -EAGAIN when
 * they would have to, or cannot tell. Nothing is said of the buffer, or of the range, then: the call
 * is to be repeated as store_read() or store_write(). A file in a tmpfs counts as memory, also where
 * the tmpfs may be swapped out (tmpfs(5), noswap).
 */
static inline int store_read_now(struct store *s, void *buf, size_t len, uint64_t offset)
{
	return s->ops->read_now(s, buf, len, offset);
}

static inline int store_write_now(struct store *s, const void *buf, size_t len, uint64_t offset)
{
	return s->ops->write_now(s, buf, len, offset);
}

/* False when store_write_now() is known to give -EAGAIN always. */
static inline bool store_writes_now(struct store *s)
{
	return s->ops->writes_now(s);
}

/*
 * durable: on the medium when it returns (FUA). 0 or -errno (-ENOSPC, -EDQUOT: no room). After a
 * failed flush or durable write every durable write fails with -EIO, like every flush.
 */
static inline int store_write(
	struct store *s, const void *buf, size_t len, uint64_t offset, bool durable)
{
	return s->ops->write(s, buf, len, offset, durable);
}

/*
 * Makes every completed write durable. Once it has failed it fails until the store is opened again:
 * the kernel reports a lost page once only, and what was lost must never be called safe.
 */
static inline int store_flush(struct store *s)
{
	return s->ops->flush(s);
}

/* Asks for the range to be read ahead. 0 or -errno. */
static inline int store_prefetch(struct store *s, uint64_t len, uint64_t offset)
{
	return s->ops->prefetch(s, len, offset);
}

/* Sets size_bytes anew, which nobody else may be reading. 0 or -errno. */
static inline int store_measure(struct store *s)
{
	return s->ops->measure(s);
}

/* False when store_discard() is known to fail always: the file system or the device cannot. */
static inline bool store_discards(struct store *s)
{
	return s->ops->discards(s);
}

/*
 * Gives the range's space back as far as it fills units of the store, and makes all of it read as
 * zeros. Offset and length are whole sectors. 0 or -errno (-ENOSPC: no room to split what is stored);
 * after an error the range is in part as it was.
 */
static inline int store_discard(struct store *s, uint64_t len, uint64_t offset)
{
	return s->ops->discard(s, len, offset);
}

/*
 * Whether there is a hole or data at offset, and in *end the byte where that ends, which may lie behind
 * the end of the store. A store that cannot tell has data everywhere. 0 or -errno.
 */
static inline int store_map(struct store *s, uint64_t offset, uint64_t *end, bool *hole)
{
	return s->ops->map(s, offset, end, hole);
}

/* Closes and frees. NULL is allowed. No call may be under way. */
static inline void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

#endif
