/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Messages of both sockets: what is decoded is what was encoded, byte for byte, so that there is one form of each. */
#include "fuzz.h"

#include <string.h>

#include "../../keyd/common/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct proto_msg none;
	static struct proto_msg msg;
	static uint8_t wire[PROTO_WIRE_BYTES_MAX];

	memset(&msg, 0x5a, sizeof(msg));
	if (proto_decode(data, len, &msg)) {
		FUZZ_ASSERT(!memcmp(&msg, &none, sizeof(msg)));
		return 0;
	}
	FUZZ_ASSERT(proto_wire_bytes(msg.type) == len);
	FUZZ_ASSERT(proto_encode(&msg, wire, sizeof(wire)) == (ssize_t)len);
	FUZZ_ASSERT(!memcmp(wire, data, len));
	return 0;
}
