/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * Stands before tgt's iSCSI logins over TCP: a login whose names initiator.h does not take is refused (RFC 7143 11.13.5:
 * initiator error, missing parameter), before tgt has looked at it and whatever target it asks for. Up to ten refusals a
 * minute are in the log. Logins over RDMA (iSER) go another way in tgt and are not seen here.
 */
#ifndef BS_CRYPT_LOGIN_H
#define BS_CRYPT_LOGIN_H

/*
 * Takes one function of tgt's TCP transport over. Call once, when the library is loaded: before tgtd's main(), where it
 * is preloaded, or in tgtd's bs_init(). Where tgt is not as expected nothing is taken over, and one line in the log says
 * so. Main thread.
 */
void login_guard(void);

#endif
