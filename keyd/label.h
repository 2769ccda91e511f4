/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* SELinux labels of peers: the one place that knows libselinux. */
#ifndef KEYD_LABEL_H
#define KEYD_LABEL_H

#include <stdbool.h>

/* Where SELinux is off nobody has a label: whoever needs one is denied. */
bool label_is_enabled(void);

/* False when the running policy has no such context. True where SELinux is off: nobody can say. */
bool label_is_valid(const char *context);

/*
 * True when the loaded policy grants context:contains from peer (NULL: unknown, denied) on required: its MLS constraint is
 * that the range of the one dominates the other's (libselinux, security_compute_av(3)). What the policy says
 * counts, also where it is not enforced.
 */
bool label_dominates(const char *peer, const char *required);

#endif
