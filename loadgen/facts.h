/* facts.h - what a report says about a run beside what was measured: the machine, the server, the
 * configuration.
 *
 * Threads: any. */
#pragma once

#include "common/err.h"
#include "loadgen/load.h"
#include "loadgen/report.h"

/* Host name and number of processors this process may use. */
void facts_machine(struct report_generator *g);

/* Versions (the server's is asked for), profiles, gates and settings. 0 or -EXIT_FAILED. */
int facts_describe(struct report *r, const struct load *l, struct err *e);
