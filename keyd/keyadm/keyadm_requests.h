/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What waits for approval or for its time, as people read it. */
#ifndef KEYD_KEYADM_REQUESTS_H
#define KEYD_KEYADM_REQUESTS_H

#include <stdio.h>

#include <json-c/json.h>

#include "proto.h"

/* LEVEL_DESTROY or VOLUME_DESTROY becomes DESTROY_EMERGENCY of the same. */
void keyadm_make_emergency(struct proto_msg *request);

/* The answer to a destruction: a certificate, or a request that has to wait. */
void format_destruction(FILE *out, struct json_object *answer);

void format_requests(FILE *out, struct json_object *requests);

#endif
