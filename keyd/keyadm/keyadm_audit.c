/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "keyadm_format.h"
#include "keyadm_path.h"

enum { HEAD_LINE_BYTES = 256, HASH_CHARS = 64 };

/* SEQ:HASH, a newline after it left out. */
static int parse_head(const char *text, struct proto_audit_head *head)
{
	char *end;

	errno = 0;
	unsigned long long seq = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || errno || !seq || *end != ':')
		return -EINVAL;
	end++;
	if (strspn(end, "0123456789abcdef") != HASH_CHARS ||
		end[HASH_CHARS + strspn(end + HASH_CHARS, "\r\n")])
		return -EINVAL;
	*head = (struct proto_audit_head){.seq = seq};
	memcpy(head->hash, end, HASH_CHARS);
	return 0;
}

static int read_head(const char *path, struct proto_audit_head *head)
{
	char line[HEAD_LINE_BYTES] = "";
	int fd = keyadm_path_read(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f) {
		int err = fd < 0 ? fd : -errno;
		if (fd >= 0)
			(void)close(fd);
		return keyadm_refuse(err, "--head %s is neither SEQ:HASH nor a file with that: %s",
			path, strerror(-err));
	}
	bool got = fgets(line, sizeof(line), f) != NULL;
	(void)fclose(f);
	if (!got || parse_head(line, head))
		return keyadm_refuse(-EINVAL,
			"%s does not begin with a head, as keyadm audit --print-head makes it",
			path);
	return 0;
}

int keyadm_audit_request(const struct keyadm_args *args, struct proto_msg *request)
{
	const char *head = args->option[OPT_HEAD];
	bool verify = args->option[OPT_VERIFY] != NULL;

	if (args->option[OPT_PRINT_HEAD]) {
		request->type = PROTO_STATUS;
		return verify || head ? keyadm_refuse(-EINVAL, "--print-head goes alone") : 0;
	}
	if (head && !verify)
		return keyadm_refuse(-EINVAL, "--head goes with --verify");
	request->type = head ? PROTO_AUDIT_VERIFY_HEAD : verify ? PROTO_AUDIT_VERIFY : PROTO_AUDIT;
	if (!head || !parse_head(head, &request->audit_head))
		return 0;
	return read_head(head, &request->audit_head);
}

static int print_head(const struct keyadm_args *args, const struct client *c)
{
	struct json_object *status = json_tokener_parse(c->text);
	uint64_t seq = format_count(status, "audit_seq");
	const char *hash = format_member(status, "audit_head");

	if (!status)
		return keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
	format_print(stdout,
		args->option[OPT_JSON] ? "{\"seq\":%" PRIu64 ",\"hash\":\"%s\"}" : "%" PRIu64 ":%s",
		seq, hash);
	(void)fputc('\n', stdout);
	json_object_put(status);
	return 0;
}

int keyadm_audit_print(const struct keyadm_args *args, const struct client *c)
{
	const struct proto_reply *reply = &c->channel.msg->reply;

	if (args->option[OPT_PRINT_HEAD])
		return reply->status == PROTO_OK ? print_head(args, c) : 0;
	if (!args->option[OPT_VERIFY]) {
		format_audit(stdout, c->text);
	} else if (reply->status == PROTO_OK) {
		format_text(stdout, reply->message);
		(void)fputc('\n', stdout);
	}
	return 0;
}
