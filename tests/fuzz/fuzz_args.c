/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyadm's command line: one argument in each line. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "../../keyd/keyadm/keyadm_args.h"

enum { ARGUMENTS_MAX = 32 };

static void check_size(const char *text)
{
	uint64_t bytes = 0;

	if (!keyadm_parse_size(text, 4096, &bytes))
		FUZZ_ASSERT(bytes >= 1 << 20 && bytes <= UINT64_C(1) << 62 && bytes % 4096 == 0);
}

static void check_args(const struct keyadm_args *args)
{
	FUZZ_ASSERT(args->words <= KEYADM_WORDS_MAX);
	for (size_t i = 0; i < args->words; i++)
		FUZZ_ASSERT(args->word[i]);
	if (args->option[OPT_SIZE])
		check_size(args->option[OPT_SIZE]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *argv[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t) "keyadm"};
	struct keyadm_args args;
	int argc = 1;

	char *text = malloc(len + 1), *rest = text, *argument;
	FUZZ_ASSERT(text);
	memcpy(text, data, len);
	text[len] = '\0';
	check_size(text);
	while (argc < ARGUMENTS_MAX && (argument = strsep(&rest, "\n")))
		argv[argc++] = argument;
	if (keyadm_args_parse(&args, argc, argv))
		FUZZ_ASSERT(args.error[0] && memchr(args.error, 0, sizeof(args.error)));
	else
		check_args(&args);
	free(text);
	return 0;
}
