/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "keyadm_target.h"

#define DIGITS "0123456789"

enum { FRACTION_DIGITS_MAX = 6 };

static const struct {
	const char *name;
	bool has_value;
} options[OPT_COUNT] = {
	[OPT_ADMIN_SOCKET] = {"--admin-socket", true},
	[OPT_JSON] = {"--json", false},
	[OPT_HELP] = {"--help", false},
	[OPT_CUSTODY] = {"--custody", true},
	[OPT_PIN] = {"--pin", false},
	[OPT_LEVEL] = {"--level", true},
	[OPT_SIZE] = {"--size", true},
	[OPT_SECTOR_SIZE] = {"--sector-size", true},
	[OPT_CIPHER] = {"--cipher", true},
	[OPT_FORCE] = {"--force", false},
	[OPT_SPARSE] = {"--sparse", false},
	[OPT_OUT] = {"--out", true},
	[OPT_YES] = {"--yes", false},
	[OPT_VERIFY] = {"--verify", false},
	[OPT_PASSPHRASE_FD] = {"--passphrase-fd", true},
	[OPT_HEAD] = {"--head", true},
	[OPT_PRINT_HEAD] = {"--print-head", false},
	[OPT_KEY] = {"--key", true},
	[OPT_EMERGENCY] = {"--emergency", false},
	[OPT_ALL] = {"--all", false},
	[OPT_CONFIG] = {"--config", true},
	[OPT_STATE] = {"--state", true},
	[OPT_RECIPIENT] = {"--recipient", true},
	[OPT_SPLIT] = {"--split", true},
	[OPT_SHARE] = {"--share", true},
};

/* May be given several times. */
static bool repeats(size_t option)
{
	return option == OPT_RECIPIENT || option == OPT_SHARE;
}

const char *keyadm_option_name(enum keyadm_option option)
{
	return options[option].name;
}

static int bad(struct keyadm_args *args, const char *what, const char *arg)
{
	(void)snprintf(args->error, sizeof(args->error), "%s: %s", what, arg);
	return -EINVAL;
}

static int take_word(struct keyadm_args *args, const char *word)
{
	if (args->words == KEYADM_WORDS_MAX)
		return bad(args, "too many arguments, from this one on", word);
	args->word[args->words++] = word;
	return 0;
}

/* arg is "--name" or "--name=value"; *used becomes 1 if next was its value. */
static int take_option(struct keyadm_args *args, const char *arg, const char *next, int *used)
{
	size_t name_len = strcspn(arg, "=");
	const char *value = arg[name_len] ? arg + name_len + 1 : NULL;
	size_t i = 0;

	*used = 0;
	while (i < OPT_COUNT && (strlen(options[i].name) != name_len ||
					strncmp(options[i].name, arg, name_len) != 0))
		i++;
	if (i == OPT_COUNT)
		return bad(args, "unknown option", arg);
	if (args->option[i] && !repeats(i))
		return bad(args, "option given twice", arg);
	if (repeats(i) && args->repeats == KEYADM_REPEATS_MAX)
		return bad(args, "option given too often", arg);
	if (!options[i].has_value) {
		args->option[i] = "";
		return value ? bad(args, "option takes no value", arg) : 0;
	}
	if (!value) {
		value = next;
		*used = 1;
	}
	if (!value || !*value)
		return bad(args, "option needs a value", arg);
	args->option[i] = value;
	if (repeats(i))
		args->repeated[args->repeats++] = value;
	return 0;
}

int keyadm_args_parse(struct keyadm_args *args, int argc, char *const argv[])
{
	bool options_end = false;

	*args = (struct keyadm_args){.words = 0};
	for (int i = 1; i < argc; i++) {
		int used = 0, err;
		if (options_end || argv[i][0] != '-' || !argv[i][1]) {
			err = take_word(args, argv[i]);
		} else if (!strcmp(argv[i], "--")) {
			options_end = true;
			err = 0;
		} else {
			err = take_option(args, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used);
		}
		if (err)
			return err;
		i += used;
	}
	return 0;
}

/* The bytes of the unit that suffix stands for, 0 if it stands for none. */
static uint64_t unit_bytes(const char *suffix)
{
	static const char units[] = "KMGT";

	if (!*suffix)
		return 1;
	const char *unit = strchr(units, *suffix == 'k' && suffix[1] == 'B' ? 'K' : *suffix);
	if (!unit || (suffix[1] && strcmp(suffix + 1, "B") != 0 && strcmp(suffix + 1, "iB") != 0))
		return 0;
	uint64_t bytes = 1;
	for (const char *u = units; u <= unit; u++)
		bytes *= !strcmp(suffix + 1, "B") ? 1000 : 1024;
	return bytes;
}

/* Digits only; 0 or -ERANGE. */
static int parse_digits(const char *text, size_t digits, uint64_t *value)
{
	*value = 0;
	for (size_t i = 0; i < digits; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');
		if (*value > (VOLUME_BYTES_MAX - digit) / 10)
			return -ERANGE;
		*value = *value * 10 + digit;
	}
	return 0;
}

/* The digits behind the point as so many bytes of the unit. -EDOM: they are no whole number of bytes. */
static int parse_fraction(const char *text, size_t digits, uint64_t unit, uint64_t *bytes)
{
	uint64_t value, parts = 1;

	*bytes = 0;
	if (!digits)
		return 0;
	if (digits > FRACTION_DIGITS_MAX || unit == 1)
		return -EINVAL;
	(void)parse_digits(text, digits, &value);
	for (size_t i = 0; i < digits; i++)
		parts *= 10;
	if (value * unit % parts) /* below 10^6 times 2^40 */
		return -EDOM;
	*bytes = value * unit / parts;
	return 0;
}

int keyadm_parse_size(const char *text, uint32_t sector_bytes, uint64_t *size_bytes)
{
	size_t digits = strspn(text, DIGITS);
	bool has_point = text[digits] == '.';
	const char *behind = text + digits + has_point;
	size_t fraction_digits = has_point ? strspn(behind, DIGITS) : 0;
	uint64_t unit = unit_bytes(behind + fraction_digits), whole, fraction;

	if (!digits || !unit || (has_point && !fraction_digits))
		return -EINVAL;
	int err = parse_digits(text, digits, &whole);
	if (!err)
		err = parse_fraction(behind, fraction_digits, unit, &fraction);
	if (err)
		return err;
	if (whole > (VOLUME_BYTES_MAX - fraction) / unit)
		return -ERANGE;
	uint64_t value = whole * unit + fraction;
	if (value < VOLUME_BYTES_MIN)
		return -ERANGE;
	if (value % sector_bytes)
		return -EDOM;
	*size_bytes = value;
	return 0;
}
