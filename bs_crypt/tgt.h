/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * tgt's own headers, for the files that translate between tgt and the plugin, and for no others.
 *
 * Every symbol of tgtd that the plugin uses is weak: the library can then be preloaded into tgtd
 * (tests, demo) without breaking a program that tgtd starts, where none of them exists.
 */
#ifndef BS_CRYPT_TGT_H
#define BS_CRYPT_TGT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include "list.h"
#include "util.h"
#include "tgtd.h"
#include "bs_thread.h"
#include "scsi.h"
#include "spc.h"
#include "target.h"
#pragma GCC diagnostic pop

#pragma weak register_backingstore_template
#pragma weak get_backingstore_template
#pragma weak bs_create_opcode_map
#pragma weak tgt_event_add
#pragma weak tgt_event_del
#pragma weak target_cmd_io_done
#pragma weak target_cmd_perform
#pragma weak sense_data_build
#pragma weak sense_data_build_with_info
#pragma weak find_mode_page
#pragma weak device_reserved
#pragma weak spc_access_check
#pragma weak spc_illegal_op
#pragma weak spc_test_unit
#pragma weak ua_sense_add_it_nexus
#pragma weak ua_sense_clear
#pragma weak update_lbppbe
#pragma weak ua_sense_clear
#pragma weak ua_sense_add_other_it_nexus
#pragma weak device_reserved

#endif
