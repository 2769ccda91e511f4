/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdio.h>
#include <string.h>

#include "load_stats.h"

static void count_kind(struct load_stats *stats, const char *kind, uint64_t count)
{
	size_t i;

	for (i = 0; i < ERROR_KINDS_MAX - 1; i++)
		if (!stats->kind[i].count || !strcmp(stats->kind[i].text, kind))
			break;
	snprintf(stats->kind[i].text, sizeof(stats->kind[i].text), "%s",
		i < ERROR_KINDS_MAX - 1 ? kind : "other");
	stats->kind[i].count += count;
}

static void keep_first(
	char first[ERROR_TEXT_BYTES], uint64_t *first_ns, const char *text, uint64_t now_ns)
{
	if (*first_ns && *first_ns <= now_ns)
		return;
	*first_ns = now_ns;
	snprintf(first, ERROR_TEXT_BYTES, "%s", text);
}

void stats_error(struct load_stats *stats, const char *kind, const char *text, uint64_t now_ns)
{
	stats->errors++;
	count_kind(stats, kind, 1);
	keep_first(stats->first_error, &stats->first_error_ns, text, now_ns);
}

void stats_mismatch(struct load_stats *stats, uint64_t blocks, const char *text, uint64_t now_ns)
{
	stats->mismatches += blocks;
	keep_first(stats->first_mismatch, &stats->first_mismatch_ns, text, now_ns);
}

void stats_merge(struct load_stats *into, const struct load_stats *from)
{
	size_t i;

	for (i = 0; i < LOAD_KINDS; i++) {
		into->commands[i] += from->commands[i];
		into->bytes[i] += from->bytes[i];
		histogram_merge(&into->latency[i], &from->latency[i]);
	}
	for (i = 0; i < ERROR_KINDS_MAX && from->kind[i].count; i++)
		count_kind(into, from->kind[i].text, from->kind[i].count);
	into->errors += from->errors;
	into->lost_connections += from->lost_connections;
	into->blocks_checked += from->blocks_checked;
	into->mismatches += from->mismatches;
	if (from->errors)
		keep_first(into->first_error, &into->first_error_ns, from->first_error,
			from->first_error_ns);
	if (from->mismatches)
		keep_first(into->first_mismatch, &into->first_mismatch_ns, from->first_mismatch,
			from->first_mismatch_ns);
}
