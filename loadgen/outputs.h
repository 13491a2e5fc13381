/* outputs.h - every form a report is told in, made from the report alone.
 *
 * Pure, apart from outputs_write. The texts are heap texts; a cut one is an error that
 * outputs_write tells. Threads: any.
 */
#pragma once

#include <stdbool.h>

#include "common/err.h"
#include "common/text.h"
#include "loadgen/options.h"
#include "loadgen/report.h"

/* JUnit XML: one test case per gate, one for validity. */
void junit_write(struct text *out, const struct report *r);

/* Text escaped for XML, in attributes too. */
void junit_add_text(struct text *out, const char *s);

/* GitHub-flavoured Markdown: verdict, gates, latency table. */
void markdown_write(struct text *out, const struct report *r);

/* GitHub workflow commands (::error, ::warning), one line per finding and failed gate. */
void annotations_write(struct text *out, const struct report *r);

/* One line per second, with a header line. */
void csv_write(struct text *out, const struct report *r);

/* Prometheus text format 0.0.4; a bucket edge at exactly 0.037 s. */
void prom_write(struct text *out, const struct report *r);

/* HdrHistogram log (V2 encoding), one histogram per interval of a second, tag per profile in the
 * summary lines. */
void hdr_write(struct text *out, const struct report *r);

/* One self-contained page: no script needed, no network. */
void html_write(struct text *out, const struct report *r);

/* What a terminal shows at the end: one screen of 80 columns. */
void summary_write(struct text *out, const struct report *r, bool color);

/* Writes each output that is asked for ("-": standard output; a file is written beside its place
 * and renamed, so that there is never half of one), Markdown to $GITHUB_STEP_SUMMARY too. 0, or
 * -EXIT_FAILED with the first failure (the others are still written). */
int outputs_write(const struct report *r, const struct settings *set, struct err *e);

/* One text to one file, in the same way. */
int outputs_write_file(const char *path, const struct text *t, struct err *e);
