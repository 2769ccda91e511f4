/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_exchange.h"

#include <errno.h>
#include <string.h>

#include "keyadm_format.h"
#include "secret.h"
#include "upload.h"

volatile sig_atomic_t keyadm_stop;

static void on_signal(int signo)
{
	(void)signo;
	keyadm_stop = 1;
}

/* No SA_RESTART: a long fallocate(2) ends early. */
void keyadm_catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal}, old;

	(void)sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &sa, NULL);
	}
}

int keyadm_ask(struct client *c, struct proto_msg *request, uint16_t want)
{
	int err = client_request(c, request);

	if (err)
		return keyadm_refuse(err, "%s", client_strerror(err));
	if (c->channel.msg->type == want && want != PROTO_REPLY)
		return 0;
	err = keyadm_check_reply(c->channel.msg);
	if (!err && want != PROTO_REPLY)
		err = keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
	return err;
}

int keyadm_ask_on(struct client *c)
{
	int err = client_next(c);

	if (err)
		return keyadm_refuse(err, "%s", client_strerror(err));
	return keyadm_check_reply(c->channel.msg);
}

int keyadm_upload(
	struct client *c, struct proto_msg *request, const uint8_t *bytes, size_t len_bytes)
{
	int err = 0;

	if (!len_bytes || len_bytes > UPLOAD_BYTES_MAX)
		return keyadm_refuse(-EFBIG, "that is no export: it has %zu bytes", len_bytes);
	for (size_t done = 0; !err && done < len_bytes;) {
		size_t left = len_bytes - done;
		request->type = PROTO_UPLOAD;
		request->upload.total_bytes = (uint32_t)len_bytes;
		request->upload.offset_bytes = (uint32_t)done;
		request->upload.len = (uint32_t)(left < PROTO_TEXT_BYTES ? left : PROTO_TEXT_BYTES);
		memcpy(request->upload.bytes, bytes + done, request->upload.len);
		done += request->upload.len;
		err = keyadm_ask(c, request, PROTO_REPLY);
	}
	secret_wipe(request, sizeof(*request));
	return err;
}
