/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The plugin's options of a LUN: what is taken is within its bounds, what is refused has a reason. */
#include "fuzz.h"

#include <string.h>

#include "../../bs_crypt/opts.h"

static void check(const struct opts *opts)
{
	FUZZ_ASSERT(memchr(opts->level, 0, sizeof(opts->level)));
	FUZZ_ASSERT(memchr(opts->keyd, 0, sizeof(opts->keyd)) && opts->keyd[0] == '/');
	FUZZ_ASSERT(memchr(opts->engine, 0, sizeof(opts->engine)));
	FUZZ_ASSERT(opts->threads <= OPTS_THREADS_MAX);
	FUZZ_ASSERT(opts->grace_s >= 0 && opts->grace_s <= OPTS_GRACE_MAX_S);
	FUZZ_ASSERT(opts->client_timeout_s <= OPTS_CLIENT_TIMEOUT_MAX_S);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char why[128] = "";
	struct opts opts;

	char *text = malloc(len + 1);
	FUZZ_ASSERT(text);
	memcpy(text, data, len);
	text[len] = '\0';
	if (opts_parse(text, &opts, why, sizeof(why)))
		FUZZ_ASSERT(why[0]);
	else
		check(&opts);
	free(text);
	return 0;
}
