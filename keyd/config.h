/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd.conf(5): where keyd keeps and finds things, and who may do what. */
#ifndef KEYD_CONFIG_H
#define KEYD_CONFIG_H

#include <stdbool.h>

#include "custody.h"
#include "log.h"
#include "policy.h"

#define CONFIG_DEFAULT_FILE         "/etc/keyd/keyd.conf"
#define CONFIG_DEFAULT_STATE        "/var/lib/keyd"
#define CONFIG_DEFAULT_SOCKET       "/run/keyd/keyd.sock"
#define CONFIG_DEFAULT_ADMIN_SOCKET "/run/keyd/admin.sock"

enum {
	CONFIG_NV_INDEX_MIN =
		0x01800000, /* TCG registry of reserved TPM 2.0 handles: the owner's */
	CONFIG_NV_INDEX_MAX = 0x01bfffff,
	CONFIG_PCR_MAX = 23,
};

enum {
	CONFIG_REVOKE_TIMEOUT_S = 5,
	CONFIG_REVOKE_TIMEOUT_S_MAX = 600,
	CONFIG_APPROVAL_TIMEOUT_S = 3600,
	CONFIG_APPROVAL_TIMEOUT_S_MAX = 30 * 24 * 3600,
	CONFIG_ERROR_BYTES = 512,
	CONFIG_SANDBOX_PATHS_MAX = 16,
};

enum sandbox_mode {
	SANDBOX_NO,
	SANDBOX_YES,      /* as far as the kernel can */
	SANDBOX_REQUIRED, /* or keyd does not start */
};

struct config {
	char *state; /* this and the next two: owned */
	char *socket;
	char *admin_socket;
	enum log_level log_level;
	int revoke_timeout_s;
	enum sandbox_mode sandbox;
	bool sandbox_network; /* may make connections: sandbox.h */
	char *sandbox_paths
		[CONFIG_SANDBOX_PATHS_MAX]; /* each owned: may be read and written, too */
	size_t sandbox_path_count;
	int approval_timeout_s; /* from asking until the second administrator agrees, and from then until it is done */
	int emergency; /* 1: one may destroy at once, without approval and delay; 0; -1: not said */
	bool kill_unresponsive; /* a tgtd that does not answer a destruction */
	struct policy policy;
	struct custody_config custody;
};

/* The built-in values; the policy is policy_set_default()'s for uid self. 0 or -ENOMEM. */
int config_init(struct config *config, uid_t self) __attribute__((warn_unused_result));

/*
 * Reads file into config, whose policy then says exactly what the file says. 0; -ENOENT when there is
 * no file; -EINVAL or another -errno with one line in error ("FILE:LINE: what"). Anything unknown,
 * given twice, too long or out of range is an error.
 */
int config_read(struct config *config, const char *file, char error[CONFIG_ERROR_BYTES])
	__attribute__((warn_unused_result));

/*
 * The same, but takes every line that it understands, and returns the first error of the others: for
 * zeroizing, which must not wait for somebody to repair the file. Its policy must not be relied on.
 */
int config_read_past_errors(struct config *config, const char *file, char error[CONFIG_ERROR_BYTES])
	__attribute__((warn_unused_result));

/*
 * Whether one security administrator may leave out approval and delay for level, or for everything (NULL). Unless
 * the file says, not where destroying needs approval.
 */
bool config_allows_emergency(const struct config *config, const char *level);

/* Replaces an owned string. 0 or -ENOMEM. */
int config_set(char **field, const char *value) __attribute__((warn_unused_result));

void config_clear(struct config *config);

#endif
