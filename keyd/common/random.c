/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

#include <openssl/rand.h>

int random_fill(void *to, size_t len_bytes)
{
	uint8_t *at = to;

	while (len_bytes) {
		ssize_t n = getrandom(at, len_bytes, 0);
		if (n <= 0) {
			if (n < 0 && errno == EINTR)
				continue;
			return n < 0 ? -errno : -EIO;
		}
		at += n;
		len_bytes -= (size_t)n;
	}
	return 0;
}

static int fill(unsigned char *to, int len_bytes)
{
	return len_bytes >= 0 && !random_fill(to, (size_t)len_bytes);
}

static int is_ready(void)
{
	return 1;
}

/*
 * OpenSSL 3 cannot have its SEED-SRC as the generator that it draws from, and a generator from a provider
 * would not reach library contexts that others make. The older interface does both.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
int random_for_openssl(void)
{
	static const RAND_METHOD kernel = {.bytes = fill, .pseudorand = fill, .status = is_ready};

	return RAND_set_rand_method(&kernel) == 1 ? 0 : -EIO;
}
#pragma GCC diagnostic pop
