/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyadm zeroize: asking first, and doing it where keyd does not run. */
#ifndef KEYD_KEYADM_ZEROIZE_H
#define KEYD_KEYADM_ZEROIZE_H

#include "keyadm_args.h"

/* Has "zeroize" typed. 0 to go ahead, or a negative errno whose reason has been told; as keyadm_confirm(). */
int keyadm_zeroize_confirm(void) __attribute__((warn_unused_result));

/* Becomes keyd --zeroize, of the keyd beside this keyadm. Returns only on failure: -errno, told. */
int keyadm_zeroize_offline(const struct keyadm_args *args) __attribute__((warn_unused_result));

#endif
