/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "label.h"
#include "text.h"

enum { NAME_BYTES = 64, PKCS11_LABEL_CHARACTERS = 32 };

static const char level_prefix[] = "level ";

/* One reading of one file. */
struct parse {
	struct config *config;
	const char *file_name;
	FILE *file;
	unsigned line; /* the one read last: inih hands it over before the next is read */
	unsigned seen; /* a bit for each row of keys that was given */
	bool go_on;    /* past errors: of which the first is kept */
	char section[NAME_BYTES + sizeof(level_prefix)]; /* inih cuts long names: kept here */
	char *error;
};

static int fail(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Keeps the first error; returns inih's "handler failed". */
static int fail(struct parse *p, const char *fmt, ...)
{
	char what[CONFIG_ERROR_BYTES / 2];
	va_list ap;

	if (p->error[0])
		return 0;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	int len = snprintf(p->error, CONFIG_ERROR_BYTES, "%s:%u: ", p->file_name, p->line);
	if (len > 0 && len < CONFIG_ERROR_BYTES)
		text_escape(p->error + len, CONFIG_ERROR_BYTES - (size_t)len, what);
	return 0;
}

static int set_path(struct parse *p, char **field, const char *value)
{
	if (!text_is_utf8(value))
		return fail(p, "the path '%s' is not UTF-8", value);
	if (value[0] != '/')
		return fail(p, "'%s' is not an absolute path", value);
	if (!text_is_path(value))
		return fail(p, "the path '%s' is too long, or has control or invisible characters",
			value);
	return config_set(field, value) ? fail(p, "out of memory") : 1;
}

static int set_state(struct parse *p, const char *value)
{
	return set_path(p, &p->config->state, value);
}

static int set_socket(struct parse *p, const char *value)
{
	return set_path(p, &p->config->socket, value);
}

static int set_admin_socket(struct parse *p, const char *value)
{
	return set_path(p, &p->config->admin_socket, value);
}

static int set_log_level(struct parse *p, const char *value)
{
	int level = log_parse_level(value);
	if (level < 0)
		return fail(p, "log-level '%s' is not error, warning, info or debug", value);
	p->config->log_level = (enum log_level)level;
	return 1;
}

static int set_seconds(
	struct parse *p, const char *name, int *field, const char *value, int min, int max)
{
	char *end;
	errno = 0;
	long seconds = strtol(value, &end, 10);
	if (errno || *end || end == value || seconds < min || seconds > max)
		return fail(p, "%s '%s' is not %d to %d seconds", name, value, min, max);
	*field = (int)seconds;
	return 1;
}

static int set_sandbox(struct parse *p, const char *value)
{
	static const char *const modes[] = {
		[SANDBOX_NO] = "no",
		[SANDBOX_YES] = "yes",
		[SANDBOX_REQUIRED] = "required",
	};
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(value, modes[i]))
			continue;
		p->config->sandbox = (enum sandbox_mode)i;
		return 1;
	}
	return fail(p, "sandbox '%s' is not yes, no or required", value);
}

static int set_sandbox_network(struct parse *p, const char *value)
{
	p->config->sandbox_network = !strcmp(value, "yes");
	if (!p->config->sandbox_network && strcmp(value, "no"))
		return fail(p, "sandbox-network '%s' is not yes or no", value);
	return 1;
}

static int add_sandbox_path(struct parse *p, const char *path)
{
	struct config *config = p->config;

	if (config->sandbox_path_count == CONFIG_SANDBOX_PATHS_MAX)
		return fail(p, "more than %d sandbox-paths", CONFIG_SANDBOX_PATHS_MAX);
	if (!set_path(p, &config->sandbox_paths[config->sandbox_path_count], path))
		return 0;
	config->sandbox_path_count++;
	return 1;
}

/* Separated by blanks. */
static int set_sandbox_paths(struct parse *p, const char *value)
{
	char *copy = strdup(value), *rest = copy, *path;
	int done = copy ? 1 : fail(p, "out of memory");

	while (done && (path = strsep(&rest, " \t"))) {
		if (path[0])
			done = add_sandbox_path(p, path);
	}
	free(copy);
	return done;
}

static int set_revoke_timeout(struct parse *p, const char *value)
{
	return set_seconds(p, "revoke-timeout", &p->config->revoke_timeout_s, value, 1,
		CONFIG_REVOKE_TIMEOUT_S_MAX);
}

static int set_approval_timeout(struct parse *p, const char *value)
{
	return set_seconds(p, "approval-timeout", &p->config->approval_timeout_s, value, 1,
		CONFIG_APPROVAL_TIMEOUT_S_MAX);
}

/* 1 or 0, or -1 after the error was told. */
static int yes_or_no(struct parse *p, const char *name, const char *value)
{
	if (!strcmp(value, "yes") || !strcmp(value, "no"))
		return value[0] == 'y';
	fail(p, "%s '%s' is not yes or no", name, value);
	return -1;
}

static int set_emergency(struct parse *p, const char *value)
{
	p->config->emergency = yes_or_no(p, "emergency", value);
	return p->config->emergency >= 0;
}

static int set_custody_approval(struct parse *p, const char *value)
{
	p->config->policy.custody_approval = yes_or_no(p, "custody-approval", value);
	return p->config->policy.custody_approval >= 0;
}

static int set_kill_unresponsive(struct parse *p, const char *value)
{
	int yes = yes_or_no(p, "kill-unresponsive", value);

	p->config->kill_unresponsive = yes > 0;
	return yes >= 0;
}

/* ---- [custody] ----------------------------------------------------------------------------------- */

static int set_tpm2_tcti(struct parse *p, const char *value)
{
	return config_set(&p->config->custody.tpm2_tcti, value) ? fail(p, "out of memory") : 1;
}

static int set_tpm2_nv_index(struct parse *p, const char *value)
{
	char *end;

	errno = 0;
	unsigned long index = strtoul(value, &end, 16);
	if (errno || *end || end == value || index < CONFIG_NV_INDEX_MIN ||
		index >= CONFIG_NV_INDEX_MAX)
		return fail(p, "tpm2-nv-index '%s' is not an owner's NV index, 0x%x to 0x%x", value,
			CONFIG_NV_INDEX_MIN, CONFIG_NV_INDEX_MAX - 1);
	p->config->custody.tpm2_nv_index = (uint32_t)index;
	return 1;
}

static int set_tpm2_pcrs(struct parse *p, const char *value)
{
	uint32_t pcrs = 0;

	for (const char *at = value; *at;) {
		char *end;
		unsigned long pcr = strtoul(at, &end, 10);
		if (end == at || pcr > CONFIG_PCR_MAX || (*end && *end != ','))
			return fail(p, "tpm2-pcrs '%s' is not a list such as 0,2,7", value);
		pcrs |= 1u << pcr;
		at = *end ? end + 1 : end;
	}
	p->config->custody.tpm2_pcrs = pcrs;
	return 1;
}

static int set_pkcs11_module(struct parse *p, const char *value)
{
	return set_path(p, &p->config->custody.pkcs11_module, value);
}

static int set_pkcs11_token(struct parse *p, const char *value)
{
	if (!value[0] || strlen(value) > PKCS11_LABEL_CHARACTERS)
		return fail(p, "pkcs11-token '%s' is not a label of 1 to %d characters", value,
			PKCS11_LABEL_CHARACTERS);
	return config_set(&p->config->custody.pkcs11_token, value) ? fail(p, "out of memory") : 1;
}

/* ---- [keyd] and [custody]: keys that are given once ------------------------------------------------ */

static const struct {
	const char *section, *name;
	int (*set)(struct parse *p, const char *value);
} keys[] = {
	{"keyd", "state", set_state},
	{"keyd", "socket", set_socket},
	{"keyd", "admin-socket", set_admin_socket},
	{"keyd", "log-level", set_log_level},
	{"keyd", "revoke-timeout", set_revoke_timeout},
	{"keyd", "sandbox", set_sandbox},
	{"keyd", "sandbox-network", set_sandbox_network},
	{"keyd", "sandbox-paths", set_sandbox_paths},
	{"keyd", "approval-timeout", set_approval_timeout},
	{"keyd", "emergency", set_emergency},
	{"keyd", "custody-approval", set_custody_approval},
	{"keyd", "kill-unresponsive", set_kill_unresponsive},
	{"custody", "tpm2-tcti", set_tpm2_tcti},
	{"custody", "tpm2-nv-index", set_tpm2_nv_index},
	{"custody", "tpm2-pcrs", set_tpm2_pcrs},
	{"custody", "pkcs11-module", set_pkcs11_module},
	{"custody", "pkcs11-token", set_pkcs11_token},
};

static int on_single(struct parse *p, const char *section, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(section, keys[i].section) || strcmp(name, keys[i].name))
			continue;
		if (p->seen & (1u << i))
			return fail(p, "'%s' is given twice", name);
		p->seen |= 1u << i;
		return keys[i].set(p, value);
	}
	return fail(p, "unknown key '%s' in [%s]", name, section);
}

/* Lists may be continued on further lines, or repeated: they add up. */
static int add_principals(struct parse *p, struct principal_list *list, const char *value)
{
	char bad[NAME_BYTES];

	switch (policy_add(list, value, bad, sizeof(bad))) {
	case 0:
		return 1;
	case -ENOENT:
		return fail(p, "there is no user or group '%s' (yet): make it, or correct the name",
			bad);
	case -E2BIG:
		return fail(p, "more than %d users and groups", PRINCIPALS_MAX);
	default:
		return fail(p, "'%s' is not a user, uid, @group or @gid", bad);
	}
}

static int on_roles(struct parse *p, const char *name, const char *value)
{
	int role = policy_role_index(name);
	if (role < 0)
		return fail(p, "unknown role '%s'", name);
	return add_principals(p, &p->config->policy.roles[role], value);
}

static int set_fetch(struct parse *p, const char *level, const char *value)
{
	struct policy *policy = &p->config->policy;
	struct principal_list *list = level ? policy_level_fetch(policy, level) : &policy->fetch;

	return list ? add_principals(p, list, value) : fail(p, "too many levels");
}

/* The set that is not yet said, or NULL after the error was told. */
static int *unsaid_approval(struct parse *p, const char *level)
{
	struct destroy_rules *rules = policy_rules_of(&p->config->policy, level);

	if (rules && rules->approval < 0)
		return &rules->approval;
	fail(p, "%s",
		rules ? "'approval' or 'destroy-approval' is given twice" : "too many levels");
	return NULL;
}

/* The older and shorter form: approval for everything or for nothing. */
static int set_destroy_approval(struct parse *p, const char *level, const char *value)
{
	int *approval = unsaid_approval(p, level);
	int yes = approval ? yes_or_no(p, "destroy-approval", value) : -1;

	if (yes >= 0)
		*approval = yes ? APPROVAL_ALL : 0;
	return yes >= 0;
}

/* The bits of a word, or -EINVAL. */
static int approval_word(const char *word, size_t len)
{
	static const struct {
		const char *name;
		int bits;
	} words[] = {
		{"all", APPROVAL_ALL},
		{"none", 0},
		{"destroy", APPROVAL_DESTROY},
		{"export", APPROVAL_EXPORT},
		{"volume-key", APPROVAL_VOLUME_KEY},
		{"import-force", APPROVAL_IMPORT_FORCE},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].name) == len && !strncmp(word, words[i].name, len))
			return words[i].bits;
	}
	return -EINVAL;
}

static int set_approval(struct parse *p, const char *level, const char *value)
{
	static const char between[] = ", \t";
	int *approval = unsaid_approval(p, level), all = -1;

	if (!approval)
		return 0;
	for (const char *at = value + strspn(value, between); *at; at += strspn(at, between)) {
		size_t len = strcspn(at, between);
		int bits = approval_word(at, len);
		if (bits < 0)
			return fail(p,
				"approval '%s' is not all, none, or some of destroy, export, "
				"volume-key, import-force",
				value);
		all = (all < 0 ? 0 : all) | bits;
		at += len;
	}
	if (all < 0)
		return fail(p, "approval is empty: say none");
	*approval = all;
	return 1;
}

static int set_delay(struct parse *p, const char *level, const char *value)
{
	struct destroy_rules *rules = policy_rules_of(&p->config->policy, level);
	if (!rules)
		return fail(p, "too many levels");
	if (rules->delay_s >= 0)
		return fail(p, "'destroy-delay' is given twice");
	return set_seconds(p, "destroy-delay", &rules->delay_s, value, 0, DESTROY_DELAY_S_MAX);
}

static int set_sanitize(struct parse *p, const char *level, const char *value)
{
	struct destroy_rules *rules = policy_rules_of(&p->config->policy, level);
	if (!rules)
		return fail(p, "too many levels");
	if (rules->sanitize >= 0)
		return fail(p, "'sanitize' is given twice");
	rules->sanitize = yes_or_no(p, "sanitize", value);
	return rules->sanitize >= 0;
}

static int set_label(struct parse *p, const char *level, const char *value)
{
	char **label = policy_label_of(&p->config->policy, level);
	if (!label)
		return fail(p, "too many levels");
	if (*label)
		return fail(p, "'label' is given twice");
	if (!value[0] || !label_is_valid(value))
		return fail(p, "'%s' is no SELinux context of the loaded policy", value);
	return config_set(label, value) ? fail(p, "out of memory") : 1;
}

static const struct {
	const char *name;
	int (*set)(struct parse *p, const char *level, const char *value); /* level NULL: every */
} level_keys[] = {
	{"fetch", set_fetch},
	{"label", set_label},
	{"approval", set_approval},
	{"destroy-approval", set_destroy_approval},
	{"destroy-delay", set_delay},
	{"sanitize", set_sanitize},
};

static int on_level(struct parse *p, const char *level, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof(level_keys) / sizeof(level_keys[0]); i++) {
		if (!strcmp(name, level_keys[i].name))
			return level_keys[i].set(p, level, value);
	}
	return fail(p, "unknown key '%s' of levels", name);
}

/* Nothing after an error counts, unless reading goes on past it. */
static bool has_ended(const struct parse *p)
{
	return p->error[0] && !p->go_on;
}

static int on_key(void *user, const char *cut_section, const char *name, const char *value)
{
	struct parse *p = user;
	const char *section = p->section;

	(void)cut_section;

	if (has_ended(p))
		return 0;
	if (!strcmp(section, "keyd") || !strcmp(section, "custody"))
		return on_single(p, section, name, value);
	if (!strcmp(section, "roles"))
		return on_roles(p, name, value);
	if (!strcmp(section, "levels"))
		return on_level(p, NULL, name, value);
	if (!strncmp(section, level_prefix, sizeof(level_prefix) - 1))
		return on_level(p, section + sizeof(level_prefix) - 1, name, value);
	return fail(p, "'%s' stands before any section", name);
}

/* inih tells of sections only through their keys, so that an empty unknown one would pass. */
static void check_section(struct parse *p, const char *section)
{
	if (!strcmp(section, "keyd") || !strcmp(section, "custody") || !strcmp(section, "roles") ||
		!strcmp(section, "levels"))
		return;
	if (strncmp(section, level_prefix, sizeof(level_prefix) - 1)) {
		fail(p, "unknown section [%s]", section);
		return;
	}
	const char *level = section + sizeof(level_prefix) - 1;
	if (!text_is_level_name(level))
		fail(p, "'%s' is not a level name", level);
	else if (!policy_level_fetch(&p->config->policy, level)) /* from now on a list of its own */
		fail(p, "too many levels");
}

/* What no editor shows, and what inih would take for the end of the line or for a part of a name. */
static void check_bytes(struct parse *p, const char *line, size_t len)
{
	if (p->line == 1 && (!strncmp(line, "\xff\xfe", 2) || !strncmp(line, "\xfe\xff", 2)))
		fail(p, "the file is UTF-16: save it as UTF-8");
	else if (p->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3))
		fail(p, "the file begins with a byte order mark (BOM): save it as UTF-8 without "
			"one");
	else if (memchr(line, '\0', len))
		fail(p, "the line has a NUL byte: remove it, or save the file as UTF-8");
}

/* As fgets(), and tells the length, because there may be NULs in the line. 0: the file has ended. */
static size_t get_line(char *line, size_t cap, FILE *file)
{
	size_t len = 0;
	int c = 0;

	while (len + 1 < cap && c != '\n' && (c = fgetc(file)) != EOF)
		line[len++] = (char)c;
	line[len] = '\0';
	return len;
}

/* An ini_reader that counts lines and refuses what inih would silently cut. */
static char *read_line(char *line, int cap, void *stream)
{
	struct parse *p = stream;
	size_t len = has_ended(p) ? 0 : get_line(line, (size_t)cap, p->file);
	if (!len)
		return NULL;
	p->line++;
	check_bytes(p, line, len);
	if (has_ended(p))
		return NULL;
	if (line[len - 1] != '\n' && !feof(p->file)) {
		fail(p, "the line is longer than %d characters; lists may go on in the next line",
			cap - 2);
		if (!p->go_on)
			return NULL;
		for (int c = 0; c != '\n' && c != EOF;)
			c = fgetc(p->file);
		line[0] = '\0';
	}
	const char *start = line + strspn(line, " \t");
	if (start[0] == '[') {
		size_t name_bytes = strcspn(start + 1, "]\r\n");
		(void)snprintf(p->section, sizeof(p->section), "%.*s", (int)name_bytes, start + 1);
		check_section(p, p->section);
	}
	return line;
}

int config_set(char **field, const char *value)
{
	char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

int config_init(struct config *config, uid_t self)
{
	*config = (struct config){
		.log_level = LOG_LEVEL_INFO,
		.revoke_timeout_s = CONFIG_REVOKE_TIMEOUT_S,
		.sandbox = SANDBOX_YES,
		.approval_timeout_s = CONFIG_APPROVAL_TIMEOUT_S,
		.emergency = -1,
	};
	policy_set_default(&config->policy, self);
	int rc = config_set(&config->state, CONFIG_DEFAULT_STATE);
	if (!rc)
		rc = config_set(&config->socket, CONFIG_DEFAULT_SOCKET);
	if (!rc)
		rc = config_set(&config->admin_socket, CONFIG_DEFAULT_ADMIN_SOCKET);
	if (rc)
		config_clear(config);
	return rc;
}

static int read_file(
	struct config *config, const char *file, bool go_on, char error[CONFIG_ERROR_BYTES])
{
	struct parse p = {.config = config, .file_name = file, .go_on = go_on, .error = error};

	error[0] = '\0';
	p.file = fopen(file, "re");
	if (!p.file) {
		int rc = -errno;
		(void)snprintf(error, CONFIG_ERROR_BYTES, "%s: %s", file, strerror(-rc));
		return rc;
	}
	policy_clear(&config->policy);
	int bad_line = ini_parse_stream(read_line, &p, on_key, &p);
	if (bad_line && !error[0]) {
		p.line = bad_line > 0 ? (unsigned)bad_line : 0;
		fail(&p, "neither '[section]' nor 'key = value'");
	}
	if (ferror(p.file) && !error[0])
		fail(&p, "cannot be read");
	(void)fclose(p.file);
	return error[0] ? -EINVAL : 0;
}

int config_read(struct config *config, const char *file, char error[CONFIG_ERROR_BYTES])
{
	return read_file(config, file, false, error);
}

int config_read_past_errors(struct config *config, const char *file, char error[CONFIG_ERROR_BYTES])
{
	return read_file(config, file, true, error);
}

bool config_allows_emergency(const struct config *config, const char *level)
{
	const struct policy *policy = &config->policy;

	if (config->emergency >= 0)
		return config->emergency > 0;
	if (!level)
		return !policy_has_approval(policy, APPROVAL_DESTROY);
	return !(policy_destroy_rules(policy, level).approval & APPROVAL_DESTROY);
}

void config_clear(struct config *config)
{
	free(config->state);
	free(config->socket);
	free(config->admin_socket);
	free(config->custody.tpm2_tcti);
	for (size_t i = 0; i < config->sandbox_path_count; i++)
		free(config->sandbox_paths[i]);
	free(config->custody.pkcs11_module);
	free(config->custody.pkcs11_token);
	policy_clear(&config->policy);
	*config = (struct config){0};
}
