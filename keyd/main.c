/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "harden.h"
#include "holders.h"
#include "keyd.h"
#include "log.h"
#include "publish.h"
#include "reserve.h"
#include "random.h"
#include "secret.h"
#include "server.h"
#include "serverkeys.h"
#include "text.h"
#include "unlock.h"
#include "zeroize_offline.h"

enum { EXIT_USAGE = 2 };

/* What the command line says; NULL: nothing. All borrowed from argv. */
struct options {
	const char *config;
	const char *state;
	const char *socket;
	const char *admin_socket;
	const char *log_level;
	bool zeroize;
};

/* One line on stderr, of which what the command line or a file says is escaped. */
static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *fmt, ...)
{
	char said[CONFIG_ERROR_BYTES], line[2 * sizeof(said)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	text_escape(line, sizeof(line), said);
	(void)fprintf(stderr, "keyd: %s\n", line);
}

static const char usage_line[] =
	"Usage: keyd [--config FILE] [--state DIR] [--socket PATH] [--admin-socket PATH] "
	"[--log-level L] [--zeroize]\n";

static void print_help(void)
{
	(void)printf("%s\n"
		     "The key daemon of tgt-crypt; runs in the foreground.\n\n"
		     "  --config FILE        configuration (" CONFIG_DEFAULT_FILE ")\n"
		     "  --state DIR          key store (" CONFIG_DEFAULT_STATE ")\n"
		     "  --socket PATH        socket for tgtd (" CONFIG_DEFAULT_SOCKET ")\n"
		     "  --admin-socket PATH  socket for keyadm (" CONFIG_DEFAULT_ADMIN_SOCKET ")\n"
		     "  --log-level L        error, warning, info (the default) or debug\n"
		     "  --zeroize            erase every key of the store, for good, and end\n"
		     "  --help               this text\n\n"
		     "See keyd(8), keyd.conf(5).\n",
		usage_line);
}

/* Fills options. Returns -1 to go on, or the exit status. */
static int parse_arguments(int argc, char *argv[], struct options *options)
{
	enum { CONFIG = 256, STATE, SOCKET, ADMIN_SOCKET, LOG_LEVEL, ZEROIZE, HELP };
	static const struct option longopts[] = {
		{"config", required_argument, NULL, CONFIG},
		{"state", required_argument, NULL, STATE},
		{"socket", required_argument, NULL, SOCKET},
		{"admin-socket", required_argument, NULL, ADMIN_SOCKET},
		{"log-level", required_argument, NULL, LOG_LEVEL},
		{"zeroize", no_argument, NULL, ZEROIZE},
		{"help", no_argument, NULL, HELP},
		{0},
	};
	const char **const fields[] = {&options->config, &options->state, &options->socket,
		&options->admin_socket, &options->log_level};
	int c;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c == HELP) {
			print_help();
			return EXIT_SUCCESS;
		}
		if (c < CONFIG || c > ZEROIZE) {
			(void)fputs(usage_line, stderr);
			return EXIT_USAGE;
		}
		if (c == ZEROIZE)
			options->zeroize = true;
		else
			*fields[c - CONFIG] = optarg;
	}
	if (optind < argc) {
		complain("unexpected argument '%s'", argv[optind]);
		(void)fputs(usage_line, stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* A path of the command line is taken relative to where keyd was started. */
static int set_path(char **field, const char *value)
{
	if (!value)
		return 0;
	return value[0] ? config_set(field, value) : -EINVAL;
}

/* File first, then the command line over it. 0, or the exit status with one line on stderr. */
static int configure(struct config *config, const struct options *options)
{
	const char *file = options->config ? options->config : CONFIG_DEFAULT_FILE;
	char error[CONFIG_ERROR_BYTES];

	int rc = options->zeroize ? config_read_past_errors(config, file, error)
				  : config_read(config, file, error);
	if (rc && options->zeroize) {
		if (rc != -ENOENT || options->config)
			complain("%s: zeroizing all the same", error);
	} else if (rc && (rc != -ENOENT || options->config)) {
		complain("%s", error);
		return EXIT_FAILURE;
	}
	if (options->log_level) {
		int level = log_parse_level(options->log_level);
		if (level < 0) {
			complain("--log-level '%s' is not error, warning, info or debug",
				options->log_level);
			return EXIT_USAGE;
		}
		config->log_level = (enum log_level)level;
	}
	if (set_path(&config->state, options->state) ||
		set_path(&config->socket, options->socket) ||
		set_path(&config->admin_socket, options->admin_socket)) {
		(void)fputs("keyd: a path is empty\n", stderr);
		return EXIT_USAGE;
	}
	log_set_level(config->log_level);
	return 0;
}

/* SIGTERM and SIGINT reach the loop through a signalfd; a peer that went away is no signal. */
static int prepare_process(void)
{
	sigset_t set;

	(void)umask(077);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	return 0;
}

static int open_io(struct proto_channel *io)
{
	*io = (struct proto_channel){.fd = -1};
	io->msg = secret_alloc(sizeof(*io->msg));
	io->wire = io->msg ? secret_alloc(PROTO_WIRE_BYTES_MAX) : NULL;
	if (io->wire)
		return 0;
	int rc = -errno;
	log_error("cannot lock memory for keys: %s: raise RLIMIT_MEMLOCK", strerror(-rc));
	proto_channel_close(io);
	return rc;
}

/* The log with its key, if the store is not locked, and the first record in it. */
static int open_audit(struct keyd *keyd)
{
	struct audit_key key;

	keyd->audit = (struct audit){.fd = -1, .head_fd = -1};
	int rc = serverkeys_audit_key(&keyd->store, &key);
	if (!rc)
		rc = audit_log_open(&keyd->audit, keyd->store.dir_fd, key.bytes ? &key : NULL);
	if (!rc && keyd->store.root)
		rc = serverkeys_begin(keyd);
	if (!rc)
		rc = audit_append(
			&keyd->audit, &(struct audit_event){.event = "keyd-start", .result = "ok"});
	if (rc)
		log_error("cannot open the audit log: %s", strerror(-rc));
	return rc;
}

static int run(struct keyd *keyd)
{
	int rc = open_io(&keyd->io);
	if (rc)
		return rc;
	policy_check_labels(&keyd->config.policy);
	policy_check_approval(&keyd->config.policy);
	if (keyd->config.emergency > 0 &&
		policy_has_approval(&keyd->config.policy, APPROVAL_DESTROY))
		log_warning("emergency = yes: one security administrator alone can destroy what "
			    "otherwise needs approval");
	rc = keystore_open(&keyd->store, keyd->config.state, &keyd->config.custody);
	if (rc)
		goto out_io;
	publish_open();
	rc = open_audit(keyd);
	if (rc)
		goto out_store;
	if (keyd->store.zeroized_at) {
		char when[TEXT_TIME_BYTES];
		text_time(when, keyd->store.zeroized_at);
		log_warning("the key store was zeroized at %s", when);
	} else if (keystore_is_locked(&keyd->store)) {
		unlock_by_credential(keyd);
		if (keystore_is_locked(&keyd->store))
			log_info("the key store is locked: keyadm unlock");
	} else {
		rc = holders_load(keyd);
	}
	if (!rc)
		rc = server_run(keyd);
	audit_tell_repeats(&keyd->audit);
	if (!rc && audit_append(&keyd->audit,
			   &(struct audit_event){.event = "keyd-stop", .result = "ok"}))
		rc = -EIO;
out_store:
	serverkeys_end(keyd);
	audit_log_close(&keyd->audit);
	publish_close();
	keystore_close(&keyd->store);
out_io:
	proto_channel_close(&keyd->io);
	return rc;
}

int main(int argc, char *argv[])
{
	struct options options = {0};

	int rc = harden_descriptors();
	if (!rc)
		rc = harden_process();
	if (!rc)
		rc = random_for_openssl();
	if (rc) {
		(void)fprintf(stderr, "keyd: cannot protect the process: %s\n", strerror(-rc));
		return EXIT_FAILURE;
	}
	int status = parse_arguments(argc, argv, &options);
	if (status >= 0)
		return status;

	struct keyd *keyd = calloc(1, sizeof(*keyd));
	rc = keyd ? config_init(&keyd->config, geteuid()) : -ENOMEM;
	if (!rc)
		rc = prepare_process();
	if (rc) {
		(void)fprintf(stderr, "keyd: cannot start: %s\n", strerror(-rc));
		free(keyd);
		return EXIT_FAILURE;
	}
	status = configure(&keyd->config, &options);
	reserve_begin(); /* starting and ending work on a full disk, too; the loop leaves this */
	if (!status && options.zeroize)
		status = zeroize_offline(&keyd->config) ? EXIT_FAILURE : EXIT_SUCCESS;
	else if (!status)
		status = run(keyd) ? EXIT_FAILURE : EXIT_SUCCESS;
	reserve_end();
	config_clear(&keyd->config);
	free(keyd);
	return status;
}
