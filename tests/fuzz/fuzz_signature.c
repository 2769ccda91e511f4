/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Certificates and public keys that somebody sends: verified only when nothing was changed, and printed whatever they say. */
#include "fuzz.h"

#include <string.h>

#include <json-c/json.h>

#include "../../keyd/common/signature.h"
#include "../../keyd/keyadm/keyadm_format.h"

static const uint8_t key[SIGNATURE_KEY_BYTES] = {7};
static struct signature_public public;

static void read_pem(const char *text, size_t len)
{
	struct signature_public other;

	if (signature_read_pem(text, len, &other))
		return;
	FUZZ_ASSERT(memchr(other.pem, 0, sizeof(other.pem)));
	FUZZ_ASSERT(strlen(other.id) == SIGNATURE_ID_BYTES - 1);
}

/* Nobody who lacks the private key gets a line verified. */
static void verify(const char *text, size_t len)
{
	char signer[SIGNATURE_ID_BYTES];

	FUZZ_ASSERT(signature_verify(text, len, &public, signer) != 0);
	FUZZ_ASSERT(memchr(signer, 0, sizeof(signer)));
}

/* Signs what the text says, then changes the byte that at names: it is verified before and not after. */
static void change(const char *text, size_t len, uint16_t at)
{
	char value[SIGNATURE_TEXT_BYTES], signer[SIGNATURE_ID_BYTES];
	char *line = malloc(len + 512);

	FUZZ_ASSERT(line);
	line[0] = '{';
	memcpy(line + 1, text, len);
	line[1 + len] = '}';
	FUZZ_ASSERT(!signature_make(key, line, len + 2, value));
	size_t end = 1 + len +
		     (size_t)snprintf(line + 1 + len, 511,
			     ",\"signature\":{\"algorithm\":\"" SIGNATURE_ALGORITHM
			     "\",\"key_id\":\"%s\",\"value\":\"%s\"}}",
			     public.id, value);
	FUZZ_ASSERT(!signature_verify(line, end, &public, signer));
	FUZZ_ASSERT(!strcmp(signer, public.id));
	line[at % end] ^= (char)(1 + at % 127);
	FUZZ_ASSERT(signature_verify(line, end, &public, signer) != 0);
	free(line);
}

static void print(const char *text)
{
	static FILE *out;
	struct json_object *json = json_tokener_parse(text);

	if (!out)
		out = fopen("/dev/null", "w");
	if (out)
		format_certificate(out, json);
	json_object_put(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!public.id[0])
		FUZZ_ASSERT(!signature_public(key, &public));
	if (len < 3)
		return 0;
	char *text = calloc(1, len); /* without the first three bytes, with NULs */
	FUZZ_ASSERT(text);
	memcpy(text, data + 3, len - 3);
	switch (data[0] % 4) {
	case 0:
		read_pem(text, len - 3);
		break;
	case 1:
		verify(text, len - 3);
		break;
	case 2:
		change(text, len - 3, (uint16_t)(data[1] | data[2] << 8));
		break;
	default:
		print(text);
	}
	free(text);
	return 0;
}
