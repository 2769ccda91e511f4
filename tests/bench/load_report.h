/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* What is said about a run. */
#ifndef TESTS_BENCH_LOAD_REPORT_H
#define TESTS_BENCH_LOAD_REPORT_H

#include <stdio.h>

#include "load_options.h"
#include "load_run.h"

/* A table for people; errors and mismatches, if any, in a line each. */
void report_table(FILE *out, const struct load_options *opt, const struct load_result *result);

/* One JSON object; its keys are in README.md. 0 or a negative errno. */
int report_json(FILE *out, const struct load_options *opt, const struct load_result *result)
	__attribute__((warn_unused_result));

#endif
