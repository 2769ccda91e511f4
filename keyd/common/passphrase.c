/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "passphrase.h"

#include <errno.h>

#include "reading.h"
#include "secret.h"

/* Whether nothing follows but the newline that a full field has no room for. */
static int check_end(int fd)
{
	uint8_t more[2];
	ssize_t n = read_up_to(fd, more, sizeof(more));

	int rc = n < 0 ? (int)n : !n || (n == 1 && more[0] == '\n') ? 0 : -E2BIG;
	secret_wipe(more, sizeof(more));
	return rc;
}

int passphrase_read(int fd, struct proto_passphrase *passphrase)
{
	ssize_t len = read_up_to(fd, passphrase->bytes, sizeof(passphrase->bytes));

	int rc = len < 0 ? (int)len : 0;
	if (len == sizeof(passphrase->bytes))
		rc = check_end(fd);
	else if (len > 0 && passphrase->bytes[len - 1] == '\n')
		passphrase->bytes[--len] = 0;
	if (!rc && !len)
		rc = -ENODATA;
	if (rc)
		secret_wipe(passphrase, sizeof(*passphrase));
	else
		passphrase->len_bytes = (uint32_t)len;
	return rc;
}
