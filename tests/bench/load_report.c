/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <json-c/json.h>

#include "load_report.h"

static const double mb = 1e6, mib = 1024 * 1024, gib = 1024.0 * 1024 * 1024;

static const struct {
	const char *name;
	double percent;
} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};

enum { PERCENTILES = sizeof(percentiles) / sizeof(percentiles[0]) };

/* Reads, writes, or all of them. */
struct totals {
	uint64_t commands, bytes;
	struct histogram latency;
};

static void totals_add(struct totals *t, const struct load_stats *stats, enum load_kind kind)
{
	t->commands += stats->commands[kind];
	t->bytes += stats->bytes[kind];
	histogram_merge(&t->latency, &stats->latency[kind]);
}

static double per_second(const struct load_result *result, double value)
{
	return result->seconds > 0 ? value / result->seconds : 0;
}

static double cpu_s_per_gib(const struct load_result *result)
{
	uint64_t bytes = result->stats.bytes[LOAD_READ] + result->stats.bytes[LOAD_WRITE];

	return bytes ? result->server_cpu_s / ((double)bytes / gib) : 0;
}

static void client_range(const struct load_result *result, double *min, double *mean, double *max)
{
	unsigned int i;

	*min = *max = result->clients ? result->client_bytes_per_s[0] : 0;
	*mean = 0;
	for (i = 0; i < result->clients; i++) {
		double rate = result->client_bytes_per_s[i];

		*min = rate < *min ? rate : *min;
		*max = rate > *max ? rate : *max;
		*mean += rate / result->clients;
	}
}

/* ---- for people ---------------------------------------------------------------------------- */

static void table_row(
	FILE *out, const struct load_result *result, const char *name, const struct totals *t)
{
	size_t i;

	fprintf(out, "%-6s %10" PRIu64 " %10.0f %9.1f %9.1f %9.1f %9.1f", name, t->commands,
		per_second(result, (double)t->commands), per_second(result, (double)t->bytes / mb),
		per_second(result, (double)t->bytes / mib),
		t->latency.count ? (double)t->latency.min_ns / 1e3 : 0,
		histogram_mean(&t->latency) / 1e3);
	for (i = 0; i < PERCENTILES; i++)
		fprintf(out, " %9.1f",
			(double)histogram_percentile(&t->latency, percentiles[i].percent) / 1e3);
	fprintf(out, " %9.1f\n", (double)t->latency.max_ns / 1e3);
}

static void table_of_kinds(FILE *out, const struct load_result *result)
{
	static const char *const names[LOAD_KINDS] = {"read", "write"};
	struct totals all = {0};
	int kind;

	fprintf(out, "%-6s %10s %10s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "", "commands", "IOPS",
		"MB/s", "MiB/s", "min us", "mean us", "p50 us", "p90 us", "p99 us", "p99.9 us",
		"max us");
	for (kind = 0; kind < LOAD_KINDS; kind++) {
		struct totals one = {0};

		totals_add(&one, &result->stats, (enum load_kind)kind);
		totals_add(&all, &result->stats, (enum load_kind)kind);
		if (one.commands)
			table_row(out, result, names[kind], &one);
	}
	table_row(out, result, "all", &all);
}

void report_table(FILE *out, const struct load_options *opt, const struct load_result *result)
{
	const struct load_stats *s = &result->stats;
	double min, mean, max;

	fprintf(out,
		"%" PRIu64 " clients, depth %" PRIu64 ", %" PRIu64 " bytes, %s, %" PRIu64
		" %% reads, %.2f s\n",
		opt->clients - opt->stalled, opt->depth, opt->io_bytes,
		opt->random ? "random" : "sequential", opt->reads_percent, result->seconds);
	table_of_kinds(out, result);
	client_range(result, &min, &mean, &max);
	fprintf(out, "each client: %.1f to %.1f MB/s, mean %.1f\n", min / mb, max / mb, mean / mb);
	if (result->server_cpu_s >= 0)
		fprintf(out, "CPU: target %.2f s, %.3f s/GiB; this process %.2f s\n",
			result->server_cpu_s, cpu_s_per_gib(result), result->own_cpu_s);
	if (opt->stalled)
		fprintf(out,
			"stalled: %" PRIu64 " clients, %.1f MiB asked for, %.1f KiB unread here\n",
			opt->stalled, (double)result->stalled_bytes / mib,
			(double)result->unread_bytes / 1024);
	if (opt->verify)
		fprintf(out, "verified: %" PRIu64 " blocks, %" PRIu64 " mismatches\n",
			s->blocks_checked, s->mismatches);
	if (s->mismatches)
		fprintf(out, "first mismatch: %s\n", s->first_mismatch);
	if (result->interrupted)
		fputs("interrupted before the time was over\n", out);
	if (s->errors)
		fprintf(out, "%" PRIu64 " errors, first: %s\n", s->errors, s->first_error);
}

/* ---- for programs -------------------------------------------------------------------------- */

static void put(struct json_object *in, const char *key, struct json_object *value)
{
	json_object_object_add(in, key, value);
}

static void put_count(struct json_object *in, const char *key, uint64_t value)
{
	put(in, key, json_object_new_uint64(value));
}

static struct json_object *number(double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%.3f", value);
	return json_object_new_double_s(value, text);
}

static void put_number(struct json_object *in, const char *key, double value)
{
	put(in, key, number(value));
}

static void put_text(struct json_object *in, const char *key, const char *text)
{
	put(in, key, text && text[0] ? json_object_new_string(text) : NULL);
}

static struct json_object *options_json(const struct load_options *opt)
{
	struct json_object *o = json_object_new_object(), *urls = json_object_new_array();
	uint64_t i;

	for (i = 0; i < opt->urls; i++)
		json_object_array_add(urls, json_object_new_string(opt->url[i]));
	put(o, "urls", urls);
	put_count(o, "clients", opt->clients);
	put_count(o, "depth", opt->depth);
	put_count(o, "size", opt->io_bytes);
	put_count(o, "read", opt->reads_percent);
	put_text(o, "pattern", opt->random ? "random" : "sequential");
	put_count(o, "seconds", opt->seconds);
	put_count(o, "warmup", opt->warmup_s);
	put_count(o, "area", opt->area_bytes);
	put(o, "verify", json_object_new_boolean(opt->verify));
	put(o, "fill", json_object_new_boolean(opt->fill));
	put_count(o, "rate", opt->commands_per_s);
	put_count(o, "stall", opt->stalled);
	put_count(o, "threads", opt->threads);
	put_count(o, "timeout", opt->timeout_s);
	return o;
}

static struct json_object *latency_json(const struct histogram *h)
{
	struct json_object *o = json_object_new_object();
	size_t i;

	put_number(o, "min", h->count ? (double)h->min_ns / 1e3 : 0);
	put_number(o, "mean", histogram_mean(h) / 1e3);
	for (i = 0; i < PERCENTILES; i++)
		put_number(o, percentiles[i].name,
			(double)histogram_percentile(h, percentiles[i].percent) / 1e3);
	put_number(o, "max", (double)h->max_ns / 1e3);
	return o;
}

static void put_totals(
	struct json_object *o, const struct load_result *result, const struct totals *t)
{
	put_count(o, "commands", t->commands);
	put_count(o, "bytes", t->bytes);
	put_number(o, "MB_s", per_second(result, (double)t->bytes / mb));
	put_number(o, "MiB_s", per_second(result, (double)t->bytes / mib));
	put_number(o, "IOPS", per_second(result, (double)t->commands));
}

static void put_kinds(struct json_object *o, const struct load_result *result)
{
	static const char *const names[LOAD_KINDS] = {"read", "write"};
	struct json_object *latency = json_object_new_object(), *kinds[LOAD_KINDS];
	struct totals all = {0};
	int kind;

	for (kind = 0; kind < LOAD_KINDS; kind++)
		totals_add(&all, &result->stats, (enum load_kind)kind);
	put_totals(o, result, &all);
	put(latency, "all", latency_json(&all.latency));
	for (kind = 0; kind < LOAD_KINDS; kind++) {
		struct totals one = {0};

		totals_add(&one, &result->stats, (enum load_kind)kind);
		kinds[kind] = json_object_new_object();
		put_totals(kinds[kind], result, &one);
		put(o, names[kind], kinds[kind]);
		put(latency, names[kind], latency_json(&one.latency));
	}
	put(o, "latency_us", latency);
}

static struct json_object *clients_json(const struct load_result *result)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	double min, mean, max;
	unsigned int i;

	client_range(result, &min, &mean, &max);
	for (i = 0; i < result->clients; i++)
		json_object_array_add(list, number(result->client_bytes_per_s[i] / mb));
	put_number(o, "min", min / mb);
	put_number(o, "mean", mean / mb);
	put_number(o, "max", max / mb);
	put(o, "list", list);
	return o;
}

static struct json_object *errors_json(const struct load_stats *s)
{
	struct json_object *o = json_object_new_object(), *kinds = json_object_new_object();
	size_t i;

	for (i = 0; i < ERROR_KINDS_MAX && s->kind[i].count; i++)
		put_count(kinds, s->kind[i].text, s->kind[i].count);
	put_count(o, "count", s->errors);
	put_text(o, "first", s->first_error);
	put(o, "kinds", kinds);
	put_count(o, "lost_connections", s->lost_connections);
	return o;
}

static struct json_object *verify_json(const struct load_stats *s)
{
	struct json_object *o = json_object_new_object();

	put_count(o, "blocks_checked", s->blocks_checked);
	put_count(o, "mismatches", s->mismatches);
	put_text(o, "first", s->first_mismatch);
	return o;
}

static struct json_object *stalled_json(
	const struct load_options *opt, const struct load_result *result)
{
	struct json_object *o = json_object_new_object();

	put_count(o, "clients", opt->stalled);
	put_count(o, "bytes_asked", result->stalled_bytes);
	put_count(o, "bytes_unread", result->unread_bytes);
	return o;
}

static struct json_object *result_json(
	const struct load_options *opt, const struct load_result *result)
{
	struct json_object *o = json_object_new_object();
	bool cpu = result->server_cpu_s >= 0;

	put(o, "options", options_json(opt));
	put_number(o, "seconds", result->seconds);
	put(o, "interrupted", json_object_new_boolean(result->interrupted));
	put_kinds(o, result);
	put(o, "per_client_MB_s", clients_json(result));
	put(o, "errors", errors_json(&result->stats));
	put(o, "verify", verify_json(&result->stats));
	put(o, "stalled", stalled_json(opt, result));
	put(o, "server_cpu_seconds", cpu ? number(result->server_cpu_s) : NULL);
	put(o, "server_cpu_s_per_GiB", cpu ? number(cpu_s_per_gib(result)) : NULL);
	put_number(o, "client_cpu_seconds", result->own_cpu_s);
	return o;
}

int report_json(FILE *out, const struct load_options *opt, const struct load_result *result)
{
	struct json_object *o = result_json(opt, result);

	fprintf(out, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_SPACED |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return fflush(out) ? -errno : 0;
}
