/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/*
 * keyadm: the command line for storage and security administrators (keyadm(1)). Each command is a row of
 * a table: its words and options, the request it sends, how the answer reads.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "client.h"
#include "harden.h"
#include "keyadm_args.h"
#include "keyadm_audit.h"
#include "keyadm_certificate.h"
#include "keyadm_backup.h"
#include "keyadm_destroy.h"
#include "keyadm_format.h"
#include "keyadm_identity.h"
#include "keyadm_ledger.h"
#include "keyadm_passphrase.h"
#include "keyadm_requests.h"
#include "keyadm_resize.h"
#include "keyadm_target.h"
#include "keyadm_volume.h"
#include "keyadm_zeroize.h"
#include "random.h"
#include "secret.h"
#include "text.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

#define DEFAULT_ADMIN_SOCKET "/run/keyd/admin.sock"

enum operand {
	OPERAND_NONE,
	OPERAND_LEVEL,
	OPERAND_VOLUME,
	OPERAND_VOLUME_SIZE,
	OPERAND_VOLUME_PATH,
	OPERAND_PATH,
	OPERAND_CERTIFICATE,
	OPERAND_REQUEST,
	OPERAND_EXPORT,
};

struct command {
	const char *word[2]; /* "level", "create"; the second may be NULL */
	enum operand operand;
	unsigned int allowed, required; /* bits of enum keyadm_option */
	uint16_t request;               /* enum proto_type; 0: done without keyd */
	void (*format)(FILE *out, struct json_object *answer); /* NULL: the reply's message */
	const char *usage;
	const char *help;
};

static const struct command commands[] = {
	{{"init", NULL}, OPERAND_NONE,
		OPT_BIT(OPT_CUSTODY) | OPT_BIT(OPT_PIN) | OPT_BIT(OPT_PASSPHRASE_FD), 0, PROTO_INIT,
		NULL, "init [--custody file|passphrase|tpm2|pkcs11] [--pin] [--passphrase-fd FD]",
		"create the key store and its root key"},
	{{"unlock", NULL}, OPERAND_NONE, OPT_BIT(OPT_PASSPHRASE_FD), 0, PROTO_UNLOCK, NULL,
		"unlock [--passphrase-fd FD]",
		"open a key store that waits for its passphrase or PIN"},
	{{"custody", "change"}, OPERAND_NONE,
		OPT_BIT(OPT_CUSTODY) | OPT_BIT(OPT_PIN) | OPT_BIT(OPT_PASSPHRASE_FD),
		OPT_BIT(OPT_CUSTODY), PROTO_CUSTODY_CHANGE, NULL,
		"custody change --custody file|passphrase|tpm2|pkcs11 [--pin] [--passphrase-fd FD]",
		"move the key store to a new root key, also in the same custody"},
	{{"status", NULL}, OPERAND_NONE, 0, 0, PROTO_STATUS, format_status, "status",
		"show the key store, its custody and who is connected"},
	{{"level", "create"}, OPERAND_LEVEL, 0, 0, PROTO_LEVEL_CREATE, NULL, "level create NAME",
		"make a security level with a new key"},
	{{"level", "list"}, OPERAND_NONE, 0, 0, PROTO_LEVEL_LIST, format_levels, "level list",
		"list the levels"},
	{{"level", "show"}, OPERAND_LEVEL, 0, 0, PROTO_LEVEL_SHOW, format_level, "level show NAME",
		"show a level; a destroyed one with its certificate"},
	{{"level", "suspend"}, OPERAND_LEVEL, 0, 0, PROTO_LEVEL_SUSPEND, NULL, "level suspend NAME",
		"take the level's keys out of use, reversibly, at once"},
	{{"level", "resume"}, OPERAND_LEVEL, 0, 0, PROTO_LEVEL_RESUME, NULL, "level resume NAME",
		"let a suspended level be used again"},
	{{"level", "destroy"}, OPERAND_LEVEL, OPT_BIT(OPT_YES) | OPT_BIT(OPT_EMERGENCY), 0,
		PROTO_LEVEL_DESTROY, format_destruction, "level destroy NAME [--yes] [--emergency]",
		"destroy the level's keys and with them all its data"},
	{{"volume", "create"}, OPERAND_PATH,
		OPT_BIT(OPT_LEVEL) | OPT_BIT(OPT_SIZE) | OPT_BIT(OPT_SECTOR_SIZE) |
			OPT_BIT(OPT_CIPHER) | OPT_BIT(OPT_FORCE) | OPT_BIT(OPT_SPARSE),
		OPT_BIT(OPT_LEVEL), PROTO_VOLUME_CREATE, format_volume,
		"volume create --level NAME --size SIZE PATH [--sector-size 512|4096] "
		"[--cipher CIPHER] [--force] [--sparse]",
		"make an encrypted volume of SIZE (such as 10G) in a new file;\n"
		"      with --force in a block device or existing file, used whole;\n"
		"      with --sparse a file gets its space when it is written"},
	{{"volume", "list"}, OPERAND_NONE, OPT_BIT(OPT_LEVEL), 0, PROTO_VOLUME_LIST, format_volumes,
		"volume list [--level NAME]", "list the volumes"},
	{{"volume", "show"}, OPERAND_VOLUME, 0, 0, PROTO_VOLUME_SHOW, format_volume,
		"volume show PATH|UUID", "show a volume"},
	{{"volume", "key"}, OPERAND_VOLUME, OPT_BIT(OPT_OUT), OPT_BIT(OPT_OUT), PROTO_VOLUME_KEY,
		NULL, "volume key PATH|UUID --out FILE",
		"put the raw volume key into a new file, for disaster recovery"},
	{{"volume", "resize"}, OPERAND_VOLUME_SIZE, 0, 0, PROTO_VOLUME_RESIZE, NULL,
		"volume resize PATH|UUID SIZE|max",
		"make a volume larger, also while it is served"},
	{{"volume", "relocate"}, OPERAND_VOLUME_PATH, 0, 0, PROTO_VOLUME_RELOCATE, NULL,
		"volume relocate [UUID] PATH",
		"record that a volume lies at PATH now, after a look at its header there"},
	{{"volume", "destroy"}, OPERAND_VOLUME, OPT_BIT(OPT_YES) | OPT_BIT(OPT_EMERGENCY), 0,
		PROTO_VOLUME_DESTROY, format_destruction,
		"volume destroy PATH|UUID [--yes] [--emergency]",
		"destroy the volume's key and with it its data"},
	{{"certificate", "show"}, OPERAND_CERTIFICATE, 0, 0, PROTO_CERTIFICATE, format_certificate,
		"certificate show NAME|UUID",
		"show the certificate of a destroyed level or volume"},
	{{"certificate", "key"}, OPERAND_NONE, OPT_BIT(OPT_OUT), 0, PROTO_STATUS, NULL,
		"certificate key [--out FILE]",
		"print the public key that certificates are verified with"},
	{{"certificate", "verify"}, OPERAND_PATH, OPT_BIT(OPT_KEY), OPT_BIT(OPT_KEY), 0, NULL,
		"certificate verify FILE --key FILE",
		"verify a certificate with a public key, without keyd"},
	{{"audit", NULL}, OPERAND_NONE,
		OPT_BIT(OPT_VERIFY) | OPT_BIT(OPT_HEAD) | OPT_BIT(OPT_PRINT_HEAD), 0, PROTO_AUDIT,
		NULL, "audit [--verify [--head SEQ:HASH|FILE] | --print-head]",
		"print the audit log, verify it, or print its head to keep elsewhere"},
	{{"requests", NULL}, OPERAND_NONE, 0, 0, PROTO_REQUEST_LIST, format_requests, "requests",
		"list what waits for approval or for its time"},
	{{"approve", NULL}, OPERAND_REQUEST, 0, 0, PROTO_REQUEST_APPROVE, format_destruction,
		"approve ID", "agree to what another administrator requested"},
	{{"cancel", NULL}, OPERAND_REQUEST, 0, 0, PROTO_REQUEST_CANCEL, NULL, "cancel ID",
		"call off a request"},
	{{"zeroize", NULL}, OPERAND_NONE,
		OPT_BIT(OPT_ALL) | OPT_BIT(OPT_YES) | OPT_BIT(OPT_CONFIG) | OPT_BIT(OPT_STATE),
		OPT_BIT(OPT_ALL), PROTO_ZEROIZE, NULL,
		"zeroize --all [--yes] [--config FILE] [--state DIR]",
		"destroy every key of the key store at once, also where keyd does not run;\n"
		"      then the options name its configuration or state directory"},
	{{"export", NULL}, OPERAND_NONE,
		OPT_BIT(OPT_LEVEL) | OPT_BIT(OPT_ALL) | OPT_BIT(OPT_RECIPIENT) |
			OPT_BIT(OPT_PASSPHRASE_FD) | OPT_BIT(OPT_SPLIT) | OPT_BIT(OPT_OUT),
		OPT_BIT(OPT_OUT), PROTO_EXPORT, format_export,
		"export --level NAME|--all --out FILE [--recipient CERTIFICATE]... "
		"[--passphrase-fd FD] [--split K/N]",
		"put a level or all of them, with their keys, into a new file that only the\n"
		"      recipients, or whoever has the passphrase, can open"},
	{{"import", NULL}, OPERAND_PATH,
		OPT_BIT(OPT_LEVEL) | OPT_BIT(OPT_FORCE) | OPT_BIT(OPT_KEY) |
			OPT_BIT(OPT_PASSPHRASE_FD) | OPT_BIT(OPT_SHARE),
		0, PROTO_IMPORT, format_import,
		"import FILE [--level NAME] [--key PRIVATE-KEY] [--passphrase-fd FD] "
		"[--share FILE]... [--force]",
		"bring the levels of an export into this key store"},
	{{"ledger", "destroyed"}, OPERAND_EXPORT, 0, 0, PROTO_VOUCH, NULL, "ledger destroyed ID",
		"vouch that every copy of an export is destroyed"},
	{{"ledger", NULL}, OPERAND_NONE, 0, 0, PROTO_LEDGER, format_ledger, "ledger",
		"list what left the key store and what came from elsewhere"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(void)
{
	(void)printf("usage: keyadm [--admin-socket PATH] [--json] COMMAND\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		(void)printf("  %s\n      %s\n", commands[i].usage, commands[i].help);
	(void)printf(
		"\n  --admin-socket PATH  keyd's socket; $KEYD_ADMIN_SOCKET, "
		"then " DEFAULT_ADMIN_SOCKET
		"\n  --json               answer with JSON\n  --help               print this\n\n"
		"Exit status: 0 done, 1 refused or failed, 2 usage. See keyadm(1).\n");
}

static int usage_error(const char *what, const char *arg)
{
	(void)fputs("keyadm: ", stderr);
	format_text(stderr, what);
	format_text(stderr, arg);
	(void)fputs("; see keyadm --help\n", stderr);
	return EXIT_USAGE;
}

static size_t command_words(const struct command *cmd)
{
	return cmd->word[1] ? 2 : 1;
}

static const struct command *find_command(const struct keyadm_args *args)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *cmd = &commands[i];
		size_t match = 0, words = command_words(cmd);
		while (match < words && match < args->words &&
			!strcmp(cmd->word[match], args->word[match]))
			match++;
		if (match == words)
			return cmd;
	}
	return NULL;
}

/* EXIT_DONE, or EXIT_USAGE after telling what the command line has too much or too little. */
static int check_usage(const struct command *cmd, const struct keyadm_args *args)
{
	unsigned int global = OPT_BIT(OPT_ADMIN_SOCKET) | OPT_BIT(OPT_JSON) | OPT_BIT(OPT_HELP);
	size_t wanted = command_words(cmd) + (cmd->operand != OPERAND_NONE) +
			(cmd->operand == OPERAND_VOLUME_SIZE);

	if (cmd->operand == OPERAND_VOLUME_PATH && args->words == wanted + 1)
		wanted++;
	if (args->words != wanted)
		return usage_error("usage: keyadm ", cmd->usage);
	for (unsigned int i = 0; i < OPT_COUNT; i++) {
		if (args->option[i] && !((cmd->allowed | global) & OPT_BIT(i)))
			return usage_error("this command has no ", keyadm_option_name(i));
		if (!args->option[i] && (cmd->required & OPT_BIT(i)))
			return usage_error("this command needs ", keyadm_option_name(i));
	}
	return EXIT_DONE;
}

static int fill_level(struct proto_level *level, const char *name)
{
	if (!name)
		return 0;
	if (!text_is_level_name(name))
		return keyadm_refuse(-EINVAL,
			"%s: a level's name is 1 to 63 of A-Z a-z 0-9 . _ -, not starting with . "
			"or -",
			name);
	return text_copy(level->level, sizeof(level->level), name);
}

static int fill_volume(struct client *c, char uuid[PROTO_PATH_BYTES], const char *id)
{
	struct identity identity;

	int err = identity_find(c, id, &identity);
	return err ? err : text_copy(uuid, PROTO_PATH_BYTES, identity.uuid);
}

/* [UUID] PATH */
static int fill_relocate(struct proto_volume_relocate *relocate, const char *const *words)
{
	char uuid[PROTO_UUID_BYTES];
	struct identity identity;

	if (words[1] && !identity_is_uuid(words[0], uuid))
		return keyadm_refuse(-EINVAL, "%s is no UUID", words[0]);
	int err = identity_at(words[1] ? words[1] : words[0], words[1] ? uuid : NULL, &identity);
	if (err)
		return err;
	memcpy(relocate->uuid, identity.uuid, sizeof(relocate->uuid));
	memcpy(relocate->path, identity.path, sizeof(relocate->path));
	return 0;
}

/* A level's name or a UUID in either case; names are what UUIDs are, too. */
static int fill_certificate(struct proto_certificate *certificate, const char *name)
{
	char uuid[PROTO_UUID_BYTES];
	struct proto_level level;

	int err = fill_level(&level, identity_is_uuid(name, uuid) ? uuid : name);
	return err ? err : text_copy(certificate->name, sizeof(certificate->name), level.level);
}

/* Into the fields that INIT, INIT_PASSPHRASE and CUSTODY_CHANGE have in one place. */
static int fill_custody(const struct keyadm_args *args, struct proto_msg *request)
{
	const char *custody = args->option[OPT_CUSTODY] ? args->option[OPT_CUSTODY] : "file";
	const char *fd = args->option[OPT_PASSPHRASE_FD];
	enum keyadm_asks asks = keyadm_custody_asks(custody);

	if (asks == KEYADM_ASKS_UNKNOWN ||
		text_copy(request->init.custody, sizeof(request->init.custody), custody))
		return keyadm_refuse(
			-EINVAL, "--custody %s is unknown: there are " KEYADM_CUSTODIES, custody);
	if (args->option[OPT_PIN] && asks != KEYADM_ASKS_WITH_PIN)
		return keyadm_refuse(-EINVAL, "--pin goes with --custody tpm2");
	if (asks == KEYADM_ASKS_WITH_PIN && !args->option[OPT_PIN] && !fd)
		return 0;
	if (asks == KEYADM_ASKS_NEVER)
		return fd ? keyadm_refuse(-EINVAL, "--passphrase-fd does not go with --custody %s",
				    custody)
			  : 0;
	if (request->type == PROTO_INIT)
		request->type = PROTO_INIT_PASSPHRASE;
	if (asks == KEYADM_ASKS_TOKEN_PIN)
		return keyadm_token_pin(fd, &request->init_passphrase.passphrase);
	return keyadm_passphrase(fd, true, "key store", &request->init_passphrase.passphrase);
}

static int fill_request(const struct command *cmd, const struct keyadm_args *args, struct client *c,
	struct proto_msg *request)
{
	const char *operand = args->word[command_words(cmd)];

	request->type = cmd->request;
	switch (cmd->operand) {
	case OPERAND_LEVEL:
		return fill_level(&request->level, operand);
	case OPERAND_VOLUME:
		return fill_volume(c, request->volume_id.id, operand);
	case OPERAND_VOLUME_PATH:
		return fill_relocate(&request->volume_relocate, &args->word[2]);
	case OPERAND_CERTIFICATE:
		return fill_certificate(&request->certificate, operand);
	case OPERAND_REQUEST:
		if (text_copy(request->request.id, sizeof(request->request.id), operand))
			return keyadm_refuse(-EINVAL,
				"%s is no request: its ID has 8 characters, see keyadm requests",
				operand);
		return 0;
	case OPERAND_EXPORT:
		return text_copy(request->export_id.id, sizeof(request->export_id.id), operand)
			       ? keyadm_refuse(-EINVAL,
					 "%s is no number of an export: see keyadm ledger", operand)
			       : 0;
	case OPERAND_VOLUME_SIZE: /* volume resize, volume create and import fill their own */
	case OPERAND_PATH:
	case OPERAND_NONE:
		break;
	}
	if (cmd->request == PROTO_VOLUME_LIST)
		return fill_level(&request->level, args->option[OPT_LEVEL]);
	if (cmd->request == PROTO_AUDIT)
		return keyadm_audit_request(args, request);
	if (cmd->request == PROTO_UNLOCK)
		return keyadm_passphrase(args->option[OPT_PASSPHRASE_FD], false, "key store",
			&request->unlock.passphrase);
	return cmd->allowed & OPT_BIT(OPT_CUSTODY) ? fill_custody(args, request) : 0;
}

/* --json always answers with JSON: keyd's, or else the bare fact that it is done. */
static int print_json(const struct client *c)
{
	const char *end = c->text_len && c->text[c->text_len - 1] == '\n' ? "" : "\n";

	/* A program gets what keyd said, to the byte: a signature may be over it. */
	if (c->text_len && isatty(STDOUT_FILENO))
		format_json(stdout, c->text);
	else if (c->text_len)
		(void)fputs(c->text, stdout);
	if (c->text_len)
		(void)fputs(end, stdout);
	else if (c->channel.msg->reply.status == PROTO_OK)
		(void)printf("{\"status\":\"ok\"}\n");
	return 0;
}

static int print_text(const struct command *cmd, const struct client *c)
{
	if (!cmd->format || !c->text_len) {
		if (c->channel.msg->reply.status == PROTO_OK && c->channel.msg->reply.message[0]) {
			format_text(stdout, c->channel.msg->reply.message);
			(void)fputc('\n', stdout);
		}
		return 0;
	}
	struct json_object *answer = json_tokener_parse(c->text);
	if (!answer)
		return keyadm_refuse(-EBADMSG, "%s", client_strerror(-EBADMSG));
	cmd->format(stdout, answer);
	json_object_put(answer);
	return 0;
}

/* Made from a part of what STATUS answers. */
static bool is_certificate_key(const struct command *cmd)
{
	return cmd->request == PROTO_STATUS && cmd->word[1];
}

static int print_answer(
	const struct command *cmd, const struct keyadm_args *args, const struct client *c)
{
	uint32_t status = c->channel.msg->reply.status;
	int err = 0;

	if (is_certificate_key(cmd))
		err = status == PROTO_OK ? keyadm_certificate_key(args, c) : 0;
	else if (args->option[OPT_JSON] && !args->option[OPT_PRINT_HEAD])
		err = print_json(c);
	else if (cmd->request == PROTO_AUDIT)
		err = keyadm_audit_print(args, c);
	else if (status == PROTO_OK || status == PROTO_UNPROVEN)
		err = print_text(cmd, c);
	return err;
}

static void print_progress(uint32_t done, uint32_t total)
{
	(void)fprintf(stderr, "\r%" PRIu32 " of %" PRIu32 " key files%s", done, total,
		done < total ? "" : "\n");
}

static int exchange(const struct command *cmd, const struct keyadm_args *args, struct client *c,
	struct proto_msg *request)
{
	int err = 0;

	if (cmd->request == PROTO_VOLUME_CREATE)
		return keyadm_volume_create(c, args);
	if (cmd->request == PROTO_VOLUME_RESIZE)
		return keyadm_volume_resize(c, request, args->word[2], args->word[3]);
	if (cmd->request == PROTO_VOLUME_KEY)
		return keyadm_volume_key(c, request, args->option[OPT_OUT]);
	if (cmd->request == PROTO_EXPORT)
		return keyadm_export(c, args, request);
	if (cmd->request == PROTO_IMPORT)
		return keyadm_import(c, args, request);
	if ((cmd->allowed & OPT_BIT(OPT_YES)) && !args->option[OPT_YES])
		err = cmd->request == PROTO_ZEROIZE ? keyadm_zeroize_confirm()
						    : keyadm_confirm(c, request);
	if (err)
		return err;
	if (!args->option[OPT_JSON] && isatty(STDERR_FILENO))
		c->on_progress = print_progress;
	if (args->option[OPT_EMERGENCY])
		keyadm_make_emergency(request);
	err = client_request(c, request);
	return err ? keyadm_refuse(err, "%s", client_strerror(err)) : 0;
}

/* An export or the like, which is only requested: it fails, and the request is told. */
static bool is_unapproved(const struct client *c)
{
	const struct proto_msg *reply = c->channel.msg;

	return reply->type == PROTO_REPLY && reply->reply.status == PROTO_UNAPPROVED && c->text_len;
}

static int run(const struct command *cmd, const struct keyadm_args *args, struct client *c)
{
	struct proto_msg *request = secret_alloc(sizeof(*request)); /* it may carry a passphrase */
	if (!request)
		return keyadm_refuse(-errno, "cannot lock memory: %s", strerror(errno));
	int err = fill_request(cmd, args, c, request);
	if (!err)
		err = exchange(cmd, args, c, request);
	secret_free(request);
	if (err && args->option[OPT_JSON] && is_unapproved(c))
		(void)print_json(c);
	if (!err)
		err = print_answer(cmd, args, c);
	if (!err)
		err = keyadm_check_reply(c->channel.msg);
	return err;
}

static const char *admin_socket(const struct keyadm_args *args)
{
	const char *path = args->option[OPT_ADMIN_SOCKET];

	if (!path)
		path = getenv("KEYD_ADMIN_SOCKET");
	return path && *path ? path : DEFAULT_ADMIN_SOCKET;
}

static int connect_and_run(const struct command *cmd, const struct keyadm_args *args)
{
	struct client client;
	const char *socket_path = admin_socket(args);

	int err = client_open(&client, socket_path);
	if (err && err != -EACCES && cmd->request == PROTO_ZEROIZE) {
		if (args->option[OPT_YES] || !keyadm_zeroize_confirm())
			(void)!keyadm_zeroize_offline(args);
		return EXIT_REFUSED;
	}
	if (err) {
		(void)keyadm_refuse(err, "%s: %s", socket_path, client_strerror(err));
		return EXIT_REFUSED;
	}
	err = run(cmd, args, &client);
	client_close(&client);
	return err ? EXIT_REFUSED : EXIT_DONE;
}

/* Before any file is opened. */
static int prepare_process(void)
{
	int err = harden_descriptors();
	if (!err)
		err = harden_process();
	if (!err)
		err = random_for_openssl();
	if (err)
		return keyadm_refuse(err, "cannot protect the process: %s", strerror(-err));
	/* A reader of the answer who has gone is an error to report, not the end. */
	return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -errno : 0;
}

static int run_command_line(int argc, char *argv[])
{
	struct keyadm_args args;

	if (keyadm_args_parse(&args, argc, argv))
		return usage_error("", args.error);
	if (args.option[OPT_HELP]) {
		print_help();
		return EXIT_DONE;
	}
	if (!args.words)
		return usage_error("what is to be done?", "");
	const struct command *cmd = find_command(&args);
	if (!cmd)
		return usage_error("unknown command: ", args.word[0]);
	int exit_status = check_usage(cmd, &args);
	if (exit_status)
		return exit_status;
	if (!cmd->request)
		return keyadm_certificate_verify(&args) ? EXIT_REFUSED : EXIT_DONE;
	return connect_and_run(cmd, &args);
}

/* An answer that did not arrive is no success. */
static int deliver(int exit_status)
{
	errno = 0;
	bool lost = fflush(stdout) != 0;
	if ((!lost && !ferror(stdout)) || exit_status != EXIT_DONE)
		return exit_status;
	(void)keyadm_refuse(-EIO,
		"the answer cannot be written to standard output: %s (a change that was asked for "
		"has been made)",
		strerror(errno ? errno : EIO));
	return EXIT_REFUSED;
}

int main(int argc, char *argv[])
{
	if (prepare_process())
		return EXIT_REFUSED;
	return deliver(run_command_line(argc, argv));
}
