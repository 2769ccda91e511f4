/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "label.h"

#include <selinux/selinux.h>
#include <stddef.h>

bool label_is_enabled(void)
{
	return is_selinux_enabled() == 1;
}

bool label_is_valid(const char *context)
{
	return !label_is_enabled() || !security_check_context(context);
}

bool label_dominates(const char *peer, const char *required)
{
	struct av_decision decision;

	if (!peer || !label_is_enabled())
		return false;
	security_class_t class = string_to_security_class("context");
	access_vector_t contains = class ? string_to_av_perm(class, "contains") : 0;
	if (!contains || security_compute_av(peer, required, class, contains, &decision))
		return false;
	return (decision.allowed & contains) == contains;
}
