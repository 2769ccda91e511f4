/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What is in the audit log is told to the system, too: to the journal, with fields, and to the Linux
 * audit subsystem. Both are copies for people and programs that look there; the log is the record, so
 * what cannot be told is told to nobody and refuses nothing.
 */
#ifndef KEYD_PUBLISH_H
#define KEYD_PUBLISH_H

#include <stdint.h>

struct audit_event;

/* Until this was called nothing is published. */
void publish_open(void);

/* A durable record, its number and hash. Waits for nobody. One thread, always the same. */
void publish_record(const struct audit_event *event, uint64_t seq, const char *hash);

/* What is on its way is given a second. */
void publish_close(void);

#endif
