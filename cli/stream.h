/* stream.h - the main job: a source's frames go out, answers come in.
 *
 *     source -> newest frame -> pace -> (encode) -> link -> server
 *                                ^          ^        |
 *                                |       ladder <----+ no room, slow
 *                                +- governor <- answers -> output
 *
 * Between the source and the link there is room for one frame, the newest. The
 * stream owns the ledger: what becomes of each frame is counted here.
 *
 * Threads: one.
 */
#pragma once

#include "cli/options.h"
#include "common/err.h"

/* Runs `streamctl stream`: source is what users type, url the server's address. Gives
 * the exit code; a failure before the start is told in e. */
int stream_run(const struct settings *set, const char *source, const char *url, struct err *e);
