/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* iscsi-load: loads iSCSI targets, measures, and checks what comes back. See README.md. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load_options.h"
#include "load_report.h"
#include "load_run.h"

enum {
	EXIT_WELL = 0,
	EXIT_WRONG = 1,
	EXIT_USAGE = 2,
};

/* Errors are told even when nothing else is. */
static void report_quietly(const struct load_result *result)
{
	if (result->stats.errors)
		fprintf(stderr, "iscsi-load: %s\n", result->stats.first_error);
	if (result->stats.mismatches)
		fprintf(stderr, "iscsi-load: %s\n", result->stats.first_mismatch);
}

/* Before the load: a name that cannot be written to must not cost a long run. */
static int open_json(const struct load_options *opt, FILE **out)
{
	*out = NULL;
	if (!opt->json_path)
		return 0;
	*out = strcmp(opt->json_path, "-") ? fopen(opt->json_path, "we") : stdout;
	if (*out)
		return 0;
	fprintf(stderr, "iscsi-load: --json %s: %s\n", opt->json_path, strerror(errno));
	return -EINVAL;
}

static int report(const struct load_options *opt, const struct load_result *result, FILE *json)
{
	int ret = 0;

	if (opt->quiet)
		report_quietly(result);
	else
		report_table(json == stdout ? stderr : stdout, opt, result);
	if (json)
		ret = report_json(json, opt, result);
	if (ret)
		fprintf(stderr, "iscsi-load: --json %s: %s\n", opt->json_path, strerror(-ret));
	return ret;
}

static bool all_well(const struct load_result *result)
{
	return !result->stats.errors && !result->stats.mismatches && !result->interrupted;
}

int main(int argc, char **argv)
{
	struct load_options opt;
	struct load_result result = {0};
	FILE *json = NULL;
	int ret = load_options_parse(&opt, argc, argv);

	if (ret == -ECANCELED)
		return EXIT_WELL;
	if (!ret)
		ret = open_json(&opt, &json);
	if (!ret)
		ret = load_run(&opt, &result);
	if (ret)
		return ret == -EINVAL ? EXIT_USAGE : EXIT_WRONG;
	ret = report(&opt, &result, json);
	free(result.client_bytes_per_s);
	if (json && json != stdout)
		fclose(json);
	return !ret && all_well(&result) ? EXIT_WELL : EXIT_WRONG;
}
