/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#ifndef KEYD_VERSION_H
#define KEYD_VERSION_H

#define KEYD_VERSION "0.1.0"

#endif
