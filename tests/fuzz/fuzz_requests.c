/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The body of a request's record, of a destruction and of the others, and what keyadm prints of it. */
#include "fuzz.h"

#include <string.h>

#include "../../keyd/destroy/pending.h"
#include "../../keyd/keyadm/keyadm_requests.h"

static FILE *out;

/* What keyd would tell of it, and keyadm print. */
static void tell(const struct pending *p)
{
	char what[PENDING_WHAT_BYTES];

	FUZZ_ASSERT(memchr(p->id, 0, sizeof(p->id)));
	FUZZ_ASSERT(memchr(p->since.boot_id, 0, sizeof(p->since.boot_id)));
	FUZZ_ASSERT(p->operation < PENDING_OPERATIONS);
	FUZZ_ASSERT((p->operation == PENDING_DESTROY) == !p->parameters);
	FUZZ_ASSERT(strlen(pending_what(p, what)) < sizeof(what));
	struct json_object *json = pending_json(p);
	FUZZ_ASSERT(json);
	format_destruction(out, json);
	json_object_put(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct level level = {.name = "red"};
	static char path[] = "/srv/red.img";
	static struct volume volume = {.level = &level, .uuid = "red", .path = path};
	struct pending p = {.scope = {.level = &level}};

	if (!out)
		out = fopen("/dev/null", "w");
	if (!out || !len)
		return 0;
	char *text = calloc(1, len); /* without the first byte, with a NUL */
	FUZZ_ASSERT(text);
	memcpy(text, data + 1, len - 1);
	if (data[0] & 1)
		p.scope.volume = &volume;
	if (!pending_parse(&p, text)) {
		if (p.operation != PENDING_DESTROY)
			p.scope = (struct scope){0};
		tell(&p);
	}
	json_object_put(p.parameters);
	if (data[0] & 2) { /* an answer of a keyd that is none */
		struct json_object *json = json_tokener_parse(text);
		format_requests(out, json);
		json_object_put(json);
	}
	free(text);
	return 0;
}
