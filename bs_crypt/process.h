/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * What options of a LUN set for the whole tgtd, because it cannot be had for less: how malloc(3)
 * treats the data buffers of commands, and how long a client may leave data unread. Main thread only.
 */
#ifndef BS_CRYPT_PROCESS_H
#define BS_CRYPT_PROCESS_H

/*
 * Has malloc(3) keep freed buffers of commands for the next ones. By default glibc maps and unmaps
 * each one of 128 KiB and more, whose page faults take longer than the I/O. The heap then stays as
 * large as it once was, up to 1 GiB of free memory at its end. Stays for the life of the process.
 */
void process_tune_malloc(void);

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
