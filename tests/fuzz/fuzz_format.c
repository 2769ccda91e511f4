/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyadm's text for people, from any JSON that keyd might send. The first byte chooses the command. Nothing that
 * a terminal obeys comes out, and JSON for a terminal has the same values as before.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "../../keyd/common/text.h"
#include "../../keyd/keyadm/keyadm_format.h"
#include "../../keyd/keyadm/keyadm_ledger.h"
#include "../../keyd/keyadm/keyadm_requests.h"

static void (*const formats[])(FILE *out, struct json_object *answer) = {
	format_status,
	format_levels,
	format_level,
	format_volumes,
	format_volume,
	format_certificate,
	format_destruction,
	format_requests,
	format_export,
	format_import,
	format_ledger,
};
enum { FORMATS = sizeof(formats) / sizeof(formats[0]) };

/* Written down a second time: controls of ASCII and Latin-1, separators of lines, what changes the direction. */
static bool is_obeyed(const unsigned char *s)
{
	if (s[0] < 0x20 || s[0] == 0x7f)
		return s[0] != '\n';
	if (s[0] == 0xc2 || s[0] == 0xd8)
		return s[0] == 0xc2 ? s[1] < 0xa0 : s[1] == 0x9c;
	if (s[0] != 0xe2)
		return false;
	return (s[1] == 0x80 && (s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
	       (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

static void check_output(const char *text)
{
	FUZZ_ASSERT(text_is_utf8(text));
	for (; *text; text++)
		FUZZ_ASSERT(!is_obeyed((const unsigned char *)text));
}

/* Only of valid UTF-8: what is no character is replaced. */
static void check_json(const char *json, struct json_object *value)
{
	char *text = NULL;
	size_t text_len;

	FILE *out = open_memstream(&text, &text_len);
	FUZZ_ASSERT(out);
	format_json(out, json);
	FUZZ_ASSERT(!fclose(out));
	for (const char *s = text; *s; s++)
		FUZZ_ASSERT((unsigned char)*s >= 0x20 || strchr("\n\r\t", *s));
	if (value && text_is_utf8(json)) {
		struct json_object *again = json_tokener_parse(text);
		FUZZ_ASSERT(again);
		/* As text: NaN is not equal to itself. */
		char *before = strdup(json_object_to_json_string(value));
		FUZZ_ASSERT(before && !strcmp(before, json_object_to_json_string(again)));
		free(before);
		json_object_put(again);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = NULL, *json;
	size_t text_len;

	if (!len || !(json = strndup((const char *)data + 1, len - 1)))
		return 0;
	FILE *out = open_memstream(&text, &text_len);
	FUZZ_ASSERT(out);
	struct json_object *answer = json_tokener_parse(json);
	if (data[0] % (FORMATS + 1) == FORMATS)
		format_audit(out, json);
	else if (answer)
		formats[data[0] % (FORMATS + 1)](out, answer);
	FUZZ_ASSERT(!fclose(out));
	check_output(text);
	check_json(json, answer);
	json_object_put(answer);
	free(text);
	free(json);
	return 0;
}
