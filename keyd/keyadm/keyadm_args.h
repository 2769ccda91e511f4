/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* keyadm's command line, taken apart strictly. Pure functions. */
#ifndef KEYD_KEYADM_ARGS_H
#define KEYD_KEYADM_ARGS_H

#include <stddef.h>
#include <stdint.h>

enum keyadm_option {
	OPT_ADMIN_SOCKET,
	OPT_JSON,
	OPT_HELP,
	OPT_CUSTODY,
	OPT_LEVEL,
	OPT_SIZE,
	OPT_SECTOR_SIZE,
	OPT_CIPHER,
	OPT_FORCE,
	OPT_SPARSE,
	OPT_OUT,
	OPT_YES,
	OPT_VERIFY,
	OPT_PASSPHRASE_FD,
	OPT_PIN,
	OPT_HEAD,
	OPT_PRINT_HEAD,
	OPT_KEY,
	OPT_EMERGENCY,
	OPT_ALL,
	OPT_CONFIG,
	OPT_STATE,
	OPT_RECIPIENT,
	OPT_SPLIT,
	OPT_SHARE,
	OPT_COUNT,
};

#define OPT_BIT(option) (1u << (option))

enum { KEYADM_WORDS_MAX = 4, KEYADM_REPEATS_MAX = 16, KEYADM_ERROR_BYTES = 256 };

struct keyadm_args {
	const char *option[OPT_COUNT]; /* the value, "" for a flag, NULL if not given */
	const char
		*repeated[KEYADM_REPEATS_MAX]; /* all values of the option that may be repeated */
	size_t repeats;                        /* no command has two such options */
	const char *word[KEYADM_WORDS_MAX];    /* what is no option, in order */
	size_t words;
	char error[KEYADM_ERROR_BYTES]; /* what is wrong, if anything is */
};

/*
 * Takes argv[1..argc) apart: --name VALUE, --name=VALUE, flags, words; "--" ends the options. Names are
 * not abbreviated. 0, or -EINVAL with args->error set. The strings stay argv's.
 */
int keyadm_args_parse(struct keyadm_args *args, int argc, char *const argv[])
	__attribute__((warn_unused_result));

/* "--name" of an option. Static storage. */
const char *keyadm_option_name(enum keyadm_option option);

#define KEYADM_SIZE_FORMS                                                                          \
	"bytes, or a number such as 10G, 10GiB or 1.5T (powers of 1024) or 10GB (powers of 1000)"

/*
 * A volume size: KEYADM_SIZE_FORMS. A fraction has 1 to 6 digits and needs a unit. 0, -EINVAL (not such a text),
 * -ERANGE (below 1 MiB or above 2^62 bytes), -EDOM (not a whole number of sectors of sector_bytes).
 */
int keyadm_parse_size(const char *text, uint32_t sector_bytes, uint64_t *size_bytes)
	__attribute__((warn_unused_result));

#endif
