/* devices.h - `streamctl devices`: which cameras this machine has, and what they can do.
 *
 * Threads: one.
 */
#pragma once

#include "cli/options.h"

/* Gives the exit code. */
int devices_run(const struct settings *set, struct err *e);
