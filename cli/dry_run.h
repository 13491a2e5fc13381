/* dry_run.h - `streamctl stream --dry-run`: what would be used, without using it.
 *
 * Threads: one.
 */
#pragma once

#include "cli/options.h"

/* A camera is opened and set up, and closed again; others are only named. Nothing is sent. Gives
 * the exit code. */
int dry_run(const struct settings *set, const char *source, const char *url, struct err *e);
