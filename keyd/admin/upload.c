/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "upload.h"

#include <errno.h>
#include <string.h>

#include "secret.h"

static int start(struct upload *upload, size_t total_bytes)
{
	upload_clear(upload);
	if (!total_bytes)
		return -EINVAL;
	if (total_bytes > UPLOAD_BYTES_MAX)
		return -EFBIG;
	upload->bytes = secret_alloc(total_bytes);
	if (!upload->bytes)
		return -ENOMEM;
	upload->total_bytes = total_bytes;
	return 0;
}

int upload_add(struct upload *upload, const struct proto_upload *chunk)
{
	int rc = chunk->offset_bytes ? 0 : start(upload, chunk->total_bytes);

	if (!rc && (!upload->bytes || chunk->total_bytes != upload->total_bytes ||
			   chunk->offset_bytes != upload->have_bytes || !chunk->len ||
			   chunk->len > upload->total_bytes - upload->have_bytes))
		rc = -EINVAL;
	if (rc) {
		upload_clear(upload);
		return rc;
	}
	memcpy(upload->bytes + upload->have_bytes, chunk->bytes, chunk->len);
	upload->have_bytes += chunk->len;
	return 0;
}

int upload_complete(const struct upload *upload)
{
	return upload->bytes && upload->have_bytes == upload->total_bytes ? 0 : -ENODATA;
}

void upload_clear(struct upload *upload)
{
	secret_free(upload->bytes);
	*upload = (struct upload){0};
}
