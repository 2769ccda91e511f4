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

int main(int argc, char **argv)
{
	struct load_options opt;
	struct load_result result;
	int ret = load_options_parse(&opt, argc, argv), status;

	if (ret)
		return ret == -ECANCELED ? EXIT_WELL : EXIT_USAGE;
	if (load_run(&opt, &result))
		return EXIT_WRONG;
	status = result.stats.errors || result.stats.mismatches ? EXIT_WRONG : EXIT_WELL;
	if (opt.quiet)
		report_quietly(&result);
	else
		report_table(opt.json_path && !strcmp(opt.json_path, "-") ? stderr : stdout, &opt,
			&result);
	if (opt.json_path && report_json(opt.json_path, &opt, &result))
		status = EXIT_WRONG;
	free(result.client_bytes_per_s);
	return status;
}
