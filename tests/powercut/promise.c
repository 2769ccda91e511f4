/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "promise.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tools/stamp.h"

enum { COMMANDS_MAX = 1 << 20, AES_BLOCK = 16, VERSION_AT = 16 };

static bool read_line(FILE *f, struct promised_command *c)
{
	uint64_t offset, len;

	if (fscanf(f, " %c %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32, &c->kind,
		    &c->sent_ns, &c->answered_ns, &offset, &len, &c->version) != 6)
		return false;
	c->first_unit = offset / STAMP_BYTES;
	c->units = len / STAMP_BYTES;
	return true;
}

int promises_load(struct promises *p, const char *path)
{
	FILE *f = fopen(path, "r");
	struct promised_command c;

	memset(p, 0, sizeof(*p));
	p->command = f ? calloc(COMMANDS_MAX, sizeof(c)) : NULL;
	while (p->command && p->count < COMMANDS_MAX && read_line(f, &c)) {
		if (c.kind == 'S')
			p->start_ns = c.sent_ns;
		else
			p->command[p->count++] = c;
		if (c.answered_ns > p->end_ns)
			p->end_ns = c.answered_ns;
	}
	bool whole = f && feof(f);
	if (f)
		(void)fclose(f);
	return whole && p->start_ns && p->end_ns > p->start_ns ? 0 : -EINVAL;
}

/* When the last flush was sent that had been answered by then. */
static uint64_t flushed_until(const struct promises *p, uint64_t time_ns)
{
	uint64_t until = 0;

	for (size_t i = 0; i < p->count; i++) {
		const struct promised_command *c = &p->command[i];
		if (c->kind == 'F' && c->answered_ns <= time_ns && c->sent_ns > until)
			until = c->sent_ns;
	}
	return until;
}

static void raise(uint32_t *version, const struct promised_command *c, size_t units)
{
	for (uint64_t u = c->first_unit; u < c->first_unit + c->units && u < units; u++) {
		if (version[u] < c->version)
			version[u] = c->version;
	}
}

void promises_at(
	const struct promises *p, uint64_t time_ns, uint32_t *least, uint32_t *most, size_t units)
{
	uint64_t flushed = flushed_until(p, time_ns);

	memset(least, 0, units * sizeof(*least));
	memset(most, 0, units * sizeof(*most));
	for (size_t i = 0; i < p->count; i++) {
		const struct promised_command *c = &p->command[i];
		if (c->kind == 'F')
			continue;
		if (c->sent_ns <= time_ns)
			raise(most, c, units);
		if (c->answered_ns <= flushed || (c->kind == 'D' && c->answered_ns <= time_ns))
			raise(least, c, units);
	}
}

/* The unit's version, or 0 for none; without its first AES block, when that may be noise. */
static uint32_t version_of(const uint8_t *unit, uint64_t offset, size_t skip)
{
	uint8_t want[STAMP_BYTES];
	uint64_t version;

	memcpy(&version, unit + VERSION_AT, sizeof(version));
	stamp_fill(want, STAMP_BYTES, offset, (uint32_t)version);
	return memcmp(unit + skip, want + skip, STAMP_BYTES - skip) ? 0 : (uint32_t)version;
}

uint64_t promises_broken(const uint8_t *plain, size_t units, const uint32_t *least,
	const uint32_t *most, size_t sector_bytes, uint64_t *noise)
{
	uint64_t broken = 0;
	uint32_t before = 0;

	for (size_t u = 0; u < units; u++) {
		const uint8_t *unit = plain + u * STAMP_BYTES;
		bool may_tear = u * STAMP_BYTES % sector_bytes;
		uint32_t found = version_of(unit, u * STAMP_BYTES, 0);

		if (!found && may_tear) {
			found = version_of(unit, u * STAMP_BYTES, AES_BLOCK);
			*noise += found != 0;
			if (found == before)
				found = 0; /* both of one write: nothing was torn here */
		}
		if ((found < least[u] || found > most[u] || !found) && !broken++)
			fprintf(stderr,
				"unit %zu has version %" PRIu32 ", and not one of %" PRIu32
				" to %" PRIu32 "\n",
				u, found, least[u], most[u]);
		before = found;
	}
	return broken;
}
