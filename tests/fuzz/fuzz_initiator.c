/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The text of an initiator's login: what is let in shows as one word each in "tgtadm --op show", read as tgt reads it. */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "../../bs_crypt/initiator.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";

/* As tgt's text_key_find(): byte by byte, the first one counts. */
static const char *find(const char *text, size_t len, const char *key)
{
	while (true) {
		const char *start = text;
		for (; len > 0 && *text != '='; text++, len--)
			;
		if (!len)
			return NULL;
		size_t key_len = (size_t)(text - start);
		const char *value = ++text;
		len--;
		for (; len > 0 && *text; text++, len--)
			;
		if (!len)
			return NULL;
		text++;
		len--;
		if (key_len == strlen(key) && !memcmp(start, key, key_len))
			return value;
	}
}

static void check_word(const char *word, const char *others, size_t len_max)
{
	if (!word)
		return;
	FUZZ_ASSERT(strlen(word) <= len_max);
	for (; *word; word++)
		FUZZ_ASSERT(strchr(letters, *word) || strchr(others, *word));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct initiator_fault fault = {.why = NULL};

	char *text = malloc(len ? len : 1);
	FUZZ_ASSERT(text);
	memcpy(text, data, len);
	int rc = initiator_check(text, len, &fault);
	if (rc) {
		FUZZ_ASSERT(fault.key && fault.why && memchr(fault.shown, 0, sizeof(fault.shown)));
		for (const char *c = fault.shown; *c; c++)
			FUZZ_ASSERT(*c > ' ' && *c < 0x7f && *c != '"');
	} else {
		check_word(find(text, len, "InitiatorName"), ":", INITIATOR_NAME_BYTES_MAX);
		check_word(find(text, len, "InitiatorAlias"), "_", INITIATOR_ALIAS_BYTES_MAX);
	}
	free(text);
	return 0;
}
