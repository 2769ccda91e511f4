/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What the plugin tells the administrator: one line in tgtd's log, or on stderr outside tgtd.
 * Any thread. Never given a secret. tgt cuts a line at 255 characters: the cause comes first.
 */
#ifndef BS_CRYPT_REPORT_H
#define BS_CRYPT_REPORT_H

/* A request of the administrator was refused, or something needs attention. */
void report_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A change of state worth knowing: key obtained, suspended, destroyed, keyd away. */
void report_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
