/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

/* tgtd's own log; absent when the plugin's parts run in a unit test. */
extern void log_error(const char *fmt, ...) __attribute__((weak, format(printf, 1, 2)));
extern void log_warning(const char *fmt, ...) __attribute__((weak, format(printf, 1, 2)));

typedef void log_fn(const char *fmt, ...);

static void report(log_fn *log, const char *fmt, va_list ap)
{
	char said[256], line[4 * sizeof(said)]; /* paths, and what peers say */

	(void)vsnprintf(said, sizeof(said), fmt, ap);
	text_escape(line, sizeof(line), said);
	if (log)
		log("bs_crypt: %s\n", line);
	else
		(void)fprintf(stderr, "bs_crypt: %s\n", line);
}

void report_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(log_error, fmt, ap);
	va_end(ap);
}

void report_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(log_warning, fmt, ap);
	va_end(ap);
}
