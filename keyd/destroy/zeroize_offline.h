/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd --zeroize: what zeroize.h does, for a store that no keyd serves, be it damaged or locked. */
#ifndef KEYD_ZEROIZE_OFFLINE_H
#define KEYD_ZEROIZE_OFFLINE_H

#include "config.h"

/* 0 when every key is erased and nobody may hold one any more, else -errno. Both are told in one line. */
int zeroize_offline(const struct config *config) __attribute__((warn_unused_result));

#endif
