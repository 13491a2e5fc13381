/* merge.h - `streamload merge` and `streamload report`: from JSON files of runs to outputs.
 *
 * Threads: the caller's. */
#pragma once

#include "common/err.h"
#include "loadgen/options.h"

/* Adds the segments of a run and judges the gates once. Without any output asked for, the merged
 * JSON goes to standard output. Gives the exit code. */
int merge_command(const struct settings *set, int n_args, char **args, struct err *e);

/* Makes outputs from one file. Without any asked for, the summary. Gives the exit code. */
int report_command(const struct settings *set, int n_args, char **args, struct err *e);
