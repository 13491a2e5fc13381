/* status.h - what streamctl tells people: standard error.
 *
 * On a terminal one line that is redrawn at most ten times a second; elsewhere a
 * plain line every ten seconds; with --quiet neither. Sentences stand above the
 * line. status_format is pure; the rest is the rim.
 *
 * Ownership: the caller's storage. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/tally.h"
#include "common/text.h"

enum status_color { STATUS_COLOR_AUTO, STATUS_COLOR_ALWAYS, STATUS_COLOR_NEVER };
enum status_mode { STATUS_OFF, STATUS_PLAIN, STATUS_LIVE };

struct status {
    enum status_mode mode;
    bool color;
    bool drawn;        /* the live line is on the screen */
    uint64_t shown_us; /* when it was shown last; 0: never */
};

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

/* Looks at standard error and the environment (TERM, CI, NO_COLOR). */
void status_init(struct status *s, bool quiet, enum status_color color);

/* The line, cut to columns (0: no limit). */
void status_format(struct text *out, const struct status_view *v, unsigned columns, bool color);

/* Is it time to show it again? So that nobody computes a view in vain. */
bool status_is_due(const struct status *s, uint64_t now_us);
void status_show(struct status *s, const struct status_view *v, uint64_t now_us);

/* "streamctl: sentence". status_say is silent with --quiet, status_fail is not. */
void status_say(struct status *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void status_fail(struct status *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Takes the line away and prints the text as it is, unless quiet. */
void status_summary(struct status *s, const char *text);
