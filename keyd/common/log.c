/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

enum { LINE_BYTES_MAX = 2048 };

static const struct {
	const char *name;
	const char *journal_prefix; /* sd-daemon(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", "<3>"},
	[LOG_LEVEL_WARNING] = {"warning", "<4>"},
	[LOG_LEVEL_INFO] = {"info", "<6>"},
	[LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

static _Atomic int threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

int log_parse_level(const char *name)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcmp(name, levels[i].name))
			return (int)i;
	}
	return -EINVAL;
}

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of the journal's stream. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	if ((int)level > atomic_load(&threshold))
		return;

	/* One write(2), so that lines of several threads and processes do not mix. */
	char line[LINE_BYTES_MAX];
	int saved_errno = errno;
	int used = stderr_is_journal()
			   ? snprintf(line, sizeof(line), "%s", levels[level].journal_prefix)
			   : snprintf(line, sizeof(line), "keyd: %s: ", levels[level].name);
	size_t len = (size_t)used;

	/* What peers and files say may be in it. */
	char said[LINE_BYTES_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	text_escape(line + len, sizeof(line) - len - 1, said);
	len += strlen(line + len);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0) {
		/* Nowhere left to complain. */
	}
	errno = saved_errno;
}
