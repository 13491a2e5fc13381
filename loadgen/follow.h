/* follow.h - a session that lowers its rate as streamctl does: the governor and the pace it sets.
 *
 * Pure: time is an argument. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/governor.h"
#include "common/pace.h"
#include "common/proto.h"

#define FOLLOW_IN_FLIGHT 2 /* streamctl's default */

struct follow {
    struct governor governor;
    struct pace pace;
    uint64_t interval_us; /* of the camera */
};

void follow_init(struct follow *f, uint64_t fps_milli, uint64_t budget_us);

/* Is the frame that is due to be sent? If so it counts as sent. */
bool follow_takes(struct follow *f, uint64_t now_us);

/* A result or a drop; due and sent: of its frame. */
void follow_on_answer(struct follow *f, const struct proto_message *m, uint64_t due_us,
                      uint64_t sent_us, uint64_t now_us);
void follow_on_slow_down(struct follow *f, uint64_t now_us);
