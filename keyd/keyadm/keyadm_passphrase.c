/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "keyadm_passphrase.h"

#include <bsd/readpassphrase.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyadm_format.h"
#include "passphrase.h"
#include "secret.h"

static const struct {
	const char *name;
	enum keyadm_asks asks;
} custodies[] = {
	{"file", KEYADM_ASKS_NEVER},
	{"passphrase", KEYADM_ASKS_ALWAYS},
	{"tpm2", KEYADM_ASKS_WITH_PIN},
	{"pkcs11", KEYADM_ASKS_TOKEN_PIN},
};

enum keyadm_asks keyadm_custody_asks(const char *custody)
{
	for (size_t i = 0; i < sizeof(custodies) / sizeof(custodies[0]); i++) {
		if (!strcmp(custody, custodies[i].name))
			return custodies[i].asks;
	}
	return KEYADM_ASKS_UNKNOWN;
}

/* One byte more than fits, to see what is too long, and the NUL. */
struct line {
	char text[PROTO_PASSPHRASE_BYTES + 2];
};

static int too_long(void)
{
	return keyadm_refuse(-E2BIG, "a passphrase has %d bytes at most", PROTO_PASSPHRASE_BYTES);
}

static int ask(const char *prompt, struct line *line)
{
	if (!readpassphrase(prompt, line->text, sizeof(line->text), RPP_REQUIRE_TTY))
		return errno == ENOTTY || errno == ENXIO
			       ? keyadm_refuse(-ENOTTY,
					 "there is no terminal to ask for the passphrase: give "
					 "--passphrase-fd")
			       : keyadm_refuse(errno ? -errno : -EIO,
					 "the passphrase cannot be read: %s", strerror(errno));
	if (strlen(line->text) > PROTO_PASSPHRASE_BYTES)
		return too_long();
	return line->text[0] ? 0 : keyadm_refuse(-ENODATA, "no passphrase was given");
}

static int ask_again(const struct line *first)
{
	struct line *second = secret_alloc(sizeof(*second));
	if (!second)
		return keyadm_refuse(-errno, "cannot lock memory: %s", strerror(errno));
	int err = ask("The passphrase again: ", second);
	if (!err && strcmp(first->text, second->text) != 0)
		err = keyadm_refuse(-EINVAL, "that was another passphrase: nothing was done");
	secret_free(second);
	return err;
}

static int from_terminal(const char *prompt, bool twice, struct proto_passphrase *passphrase)
{
	struct line *line = secret_alloc(sizeof(*line));
	if (!line)
		return keyadm_refuse(-errno, "cannot lock memory: %s", strerror(errno));
	int err = ask(prompt, line);
	if (!err && twice)
		err = ask_again(line);
	if (!err) {
		passphrase->len_bytes = (uint32_t)strlen(line->text);
		memcpy(passphrase->bytes, line->text, passphrase->len_bytes);
	}
	secret_free(line);
	return err;
}

static int parse_fd(const char *text)
{
	char *end;

	errno = 0;
	long fd = strtol(text, &end, 10);
	return errno || end == text || *end || fd < 0 || fd > 65535 ? -EINVAL : (int)fd;
}

static int from_descriptor(const char *fd_text, struct proto_passphrase *passphrase)
{
	int fd = parse_fd(fd_text);
	if (fd < 0)
		return keyadm_refuse(fd, "--passphrase-fd %s is no descriptor's number", fd_text);
	int err = passphrase_read(fd, passphrase);
	if (err == -E2BIG)
		return too_long();
	if (err)
		return keyadm_refuse(err, "no passphrase comes from descriptor %d: %s", fd,
			err == -ENODATA ? "it is empty" : strerror(-err));
	return 0;
}

int keyadm_passphrase(
	const char *fd_text, bool is_new, const char *of, struct proto_passphrase *passphrase)
{
	char prompt[64];

	if (fd_text)
		return from_descriptor(fd_text, passphrase);
	(void)snprintf(prompt, sizeof(prompt),
		"Passphrase %s %s: ", is_new ? "for the new" : "of the", of);
	return from_terminal(prompt, is_new, passphrase);
}

int keyadm_token_pin(const char *fd_text, struct proto_passphrase *pin)
{
	return fd_text ? from_descriptor(fd_text, pin)
		       : from_terminal("PIN of the token: ", false, pin);
}
