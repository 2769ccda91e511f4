/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* The options of one LUN, from tgtadm's --bsopts (bs_crypt(7)). */
#ifndef BS_CRYPT_OPTS_H
#define BS_CRYPT_OPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto.h"

enum {
	OPTS_THREADS_MAX = 64,
	OPTS_GRACE_DEFAULT_S = 300,
	OPTS_GRACE_MAX_S = 30 * 24 * 3600,
	OPTS_CLIENT_TIMEOUT_MAX_S = 24 * 3600,
	OPTS_SOCKET_BYTES = 108, /* as sun_path, unix(7) */
	OPTS_ENGINE_BYTES = 16,
};

struct opts {
	char level[PROTO_LEVEL_BYTES];  /* the level that the volume must have; empty: any */
	char keyd[OPTS_SOCKET_BYTES];   /* keyd's socket */
	char engine[OPTS_ENGINE_BYTES]; /* crypto engine; empty: the best that works */
	unsigned threads;               /* workers of the pool; 0: one for each CPU */
	int grace_s;                    /* how long keys are kept while keyd is away */
	bool shared;                    /* other openers of the same file are allowed */
	bool malloc;                    /* tune malloc(3), process.h */
	bool scrub;                     /* wipe freed buffers, process.h */
	bool discard; /* thin: UNMAP gives space back, what is unmapped reads as zeros */
	unsigned client_timeout_s; /* of unread data, process.h; 0: none */
};

/*
 * Parses text ("name=value;…", NULL or empty allowed) into opts, defaults first; the default
 * socket is $KEYD_SOCKET or /run/keyd/keyd.sock. 0, or -EINVAL with one line in why that names the
 * option and says what is allowed.
 */
int opts_parse(const char *text, struct opts *opts, char *why, size_t why_bytes)
	__attribute__((warn_unused_result));

#endif
