/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "inquiry.h"

#include "bytes.h"
#include "cdb.h"
#include "command.h"
#include "report.h"

enum {
	BLOCK_LIMITS = 0xb0,
	CHARACTERISTICS = 0xb1,
	PROVISIONING = 0xb2,
	CHARACTERISTICS_BYTES = 0x3c, /* SBC-3 6.6.3, without the header; tgt has 4 more */

	/* In the block limits page, SBC-3 table 197; tgt keeps it from byte 4 on. */
	MAX_COMPARE_AND_WRITE = 5 - 4,
	MAX_UNMAP_LBAS = 20 - 4,
	MAX_UNMAP_DESCRIPTORS = 24 - 4,
	UNMAP_GRANULARITY = 28 - 4,
	UNMAP_ALIGNMENT = 32 - 4,
	UGAVALID = 0x80,

	SMALL_BLOCK_SHIFT = 9, /* 512 bytes */
};

static struct vpd *page(struct scsi_lu *lu, int code)
{
	return lu->attrs.lu_vpd[PCODE_OFFSET(code)];
}

/*
 * In blocks, 0: not reported. The data segment begins at a multiple of it. Not reported with blocks larger than 512 bytes:
 * qemu (block/iscsi.c) keeps a map of what is mapped where one unit has 4 KiB to 16 MiB, and asks for 2 GiB - 512 to
 * fill it, which it then finds to be no multiple of the block, and aborts.
 */
static uint32_t unmap_granularity(struct scsi_lu *lu)
{
	const struct volume *vol = crypt_lun(lu)->volume;

	return vol && lu->blk_shift == SMALL_BLOCK_SHIFT
		       ? volume_discard_bytes(vol) >> lu->blk_shift
		       : 0;
}

/*
 * tgt's granularity and length of transfers are the administrator's. What stays 0 has no limit: the
 * length of a transfer, and of WRITE SAME.
 */
static void update_block_limits(struct scsi_lu *lu, void *unused)
{
	bool thin = crypt_lun(lu)->opts.discard;
	uint32_t granularity = thin ? unmap_granularity(lu) : 0;
	uint8_t *data = page(lu, BLOCK_LIMITS)->data;

	(void)unused;
	data[MAX_COMPARE_AND_WRITE] = COMPARE_WRITE_BLOCKS_MAX;
	put_be(data + MAX_UNMAP_LBAS, 4, thin ? UINT32_MAX : 0); /* no limit */
	put_be(data + MAX_UNMAP_DESCRIPTORS, 4, thin ? UNMAP_DESCRIPTORS_MAX : 0);
	put_be(data + UNMAP_GRANULARITY, 4, granularity);
	put_be(data + UNMAP_ALIGNMENT, 4, 0);
	if (granularity)
		data[UNMAP_ALIGNMENT] = UGAVALID;
}

/* tgt's own page tells by the attribute, and so does its READ CAPACITY (16). */
static void update_pages(struct scsi_lu *lu)
{
	lu->attrs.thinprovisioning = crypt_lun(lu)->opts.discard ? 1 : 0;
	page(lu, BLOCK_LIMITS)->vpd_update(lu, NULL);
	page(lu, PROVISIONING)->vpd_update(lu, NULL);
}

/* tgt's own, the same for every LUN. */
static tgtadm_err (*tgt_config)(struct scsi_lu *lu, char *params);

/* A setting of tgtadm cannot make a LUN thin that is not, or a read-only volume writable. */
static tgtadm_err config(struct scsi_lu *lu, char *params)
{
	struct crypt_lun *lun = crypt_lun(lu);
	tgtadm_err result = tgt_config(lu, params);

	if (!lu->attrs.thinprovisioning != !lun->opts.discard) {
		report_error("thin_provisioning=%d: what counts is discard= in bsopts",
			lu->attrs.thinprovisioning);
		update_pages(lu);
		result = TGTADM_INVALID_REQUEST;
	}
	if (lun->volume && volume_read_only(lun->volume) && !lu->attrs.readonly) {
		report_error("readonly=0: the volume can only be read: give tgtd the right to "
			     "write it");
		lu->attrs.readonly = 1;
		result = TGTADM_INVALID_REQUEST;
	}
	return result;
}

void inquiry_mend(struct scsi_lu *lu)
{
	page(lu, BLOCK_LIMITS)->vpd_update = update_block_limits;
	page(lu, CHARACTERISTICS)->size = CHARACTERISTICS_BYTES;
	update_pages(lu);
	tgt_config = lu->dev_type_template.lu_config;
	lu->dev_type_template.lu_config = config;
}

void inquiry_refresh(struct scsi_lu *lu)
{
	struct crypt_lun *lun = crypt_lun(lu);
	bool read_only = lun->volume && volume_read_only(lun->volume);

	/* What the administrator has set before stays when the volume is another one. */
	bool made_read_only = read_only && (lun->made_read_only || !lu->attrs.readonly);
	if (made_read_only || lun->made_read_only)
		lu->attrs.readonly = read_only ? 1 : 0;
	lun->made_read_only = made_read_only;
	update_pages(lu);
}
