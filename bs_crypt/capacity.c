/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "capacity.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "command.h"
#include "complete.h"
#include "report.h"

enum { WHY_BYTES = 512 };

#define ASC_CAPACITY_DATA_HAS_CHANGED 0x2a09
#define NO_NEXUS                      UINT64_MAX /* tgt's are TSIHs, of 16 bits */

struct capacity {
	struct completion completion; /* first */
	struct volume_watch watch;
	struct scsi_lu *lu; /* NULL: closed. Main thread only */
	atomic_bool posted; /* take() will run, and looks at lu */
};

static struct it_nexus_lu_info *info_at(struct list_head *siblings)
{
	return (struct it_nexus_lu_info *)(void *)((char *)siblings -
						   offsetof(struct it_nexus_lu_info,
							   lu_itl_info_siblings));
}

/* Once for each, however often it grew since the initiator was last heard of. */
static void tell_initiators(struct scsi_lu *lu)
{
	const struct list_head *all = &lu->lu_itl_info_list;

	for (struct list_head *at = all->next; at != all; at = at->next)
		ua_sense_clear(info_at(at), ASC_CAPACITY_DATA_HAS_CHANGED);
	ua_sense_add_other_it_nexus(NO_NEXUS, lu, ASC_CAPACITY_DATA_HAS_CHANGED);
}

static void grow(struct scsi_lu *lu)
{
	struct volume *vol = crypt_lun(lu)->volume;
	uint64_t old_bytes = lu->size;
	char why[WHY_BYTES];

	int rc = volume_grow(vol, why, sizeof(why));
	if (rc) {
		report_error("%s: stays as large as it is: %s", volume_path(vol), why);
		return;
	}
	if (lu->size == volume_size_bytes(vol))
		return;
	lu->size = volume_size_bytes(vol);
	tell_initiators(lu);
	report_info("%s: has %llu bytes now, %llu before", volume_path(vol),
		(unsigned long long)lu->size, (unsigned long long)old_bytes);
}

static void take(struct completion *completion)
{
	struct capacity *c = (struct capacity *)completion;

	atomic_store(&c->posted, false); /* first: what grows from here on is a notice of its own */
	if (c->lu)
		grow(c->lu);
	else
		free(c);
}

/* On the session's thread. */
static void on_growth(struct volume_watch *watch)
{
	struct capacity *c =
		(struct capacity *)(void *)((char *)watch - offsetof(struct capacity, watch));

	if (!atomic_exchange(&c->posted, true))
		complete_post(&c->completion);
}

struct capacity *capacity_new(struct scsi_lu *lu)
{
	struct capacity *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->completion.done = take;
	c->watch.grows = on_growth;
	c->lu = lu;
	return c;
}

struct volume_watch *capacity_watch(struct capacity *capacity)
{
	return &capacity->watch;
}

void capacity_free(struct capacity *capacity)
{
	if (!capacity)
		return;
	capacity->lu = NULL;
	if (!atomic_load(&capacity->posted))
		free(capacity);
}
