/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "secret.h"

#ifndef SECRETMEM_MAGIC
#define SECRETMEM_MAGIC 0x5345434d
#endif

enum { SEALS = F_SEAL_GROW | F_SEAL_SHRINK };

/* Memory of memfd_secret(2) is always locked, and mlock(2) refuses it. */
static uint8_t *map(int fd, int lock)
{
	uint8_t *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return NULL;
	if (!(lock && mlock(page, PAGE_BYTES)) && !madvise(page, PAGE_BYTES, MADV_DONTDUMP) &&
		!madvise(page, PAGE_BYTES, MADV_DONTFORK))
		return page;
	int err = errno;
	(void)munmap(page, PAGE_BYTES);
	errno = err;
	return NULL;
}

/* Once it has a size, it keeps that for ever. -1: this kernel has none, or none is left. */
static int new_secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, PAGE_BYTES)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int new_sealed(void)
{
	int fd = memfd_create("keyd-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (ftruncate(fd, PAGE_BYTES) || fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL))) {
		int err = errno;
		(void)close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

uint8_t *page_new(int *fd)
{
	*fd = new_secret();
	uint8_t *page = *fd >= 0 ? map(*fd, 0) : NULL;
	if (page)
		return page;
	if (*fd >= 0)
		(void)close(*fd);
	*fd = new_sealed();
	page = *fd >= 0 ? map(*fd, 1) : NULL;
	if (!page && *fd >= 0) {
		int err = errno;
		(void)close(*fd);
		errno = err;
		*fd = -1;
	}
	return page;
}

uint8_t *page_map(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return NULL;
	int secret = fs.f_type == SECRETMEM_MAGIC;
	int seals = secret ? SEALS : fcntl(fd, F_GET_SEALS);
	if (st.st_size != PAGE_BYTES || seals < 0 || (seals & SEALS) != SEALS) {
		errno = EINVAL;
		return NULL;
	}
	return map(fd, !secret);
}

void page_free(uint8_t *page)
{
	if (!page)
		return;
	secret_wipe(page, PAGE_BYTES);
	(void)munmap(page, PAGE_BYTES);
}

void page_put(uint8_t *page, size_t at, const void *from, size_t len_bytes)
{
	memcpy(page + at, from, len_bytes);
}

void page_take(uint8_t *page, size_t at, void *to, size_t len_bytes)
{
	memcpy(to, page + at, len_bytes);
	secret_wipe(page + at, len_bytes);
}
