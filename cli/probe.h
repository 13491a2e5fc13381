/* probe.h - is the server there, does the pipeline answer, where do the milliseconds go?
 *
 * Sends pictures of its own, one at a time, and takes each round trip apart:
 * network, wait and pipeline. Threads: one.
 */
#pragma once

#include "cli/options.h"
#include "common/err.h"

#define PROBE_COUNT 20

/* Runs `streamctl probe`. 0: every answer was within the budget; EXIT_GATE: not every
 * one; else what went wrong, told in e. */
int probe_run(const struct settings *set, const char *url, struct err *e);
