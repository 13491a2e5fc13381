/* output.h - what streamctl tells programs: JSON lines on standard output.
 *
 * One object per line, each with an `event` field, written whole and at once, so
 * that `| jq` sees an answer the moment it is there. A reader that goes away
 * ends the output, not the program: see .state.
 *
 * Ownership: the caller's storage; the descriptors are borrowed.
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>

#include "cli/flight.h"
#include "cli/ladder.h"
#include "cli/source.h"
#include "cli/tally.h"
#include "common/proto.h"
#include "common/text.h"

enum output_state {
    OUTPUT_OPEN,
    OUTPUT_UNREAD,  /* a broken pipe: nobody wants to know any more */
    OUTPUT_GAVE_UP, /* a full pipe, and give_up_fd became readable */
    OUTPUT_FAILED   /* a full disk and the like */
};

struct output {
    int fd;
    int give_up_fd; /* readable: stop waiting for a reader that does not read; -1: none */
    enum output_state state;
    struct text line;
};

void output_init(struct output *o, int fd, int give_up_fd);
void output_deinit(struct output *o);

/* source: without credentials. */
void output_start(struct output *o, const char *source, const char *url, const char *pipeline);
/* What a camera gives. */
void output_source(struct output *o, const struct source_facts *f);
void output_connected(struct output *o, double connect_ms);
/* retry_us 0: it is not tried again. */
void output_disconnected(struct output *o, const char *why, uint64_t retry_us);

/* An answer: m to the frame f, which took so long. */
struct output_answer {
    const struct flight_frame *frame;
    const struct proto_message *message;
    uint64_t latency_us, age_us;
};
void output_result(struct output *o, const struct output_answer *a);
void output_drop(struct output *o, const struct output_answer *a);

/* The server asks for less; so many frames per second are wanted from now on. */
void output_slow_down(struct output *o, double wanted_per_s);

/* detail may be NULL. */
void output_warning(struct output *o, const char *warning, const char *detail);
void output_error(struct output *o, const char *error, const char *detail);

/* sent_as: the last frame. */
void output_stats(struct output *o, const struct tally *t, double wanted_per_s,
                  const struct ladder_rung *sent_as, uint64_t now_us);

struct output_end {
    const struct tally *tally;
    const char *reason; /* one word */
    int exit_code;
    double duration_s;
    uint64_t budget_us;
    struct ladder_rung sent_as; /* the last frame */
};
void output_end(struct output *o, const struct output_end *end);
