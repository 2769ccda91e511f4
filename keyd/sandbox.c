/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "log.h"

bool sandbox_has_network(const struct config *config)
{
	const char *tcti = config->custody.tpm2_tcti;

	return config->sandbox_network ||
	       (tcti && (!strncmp(tcti, "swtpm", 5) || !strncmp(tcti, "mssim", 5)) &&
		       !strstr(tcti, "path="));
}

/* What cannot be had: an error with sandbox = required, else a warning and 0. */
static int missing(const struct config *config, const char *what, int rc)
{
	bool required = config->sandbox == SANDBOX_REQUIRED;

	log_at(required ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "%s: %s%s", what, strerror(-rc),
		required ? ": sandbox = required in keyd.conf(5)" : ": keyd goes on without");
	return required ? rc : 0;
}

int sandbox_enter(const struct config *config)
{
	if (config->sandbox == SANDBOX_NO) {
		log_warning("not confined: sandbox = no");
		return 0;
	}
	sandbox_libraries(config);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return missing(config, "cannot give up new privileges", -errno);
	int abi = sandbox_files(config);
	if (abi < 0) {
		int rc = missing(config, "cannot confine files with Landlock", abi);
		if (rc)
			return rc;
	}
	/* Last: the calls that confine are not among those that are allowed. */
	int rc = sandbox_calls(config);
	if (rc)
		return missing(config, "cannot confine system calls with seccomp", rc);
	if (abi > 0)
		log_info("confined: system calls by seccomp, files by Landlock (ABI %d)", abi);
	return 0;
}
