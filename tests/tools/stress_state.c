/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The stress's state in a file, and `iscsi-io check`, which compares a LUN with it. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "iscsi-io.h"
#include "session.h"
#include "stamp.h"
#include "stress.h"

enum { SLOTS_MAX = 1 << 20 };

uint64_t slot_offset(const struct stress_state *state, uint32_t slot)
{
	return state->first_byte + (uint64_t)slot * state->slot_bytes;
}

int state_save(const struct stress_state *state, const char *path)
{
	FILE *f = fopen(path, "w");
	uint32_t i;

	if (!f)
		return -errno;
	fprintf(f, "%" PRIu64 " %" PRIu32 " %" PRIu32 "\n", state->first_byte, state->slots,
		state->slot_bytes);
	for (i = 0; i < state->slots; i++)
		fprintf(f, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", state->slot[i].flushed,
			state->slot[i].acknowledged, state->slot[i].attempted);
	return fclose(f) ? -EIO : 0;
}

static int load_slots(struct stress_state *state, FILE *f)
{
	uint32_t i;

	if (fscanf(f, "%" SCNu64 " %" SCNu32 " %" SCNu32, &state->first_byte, &state->slots,
		    &state->slot_bytes) != 3 ||
		state->slots > SLOTS_MAX || state->slot_bytes % STAMP_BYTES)
		return -EINVAL;
	state->slot = calloc(state->slots, sizeof(*state->slot));
	if (!state->slot)
		return -ENOMEM;
	for (i = 0; i < state->slots; i++)
		if (fscanf(f, "%" SCNu32 " %" SCNu32 " %" SCNu32, &state->slot[i].flushed,
			    &state->slot[i].acknowledged, &state->slot[i].attempted) != 3)
			return -EINVAL;
	return 0;
}

int state_load(struct stress_state *state, const char *path)
{
	FILE *f = fopen(path, "r");
	int ret;

	if (!f)
		return -errno;
	ret = load_slots(state, f);
	fclose(f);
	return ret;
}

struct tally {
	uint32_t checked;
	uint32_t lost_flushed;
	uint32_t lost_acknowledged;
};

static int check_slot(struct session *s, const struct stress_state *state, uint32_t i, uint8_t *buf,
	struct tally *tally)
{
	const struct slot *slot = &state->slot[i];
	uint64_t offset = slot_offset(state, i), bad;
	struct outcome result;
	uint32_t found;

	if (!slot->flushed && !slot->acknowledged)
		return 0;
	if (session_read(
		    s, offset / s->block_bytes, state->slot_bytes / s->block_bytes, buf, &result) ||
		result.status != SCSI_STATUS_GOOD)
		return -EIO;
	tally->checked++;
	if (slot->flushed && stamp_verify(buf, state->slot_bytes, offset, slot->flushed,
				     slot->attempted, &bad, &found)) {
		tally->lost_flushed++;
		fprintf(stderr, "byte %" PRIu64 ": version %" PRIu32 ", flushed %" PRIu32 "\n", bad,
			found, slot->flushed);
	}
	if (stamp_verify(buf, state->slot_bytes, offset, slot->acknowledged, slot->attempted, &bad,
		    &found))
		tally->lost_acknowledged++;
	return 0;
}

static int check_all(struct session *s, const struct stress_state *state)
{
	uint8_t *buf = malloc(state->slot_bytes);
	struct tally tally = {0};
	int ret = buf ? 0 : -ENOMEM;
	uint32_t i;

	for (i = 0; !ret && i < state->slots; i++)
		ret = check_slot(s, state, i, buf, &tally);
	free(buf);
	if (ret) {
		fputs("iscsi-io: cannot read the LUN\n", stderr);
		return EXIT_FAILED;
	}
	printf("checked %" PRIu32 "\nlost_flushed %" PRIu32 "\nlost_acknowledged %" PRIu32 "\n",
		tally.checked, tally.lost_flushed, tally.lost_acknowledged);
	return tally.lost_flushed || !tally.checked ? EXIT_FAILED : EXIT_OK;
}

int io_check(int argc, char **argv)
{
	static const struct option known[] = {{"state", 1, NULL, 's'}, {0}};
	struct stress_state state = {0};
	const char *path = NULL;
	struct session s;
	int c, status = EXIT_FAILED;

	while ((c = getopt_long(argc, argv, "", known, NULL)) == 's')
		path = optarg;
	if (c != -1 || !path || argc - optind != 1)
		return EXIT_USAGE;
	if (state_load(&state, path)) {
		fprintf(stderr, "iscsi-io: %s: not a state file\n", path);
	} else if (!session_open(&s, argv[optind], false)) {
		status = check_all(&s, &state);
		session_close(&s);
	}
	free(state.slot);
	return status;
}
