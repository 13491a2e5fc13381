/* report_json.h - a report as a JSON file, and back.
 *
 * The format is described by loadgen/report.schema.json and has its version in "schema". The
 * file begins with what people and jq ask for (summary, gates, validity: computed,
 * and ignored when it is read), then the configuration, then the raw record. Histograms are
 * lists of [bucket, count], empty buckets left out.
 *
 * Threads: any; the report is borrowed.
 */
#pragma once

#include "common/err.h"
#include "common/text.h"
#include "loadgen/report.h"

#define REPORT_SCHEMA "streamload-report/1"

void report_json_write(struct text *out, const struct report *r);

/* Reads what report_json_write wrote. Any bytes: never trusts a length or an index.
 * 0, or -EXIT_USAGE with what is wrong. report_deinit in either case. */
int report_json_read(struct report *r, const char *bytes, size_t n, struct err *e);

/* The same from a file: -EXIT_UNREACHABLE when it cannot be opened. */
int report_json_load(struct report *r, const char *path, struct err *e);
