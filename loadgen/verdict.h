/* verdict.h - the one place that says how a run ends: valid? gates? baseline?
 *
 * Pure. Threads: any. */
#pragma once

#include "common/err.h"
#include "loadgen/report.h"

/* EXIT_INVALID before EXIT_GATE before EXIT_DONE. */
enum exit_code verdict_of(const struct report *r);

/* "passed", "failed", "invalid". */
const char *verdict_name(enum exit_code code);
