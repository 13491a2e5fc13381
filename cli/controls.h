/* controls.h - `streamctl controls`: shows a camera's controls and changes them.
 *
 * Threads: one.
 */
#pragma once

#include "cli/options.h"

/* Gives the exit code. All values of --set are looked at before the first is set. */
int controls_run(const struct settings *set, const char *camera, struct err *e);
