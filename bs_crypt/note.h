/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Lines for tgtd's log from threads other than its main one, which writes them (report.h): a log that
 * stalls must not stall the thread that wipes keys.
 */
#ifndef BS_CRYPT_NOTE_H
#define BS_CRYPT_NOTE_H

/*
 * Has report (report_error or report_info) called on the main thread with the line, in the order of
 * the calls. Any thread; never blocks. A line for which there is no memory is lost.
 */
void note(void (*report)(const char *fmt, ...), const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
