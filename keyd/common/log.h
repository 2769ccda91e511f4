/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * One line a message on stderr, with sd-daemon(3)'s priority prefix when stderr is the journal.
 * Thread-safe. Never given a secret.
 */
#ifndef KEYD_LOG_H
#define KEYD_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Messages above level are dropped. Default: info. */
void log_set_level(enum log_level level);

/* Level for "error", "warning", "info", "debug"; -EINVAL for anything else. */
int log_parse_level(const char *name) __attribute__((warn_unused_result));

void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
