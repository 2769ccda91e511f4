/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyadm_format.h"
#include "keyadm_path.h"
#include "keyadm_target.h"
#include "reading.h"
#include "secret.h"

enum { ZEROS_BYTES = 4096 };

int keyadm_file_create(const char *path)
{
	int fd = keyadm_path_create(path, O_WRONLY, S_IRUSR | S_IWUSR);

	return fd == -EEXIST ? keyadm_refuse(fd, "%s exists: choose a new file", path) : fd;
}

int keyadm_file_write(int fd, const char *path, const void *bytes, size_t len_bytes)
{
	const uint8_t *from = bytes;

	while (len_bytes) {
		ssize_t n = write(fd, from, len_bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return keyadm_refuse(n ? -errno : -EIO, "%s cannot be written: %s", path,
				strerror(n ? errno : EIO));
		from += n;
		len_bytes -= (size_t)n;
	}
	return 0;
}

static int sync_folder(const char *path)
{
	char resolved[PROTO_PATH_BYTES];

	int err = target_resolve(path, true, resolved);
	if (err)
		return err;
	*(strrchr(resolved, '/') + 1) = '\0';
	int fd = open(resolved, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return keyadm_refuse(-errno, "%s: %s", resolved, strerror(errno));
	if (fsync(fd))
		err = keyadm_refuse(-errno, "%s: %s", resolved, strerror(errno));
	(void)close(fd);
	return err;
}

int keyadm_file_sync(int fd, const char *path)
{
	if (fsync(fd))
		return keyadm_refuse(-errno, "%s cannot be written: %s", path, strerror(errno));
	return sync_folder(path);
}

static void overwrite(int fd)
{
	static const uint8_t zeros[ZEROS_BYTES];
	struct stat st;

	if (fstat(fd, &st))
		return;
	for (off_t at = 0; at < st.st_size; at += ZEROS_BYTES) {
		off_t left = st.st_size - at;
		if (pwrite(fd, zeros, left < ZEROS_BYTES ? (size_t)left : ZEROS_BYTES, at) < 0)
			return;
	}
	(void)fsync(fd);
}

void keyadm_file_end(int fd, const char *path, int err)
{
	if (fd < 0)
		return;
	if (err) {
		overwrite(fd);
		(void)unlink(path);
	}
	(void)close(fd);
}

/* Memory for a file of known length, or for whatever a pipe may bring. */
static int read_open(int fd, const char *path, size_t cap_bytes, uint8_t **bytes, size_t *len_bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return keyadm_refuse(-errno, "%s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < cap_bytes)
		cap_bytes = (size_t)st.st_size;
	uint8_t *to = secret_alloc(cap_bytes + 1);
	if (!to)
		return keyadm_refuse(-errno, "cannot lock memory for %s: raise ulimit -l", path);
	ssize_t len = read_up_to(fd, to, cap_bytes + 1); /* more than allowed shows */
	int err = 0;
	if (len < 0)
		err = keyadm_refuse((int)len, "%s: %s", path, strerror((int)-len));
	else if (!len || (size_t)len > cap_bytes)
		err = keyadm_refuse(-EFBIG, "%s is %s", path, len ? "too long" : "empty");
	if (err) {
		secret_free(to);
		return err;
	}
	*bytes = to; /* caller owns it */
	*len_bytes = (size_t)len;
	return 0;
}

int keyadm_file_read(const char *path, size_t cap_bytes, uint8_t **bytes, size_t *len_bytes)
{
	if (!strcmp(path, "-"))
		return read_open(STDIN_FILENO, "standard input", cap_bytes, bytes, len_bytes);
	int fd = keyadm_path_read(path);
	if (fd < 0)
		return keyadm_refuse(fd, "%s: %s", path,
			fd == -EINVAL ? "neither a file nor a pipe" : strerror(-fd));
	int err = read_open(fd, path, cap_bytes, bytes, len_bytes);
	(void)close(fd);
	return err;
}
