/* status.h - streamctl's live line: what is sent and answered now.
 *
 * status_format is pure; where and when it is shown is common/term.h's business.
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/term.h"
#include "common/text.h"

enum status_mood { STATUS_GOOD, STATUS_UNEASY, STATUS_BAD };

struct status_view {
    double fps_now, fps_wanted;
    uint64_t p50_us, p99_us; /* latency of the last seconds */
    double drop_rate;
    unsigned quality;  /* of the pictures, while it is lowered; 0: it is not */
    double scale;      /* of their sides */
    const char *state; /* one or two words */
    enum status_mood mood;
};

/* The line, cut to columns (0: no limit). */
void status_format(struct text *out, const struct status_view *v, unsigned columns, bool color);

void status_show(struct term *t, const struct status_view *v, uint64_t now_us);
