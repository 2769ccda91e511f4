/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* bs-type crypt: the backing-store template that tgtd loads, and the life of its LUNs. */
#include "capacity.h"
#include "command.h"
#include "complete.h"
#include "guard.h"
#include "harden.h"
#include "inquiry.h"
#include "login.h"
#include "opcodes.h"
#include "pool.h"
#include "process.h"
#include "report.h"
#include "volume.h"

enum { WHY_BYTES = 512 };

/*
 * Plugins see tgt's structs raw and there is no ABI version. What can be checked is whether the
 * running tgtd lays them out as the headers of the build did: its own rdwr template must look as
 * they say, and so must the LUN that it hands over.
 */
static int check_tgt(const struct scsi_lu *lu)
{
	const struct backingstore_template *rdwr = get_backingstore_template("rdwr");

	if (rdwr && !strcmp(rdwr->bs_name, "rdwr") &&
		rdwr->bs_datasize == (int)sizeof(struct bs_thread_info) &&
		rdwr->bs_oflags_supported == (O_SYNC | O_DIRECT) && lu->bst &&
		!strcmp(lu->bst->bs_name, "crypt") && lu->blk_shift >= 9 && lu->blk_shift <= 16)
		return 0;
	report_error("built for another tgtd (headers of tgt " BS_CRYPT_TGT_VERSION
		     "): install the tgt-crypt "
		     "that belongs to this tgt");
	return -EPROTO;
}

/* Once in a process, at its first LUN: earlier, tgtd has not finished starting. */
static int prepare_process(void)
{
	int rc = harden_process();

	if (rc)
		report_error("cannot make tgtd undumpable: %s", strerror(-rc));
	if (!rc) {
		rc = complete_init();
		if (rc)
			report_error("cannot join tgtd's event loop: %s", strerror(-rc));
	}
	return rc;
}

static int take_options(struct scsi_lu *lu, const char *bsopts)
{
	struct crypt_lun *lun = crypt_lun(lu);
	char why[WHY_BYTES] = "out of memory";
	int rc = opts_parse(bsopts, &lun->opts, why, sizeof(why));

	if (rc)
		report_error("%s", why);
	return rc;
}

static int limit_clients(unsigned seconds)
{
	int rc = process_limit_clients(seconds);

	if (rc == -EBUSY)
		report_error("client_timeout=%u: this tgtd has %u for all its clients until it is "
			     "restarted; give every LUN the same",
			seconds, process_client_timeout());
	else if (rc)
		report_error("client_timeout=%u: cannot set it: %s", seconds, strerror(-rc));
	return rc;
}

static int set_up_process(const struct crypt_lun *lun)
{
	if (lun->opts.malloc)
		process_tune_malloc();
	if (lun->opts.scrub && process_scrub()) {
		report_error("scrub=on: this C library cannot wipe what is freed");
		return -ENOSYS;
	}
	return lun->opts.client_timeout_s ? limit_clients(lun->opts.client_timeout_s) : 0;
}

static int join_pool(const struct crypt_lun *lun)
{
	int rc = pool_get(lun->opts.threads);

	if (rc == -EBUSY)
		report_error(
			"threads=%u: this tgtd runs %u for all its LUNs; give every LUN the same",
			lun->opts.threads, pool_workers());
	else if (rc)
		report_error("cannot start the worker threads: %s", strerror(-rc));
	return rc;
}

static tgtadm_err crypt_init(struct scsi_lu *lu, char *bsopts)
{
	if (check_tgt(lu))
		return TGTADM_INVALID_REQUEST;
	if (lu->dev_type_template.type != TYPE_DISK) {
		report_error("device-type: bs-type crypt serves disks only");
		return TGTADM_INVALID_REQUEST;
	}
	if (prepare_process() || take_options(lu, bsopts) || set_up_process(crypt_lun(lu)) ||
		join_pool(crypt_lun(lu)))
		return TGTADM_INVALID_REQUEST;
	guard_lun(lu);
	opcodes_mend(lu);
	inquiry_mend(lu);
	return TGTADM_SUCCESS;
}

static void crypt_exit(struct scsi_lu *lu)
{
	(void)lu;
	pool_put();
}

static void set_vpd(struct scsi_lu *lu, int page, void *value)
{
	struct vpd *vpd = lu->attrs.lu_vpd[PCODE_OFFSET(page)];

	vpd->vpd_update(lu, value);
}

/* The last 60 bits of a UUID, all that a locally assigned NAA designator takes (SPC-4 7.8.6.6.5). */
static uint64_t local_number(const char *uuid)
{
	uint64_t number = 0;

	for (; *uuid; uuid++)
		if (*uuid != '-')
			number = number << 4 |
				 (uint64_t)(*uuid <= '9' ? *uuid - '0' : (*uuid | 0x20) - 'a' + 10);
	return number & ((UINT64_C(1) << 60) - 1);
}

/*
 * The disk's serial number is the volume's UUID, and its designators (SPC-4 7.8.6.4, T10 vendor ID; tgt
 * makes the long NAA one of its hexadecimal digits, and the short one of numeric_id) what fits of it. tgt's
 * own come from the target's and the LUN's numbers alone: two volumes of two tgtds would be one disk to
 * multipathing, and two paths to one volume two disks.
 */
static void take_identity(struct scsi_lu *lu, const char *uuid)
{
	enum { VENDOR_BYTES = 8 }; /* as tgt has put it there, padded */
	char *id = lu->attrs.scsi_id;
	size_t at = SCSI_ID_LEN, i = strlen(uuid);

	while (at > VENDOR_BYTES && i > 0)
		if (uuid[--i] != '-')
			id[--at] = uuid[i];
	id[SCSI_ID_LEN] = '\0';
	lu->attrs.numeric_id = local_number(uuid);
	(void)snprintf(lu->attrs.scsi_sn, sizeof(lu->attrs.scsi_sn), "%s", uuid);
	set_vpd(lu, 0x80, lu->attrs.scsi_sn);
	set_vpd(lu, 0x83, id);
}

static int crypt_open(struct scsi_lu *lu, char *path, int *fd, uint64_t *size)
{
	struct crypt_lun *lun = crypt_lun(lu);
	struct volume_flags flags = {
		.sync = lu->bsoflags & O_SYNC, .direct = lu->bsoflags & O_DIRECT};
	char why[WHY_BYTES];

	lun->capacity = capacity_new(lu);
	if (!lun->capacity)
		return -ENOMEM;
	flags.watch = capacity_watch(lun->capacity);
	int rc = volume_open(
		path, &lun->opts, 1U << lu->blk_shift, flags, &lun->volume, why, sizeof(why));
	if (rc) {
		report_error("%s: %s", path, why);
		capacity_free(lun->capacity);
		lun->capacity = NULL;
		return rc;
	}
	*fd = -1; /* tgt itself reads no ciphertext */
	*size = volume_size_bytes(lun->volume);
	take_identity(lu, volume_uuid(lun->volume));
	inquiry_refresh(lu);
	if (!lu->attrs.no_auto_lbppbe)
		update_lbppbe(lu, (int)volume_io_bytes(lun->volume));
	return 0;
}

static void crypt_close(struct scsi_lu *lu)
{
	struct crypt_lun *lun = crypt_lun(lu);

	volume_close(lun->volume);
	lun->volume = NULL;
	capacity_free(lun->capacity);
	lun->capacity = NULL;
}

static struct backingstore_template crypt_template = {
	.bs_name = "crypt",
	.bs_datasize = sizeof(struct crypt_lun),
	.bs_init = crypt_init,
	.bs_open = crypt_open,
	.bs_cmd_submit = command_submit,
	.bs_close = crypt_close,
	.bs_exit = crypt_exit,
	.bs_oflags_supported = O_SYNC | O_DIRECT,
};

/* Called by tgtd after dlopen(3), and by the constructor when the library is preloaded. */
void register_bs_module(void);

void register_bs_module(void)
{
	static bool registered;

	if (registered || !register_backingstore_template)
		return;
	registered = true;
	opcodes_register(&crypt_template);
	register_backingstore_template(&crypt_template);
	login_guard();
}

static __attribute__((constructor)) void register_preloaded(void)
{
	register_bs_module();
}
