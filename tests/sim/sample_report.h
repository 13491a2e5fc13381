/* sample_report.h - a run that never was: a report of made-up, plausible numbers for tests of the
 * outputs. The same seed always gives the same report. */
#pragma once

#include <stdint.h>

#include "loadgen/report.h"

/* Two profiles ("1080p30", "480p10"), n_sessions, n_seconds, a bump of latency in the middle third,
 * every 50th frame dropped, every 5000th unanswered; gates that pass and one that fails. */
void sample_report(struct report *r, uint64_t seed, uint32_t n_sessions, uint32_t n_seconds);
