/* options.h - everything streamd can be told, and the table it is told through. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/opt.h"

struct settings {
    struct opt_list listen;
    const char *workers_text; /* "auto" or a number */
    uint64_t n_workers;       /* from workers_text */
    const char *io_threads_text;
    uint64_t n_io_threads;
    uint64_t inline_below_us;
    uint64_t memory_bytes_max;
    struct opt_list pipelines;

    int policy;
    const char *budget_text; /* a time or "off" */
    uint64_t budget_us;      /* from budget_text; 0: off */
    double drop_threshold, slow_down_threshold;
    uint64_t rearm_us;
    double frame_mib_max, message_mib_max;
    uint64_t pixels_max;
    uint64_t recommended_sessions, sessions_max;

    uint64_t idle_timeout_us, reply_timeout_us, drain_timeout_us;
    uint64_t reply_bytes_max;

    int log_format, log_level;
    bool list_pipelines, json;
};

extern const struct opt_program streamd_program;

/* opt_parse, then what one option says about another. 0 or -EXIT_USAGE. */
int settings_parse(int argc, char **argv, struct settings *s, struct opt_values *v, struct err *e);
