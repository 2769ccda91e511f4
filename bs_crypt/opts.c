/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "opts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char default_socket[] = "/run/keyd/keyd.sock";

static int parse_text(const char *value, char *out, size_t out_bytes)
{
	size_t len = strlen(value);

	if (!len || len >= out_bytes)
		return -EINVAL;
	memcpy(out, value, len + 1);
	return 0;
}

static int parse_number(const char *value, long min, long max, long *out)
{
	char *end;

	if (!isdigit((unsigned char)*value))
		return -EINVAL;
	errno = 0;
	*out = strtol(value, &end, 10);
	if (errno || end == value || *end || *out < min || *out > max)
		return -EINVAL;
	return 0;
}

static int set_level(struct opts *o, const char *value)
{
	return parse_text(value, o->level, sizeof(o->level));
}

static int set_keyd(struct opts *o, const char *value)
{
	if (value[0] != '/')
		return -EINVAL;
	return parse_text(value, o->keyd, sizeof(o->keyd));
}

static int set_threads(struct opts *o, const char *value)
{
	long n;
	int rc = parse_number(value, 1, OPTS_THREADS_MAX, &n);

	if (!rc)
		o->threads = (unsigned)n;
	return rc;
}

static int set_engine(struct opts *o, const char *value)
{
	return parse_text(value, o->engine, sizeof(o->engine));
}

static int set_grace(struct opts *o, const char *value)
{
	long n;
	int rc = parse_number(value, 0, OPTS_GRACE_MAX_S, &n);

	if (!rc)
		o->grace_s = (int)n;
	return rc;
}

static int parse_switch(const char *value, bool *out)
{
	*out = !strcmp(value, "on");
	return *out || !strcmp(value, "off") ? 0 : -EINVAL;
}

static int set_shared(struct opts *o, const char *value)
{
	return parse_switch(value, &o->shared);
}

static int set_malloc(struct opts *o, const char *value)
{
	return parse_switch(value, &o->malloc);
}

static int set_scrub(struct opts *o, const char *value)
{
	return parse_switch(value, &o->scrub);
}

static int set_discard(struct opts *o, const char *value)
{
	return parse_switch(value, &o->discard);
}

static int set_client_timeout(struct opts *o, const char *value)
{
	long n;
	int rc = parse_number(value, 0, OPTS_CLIENT_TIMEOUT_MAX_S, &n);

	if (!rc)
		o->client_timeout_s = (unsigned)n;
	return rc;
}

static const struct option_row {
	const char *name;
	const char *allowed;
	int (*set)(struct opts *o, const char *value);
} rows[] = {
	{"level", "a level name", set_level},
	{"keyd", "the absolute path of keyd's socket, at most 107 bytes", set_keyd},
	{"threads", "1 to 64", set_threads},
	{"engine", "the name of a crypto engine", set_engine},
	{"grace", "0 to 2592000 seconds", set_grace},
	{"shared", "on or off", set_shared},
	{"malloc", "on or off", set_malloc},
	{"scrub", "on or off", set_scrub},
	{"discard", "on or off", set_discard},
	{"client_timeout", "0 to 86400 seconds", set_client_timeout},
};

/* seen: a bit for each row that has been set. */
static int set_option(
	struct opts *o, unsigned *seen, const char *name, const char *value, char *why, size_t n)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(name, rows[i].name))
			continue;
		if (*seen & 1U << i) {
			(void)snprintf(why, n, "option %s is given twice", name);
			return -EINVAL;
		}
		*seen |= 1U << i;
		if (!rows[i].set(o, value))
			return 0;
		(void)snprintf(
			why, n, "option %s=%.64s: expected %s", name, value, rows[i].allowed);
		return -EINVAL;
	}
	(void)snprintf(why, n,
		"unknown option '%.64s': known are level, keyd, threads, engine, grace, shared, "
		"malloc, scrub, discard, client_timeout",
		name);
	return -EINVAL;
}

static int set_defaults(struct opts *o, char *why, size_t n)
{
	const char *socket = getenv("KEYD_SOCKET");

	memset(o, 0, sizeof(*o));
	o->grace_s = OPTS_GRACE_DEFAULT_S;
	o->malloc = true;
	if (!set_keyd(o, socket && *socket ? socket : default_socket))
		return 0;
	(void)snprintf(why, n, "$KEYD_SOCKET: expected an absolute path of at most 107 bytes");
	return -EINVAL;
}

int opts_parse(const char *text, struct opts *opts, char *why, size_t why_bytes)
{
	int rc = set_defaults(opts, why, why_bytes);
	if (rc || !text)
		return rc;

	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	char *rest = copy, *word;
	unsigned seen = 0;
	while (!rc && (word = strsep(&rest, ";"))) {
		if (!*word)
			continue;
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		rc = set_option(opts, &seen, word, value ? value : "", why, why_bytes);
	}
	free(copy);
	return rc;
}
