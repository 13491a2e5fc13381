/* tally.h - what became of every frame, and how long the answers took.
 *
 * The ledger: each frame the source gave ends in exactly one of skipped,
 * paced_out, replaced and sent, and each one sent in exactly one of answered,
 * dropped and unanswered. `broken` counts what should have been a frame and
 * was not; it stands beside the ledger, not in it.
 *
 * All zero is a valid, empty tally. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/rate.h"
#include "common/hist.h"

struct ledger {
    uint64_t read;      /* frames the source gave */
    uint64_t broken;    /* seen, but not a whole picture */
    uint64_t skipped;   /* by --skip-frames */
    uint64_t paced_out; /* not due */
    uint64_t replaced;  /* due, but a newer frame or the end came before it could be sent */
    uint64_t sent;
    uint64_t answered;
    uint64_t dropped;    /* by the server, which said so */
    uint64_t unanswered; /* the connection ended, or the answer did not come in time */
};

/* Nothing lost, nothing counted twice. True at the end and, but for what is in
 * flight, in the encoder or waits, at any moment. */
bool ledger_is_balanced(const struct ledger *l);

/* Share of the settled frames that were dropped; 0 while there are none. */
double ledger_drop_rate(const struct ledger *l);

#define TALLY_BROKEN_KINDS 12 /* any more are counted under the last */

struct tally {
    struct ledger ledger;
    struct broken_kind { /* of ledger.broken, by what was wrong */
        const char *why;
        uint64_t n;
    } broken_kind[TALLY_BROKEN_KINDS]; /* the first without `why` ends them */
    uint64_t device_lost;              /* dropped by the camera's driver before we saw them */
    uint64_t late;                     /* answered, but older than the budget */
    uint64_t slow_downs, reconnects;
    uint64_t odd_messages; /* not understood, or about no frame in flight */
    uint64_t sent_bytes;
    uint64_t began_us;
    struct hist latency;   /* sent to answered */
    struct hist age;       /* captured to answered */
    struct hist recent[2]; /* latency of this and of the last few seconds */
    uint64_t recent_since_us;
    struct rate read_rate, answer_rate;
};

/* Something was no picture. why stays valid: a constant. Gives how many there were before. */
uint64_t tally_broken(struct tally *t, const char *why);

void tally_answer(struct tally *t, uint64_t latency_us, uint64_t age_us, uint64_t now_us);

/* Latencies of the last 5 to 10 seconds, into out. */
void tally_recent(const struct tally *t, struct hist *out);
