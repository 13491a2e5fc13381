/* pipelines.h - what the server can run, as GET /pipelines tells it.
 *
 * Threads: one.
 */
#pragma once

#include "cli/options.h"
#include "common/err.h"

/* Runs `streamctl pipelines`: a table, or with --json the server's own text. Gives
 * the exit code; what went wrong is told in e. */
int pipelines_run(const struct settings *set, const char *url, struct err *e);
