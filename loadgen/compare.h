/* compare.h - did it get worse? Runs before against runs now.
 *
 * limits: "latency.p99=10%+2ms,drop_rate=+0.2pp": a metric may be worse by the relative and
 * the absolute part together.
 *
 * (The method, and why, is told here by whoever writes compare.c.)
 */
#pragma once

#include <stddef.h>

#include "common/err.h"
#include "loadgen/options.h"
#include "loadgen/report.h"

/* `streamload compare BASE... [vs] NEW...`: prints the table, gives the exit code: EXIT_REGRESSION
 * when something got worse, EXIT_USAGE for runs of unlike configuration, EXIT_INVALID when a run is
 * not valid. */
int compare_command(const struct settings *set, int n_args, char **args, struct err *e);

/* The finished run against the files of --baseline: prints the same table, gives the exit code. */
int compare_with_baselines(const struct report *now, const struct settings *set, struct err *e);
