/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyd.conf: taken or refused with one line that names the place. */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../keyd/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char path[32], error[CONFIG_ERROR_BYTES];
	struct config config;

	int fd = memfd_create("keyd.conf", MFD_CLOEXEC);
	FUZZ_ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FUZZ_ASSERT(!config_init(&config, 1000));
	if (config_read(&config, path, error)) {
		FUZZ_ASSERT(!strncmp(error, path, strlen(path)) && memchr(error, 0, sizeof(error)));
		FUZZ_ASSERT(!strchr(error, '\n'));
	} else {
		FUZZ_ASSERT(config.state[0] == '/' && config.socket[0] == '/');
		FUZZ_ASSERT(config.revoke_timeout_s >= 1);
		FUZZ_ASSERT(config.revoke_timeout_s <= CONFIG_REVOKE_TIMEOUT_S_MAX);
	}
	config_clear(&config);
	(void)close(fd);
	return 0;
}
