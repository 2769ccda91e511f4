/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What options of a LUN set for the whole tgtd, because it cannot be had for less: how malloc(3)
 * treats the data buffers of commands, whether they are wiped, and how long a client may leave data unread. Main thread only, but for what says otherwise.
 */
#ifndef BS_CRYPT_PROCESS_H
#define BS_CRYPT_PROCESS_H

#include <stdbool.h>

/*
 * Has malloc(3) keep freed buffers of commands for the next ones. By default glibc maps and unmaps
 * each one of 128 KiB and more, whose page faults take longer than the I/O. The heap then stays as
 * large as it once was, up to 1 GiB of free memory at its end. Stays for the life of the process.
 */
void process_tune_malloc(void);

/*
 * From now on freed memory of the heap is overwritten as it is freed (M_PERTURB, mallopt(3)), and with it
 * what clients read and wrote, once tgtd has sent it or is done with it. glibc leaves out what a thread
 * keeps for itself, a few blocks of up to 1 KiB: see process_scrub_cached(). Stays for the life of the
 * process. 0, or -ENOSYS when malloc(3) does not do it.
 */
int process_scrub(void) __attribute__((warn_unused_result));

/* process_scrub() was called and succeeded. Any thread. */
bool process_scrubs(void);

/*
 * Has the main thread overwrite the free blocks that its malloc(3) keeps for itself, as soon as it gets
 * to it. Nothing without process_scrub(). Any thread.
 */
void process_scrub_cached(void);

/*
 * Connections of clients, the present and later ones of the present portals, end when data for them has not been taken for
 * seconds (TCP_USER_TIMEOUT, tcp(7)), a client that answers but does not read included: tgtd waits
 * for one in its only loop, and every other client with it. 0 or -errno; -EBUSY when the process has
 * another time already.
 */
int process_limit_clients(unsigned seconds) __attribute__((warn_unused_result));

/* The time that holds, in seconds; 0 without one. */
unsigned process_client_timeout(void);

#endif
