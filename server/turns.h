/* turns.h - who is next: the line of sessions that have a frame to run.
 *
 * Every session has a seat: room for one waiting frame, the newest, and at most
 * one frame in work. Seats with something to do stand in one line, in the order
 * of their last turns: who had one longest ago is next. So a session that asks
 * for less than its share gets all of it, those that ask for more get equal
 * shares, however fast one of them sends, and memory is bounded by sessions, not
 * by rate. What happens to a frame decides admit.h.
 *
 * A frame that is dropped as late has not had its turn: the session's next one
 * stands where this one stood. And while nobody else is in line its next two are run
 * even if they are late too, or a session whose frames always come just behind those
 * of another would be answered seldom or never.
 *
 * While a worker is free an idle session's frame is that worker's at once
 * (claimed), before the thread has woken up, so that a burst cannot replace a
 * frame which nothing stood in the way of.
 *
 * A session that is idle and whose pipeline is cheap (cheap.h) needs no worker: the caller runs
 * its frame at once, past the line, which costs the others less than the hand-over would.
 *
 * Pure data: no lock, no thread, no clock; sched.h puts those around it, and the
 * simulator in tests/ runs it on a virtual clock.
 *
 * Ownership: a frame belongs to the line from submit until it comes out of it: in an
 * outcome, from turns_take, or from turns_leave. Seats live in their sessions; a seat
 * must not go away while one of its frames is in work.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/admit.h"
#include "server/cheap.h"
#include "server/estimate.h"
#include "server/frame.h"

struct seat { /* all zero: empty */
    struct frame *waiting;
    struct frame *claimed; /* a free worker's, which has not woken up yet */
    bool in_work;          /* a worker has a frame, or has claimed one */
    bool here;             /* the caller of turns_submit has it in work */
    unsigned owed;         /* turns for certain, since a frame was dropped as late */
    uint64_t turn;         /* the number of its last turn */
    unsigned n_late;       /* frames dropped as late in a row */
    bool in_line;
    struct seat *prev, *next; /* the line */
    struct estimate estimate; /* of the pipeline's time */
    struct cheap cheap;
    struct cheap *kin; /* of all seats of its pipeline; NULL: never cheap, as quick frames say
                          nothing of the next one. Set before its first frame */
    uint64_t received, dropped; /* since the beginning; phase17 counts late answers as dropped */
};

struct turns { /* all zero but the rule: nobody there */
    struct admit_rule rule;
    bool always_here;       /* there are no workers */
    uint64_t here_below_us; /* what is cheap; 0: nothing is */
    struct seat *first, *last;
    uint64_t n_turns; /* so far */
    unsigned n_in_line;
    unsigned n_claimed; /* of those in line */
    unsigned n_free;    /* workers that wait for a call; the caller counts them. One that was
                           called is free until it has come. */
};

struct turns_outcome {
    enum verdict verdict;
    struct frame *dropped; /* given to the caller, with its reason set: the frame that was
                              replaced, or the new one; NULL when none was */
    bool here;             /* VERDICT_RUN: the caller runs it itself, at once */
};

/* Whether a frame of that seat, if it is run at all, is run by the caller: until the seat's next
 * call. */
bool turns_runs_here(const struct turns *t, struct seat *seat);

/* Takes f. After VERDICT_RUN a worker has to be called, or, with here, f is the caller's to run and
 * to give to turns_finish. */
struct turns_outcome turns_submit(struct turns *t, struct seat *seat, struct frame *f);

/* A frame of that seat was dropped on the way here; it counts all the same. */
void turns_miss(const struct turns *t, struct seat *seat);

/* The next frame and its seat, or NULL. It is to be run, unless it is too late by now:
 * then its fate is FRAME_DROPPED already, and the next call gives the next one. */
struct frame *turns_take(struct turns *t, uint64_t now_us, struct seat **seat);

/* The seat's frame is done: its fate, started_us and finished_us are set. An answer that
 * may not be told becomes a drop. The caller takes the next turn at once. */
void turns_finish(struct turns *t, struct seat *seat, struct frame *f);

/* Gives back the waiting frame, or NULL. A frame in work, or claimed, still comes. */
struct frame *turns_leave(struct turns *t, struct seat *seat);
