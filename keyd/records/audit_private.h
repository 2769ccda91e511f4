/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Between the files of the audit log. */
#ifndef KEYD_AUDIT_PRIVATE_H
#define KEYD_AUDIT_PRIVATE_H

#include "audit.h"

/* audit_append() without the counts that come before it. */
int audit_append_now(struct audit *audit, const struct audit_event *event)
	__attribute__((warn_unused_result));

#endif
