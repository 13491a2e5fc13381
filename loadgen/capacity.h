/* capacity.h - `streamload capacity`: how many sessions, or frames per second, keep the gates?
 *
 * Each try is a run of --duration. The curve goes to standard output, one line a try.
 * Threads: the caller's. */
#pragma once

#include "common/err.h"
#include "loadgen/options.h"

/* Gives the exit code: EXIT_DONE when a number is confirmed; EXIT_GATE when not even --from keeps
 * the gates; EXIT_INVALID when the generator was at its limit first. */
int capacity_command(const struct settings *set, const char *url, struct err *e);
