/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * volume resize: the file is long enough, durably, before keyd records the new size, and tgtd takes it
 * after that. So a crash leaves the volume as it was or as it is to be, and the same command goes on.
 */
#ifndef KEYD_KEYADM_RESIZE_H
#define KEYD_KEYADM_RESIZE_H

#include "client.h"

/*
 * Makes the volume that request (VOLUME_RESIZE) names as large as size says: as in volume create, or "max", all
 * that its file or block device has. c has keyd's answer afterwards. 0, or a negative errno whose reason has
 * been told.
 */
int keyadm_volume_resize(struct client *c, struct proto_msg *request, const char *size)
	__attribute__((warn_unused_result));

#endif
