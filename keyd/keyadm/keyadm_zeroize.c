/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_zeroize.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keyadm_format.h"

static const char keyd_name[] = "keyd";

enum { TYPED_BYTES = 16 };

int keyadm_zeroize_confirm(void)
{
	char typed[TYPED_BYTES] = "";

	if (!isatty(STDIN_FILENO))
		return keyadm_refuse(-ENOTTY, "nothing was destroyed: there is no terminal to ask "
					      "on; say --yes to zeroize unasked");
	(void)fputs("Zeroizing erases every key of the key store and makes the data of every level "
		    "unreadable for ever.\nType zeroize to go ahead: ",
		stderr);
	if (!fgets(typed, sizeof(typed), stdin))
		(void)fputc('\n', stderr);
	typed[strcspn(typed, "\n")] = '\0';
	if (!strcmp(typed, "zeroize"))
		return 0;
	return keyadm_refuse(-ECANCELED, "nothing was destroyed: that is not \"zeroize\"");
}

/* The keyd that was installed together with this program. */
static int find_keyd(char path[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - sizeof(keyd_name));
	if (len <= 0)
		return -ENOENT;
	path[len] = '\0';
	memcpy(strrchr(path, '/') + 1, keyd_name, sizeof(keyd_name));
	return access(path, X_OK) ? -errno : 0;
}

int keyadm_zeroize_offline(const struct keyadm_args *args)
{
	const char *argv[] = {keyd_name, "--zeroize", NULL, NULL, NULL, NULL, NULL};
	char path[PATH_MAX];
	size_t n = 2;

	if (args->option[OPT_CONFIG]) {
		argv[n++] = "--config";
		argv[n++] = args->option[OPT_CONFIG];
	}
	if (args->option[OPT_STATE]) {
		argv[n++] = "--state";
		argv[n++] = args->option[OPT_STATE];
	}
	int rc = find_keyd(path);
	if (!rc) {
		(void)fprintf(stderr, "keyadm: no keyd answers; running %s --zeroize\n", path);
		(void)execv(path, (char *const *)(uintptr_t)argv);
		rc = -errno;
	}
	return keyadm_refuse(rc,
		"nothing was destroyed: keyd does not run, and keyd --zeroize cannot be started: "
		"%s; run keyadm as keyd's user or root",
		strerror(-rc));
}
