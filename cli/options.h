/* options.h - the settings of streamctl and the table they come from.
 *
 * Threads: start-up only; the settings do not change afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/adapt.h"
#include "cli/source.h"
#include "common/opt.h"

enum command {
    COMMAND_STREAM,
    COMMAND_PROBE,
    COMMAND_PIPELINES,
    COMMAND_DEVICES,
    COMMAND_CONTROLS,
    COMMAND_SNAP
};
enum idle { IDLE_KEEP, IDLE_CLOSE };
enum adapt_what { ADAPT_FPS, ADAPT_QUALITY, ADAPT_SIZE, ADAPT_ALL };

struct settings {
    const char *pipeline;
    double fps, min_fps, source_fps;
    uint64_t skip_frames, in_flight, count;
    uint64_t duration_us, budget_us, answer_timeout_us;
    uint64_t stall_us, poll_us, max_frame_bytes;
    bool no_adapt, no_reconnect, quiet, loop, insecure, json, reencode, dry_run;
    bool preview;
    bool strict, allow_truncated, libv4l2; /* cameras */
    int adapt;                             /* enum adapt_what */
    int idle;                              /* enum idle */
    int color;                             /* enum term_color */
    const char *netrc, *cacert;
    bool annotate;       /* snap */
    uint64_t skip;       /* snap */
    const char *output;  /* snap; NULL: standard output */
    struct opt_list set; /* controls; empty: only show */
};

extern const struct opt_program streamctl_program;

/* What of the settings concerns the source. Borrows the texts. */
struct source_options settings_source_options(const struct settings *set);

/* What of them concerns the rate and quality of that source's frames. 0; -EXIT_USAGE: its
 * pictures cannot be adapted as they say. */
int settings_adapt_options(const struct settings *set, const char *source, struct adapt_options *o,
                           struct err *e);
