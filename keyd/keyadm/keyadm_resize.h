/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * volume resize: the file is long enough, durably, before keyd records the new size, and tgtd takes it
 * after that. So a crash leaves the volume as it was or as it is to be, and the same command goes on.
 */
#ifndef KEYD_KEYADM_RESIZE_H
#define KEYD_KEYADM_RESIZE_H

#include "client.h"

/*
 * Makes the volume that id names (keyadm_identity.h) as large as size says: as in volume create, or "max", all
 * that its file or block device has. request is a VOLUME_RESIZE. c has keyd's answer afterwards. 0, or a negative errno whose reason has
 * been told.
 */
int keyadm_volume_resize(struct client *c, struct proto_msg *request, const char *id,
	const char *size) __attribute__((warn_unused_result));

#endif
