/* run.h - one run from connecting to the report.
 *
 * Threads: the caller's, which blocks SIGINT and SIGTERM first (run_block_signals) so that
 * they are read here and nowhere else. */
#pragma once

#include <stdbool.h>

#include "common/err.h"
#include "loadgen/options.h"
#include "loadgen/report.h"

/* A descriptor of signals, or -1 with e. */
int run_block_signals(struct err *e);

/* Plays the load of the settings and fills the report (report_deinit in either case). 0;
 * -EXIT_UNREACHABLE when no session could connect, with why; other codes as load_init's. The report
 * says in .ended whether it came to its end. signal_fd: see run_block_signals. */
int run_load(const struct settings *set, const char *url, int signal_fd, struct report *r,
             struct err *e);

/* `streamload run`: run_load, the summary, the outputs, the baselines. Gives the exit code. */
int run_command(const struct settings *set, const char *url, struct err *e);
