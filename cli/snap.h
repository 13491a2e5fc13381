/* snap.h - `streamctl snap`: one picture of any source into a file, as it is or with what a
 * server found drawn on it.
 *
 * Threads: one.
 */
#pragma once

#include "cli/options.h"

/* url: of the server; NULL: none was given. Gives the exit code. */
int snap_run(const struct settings *set, const char *source, const char *url, struct err *e);
