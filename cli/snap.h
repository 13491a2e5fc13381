/* snap.h - `streamctl snap`: one picture of any source into a file.
 *
 * Threads: one.
 */
#pragma once

#include "cli/options.h"

/* Gives the exit code. */
int snap_run(const struct settings *set, const char *source, struct err *e);
