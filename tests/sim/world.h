/* world.h - the server's decisions on a virtual clock: sessions, workers, an I/O thread.
 *
 * What decides is the real thing: turns.c with admit.c and estimate.c, pressure.c,
 * ledger.c, and frames without data. What surrounds it in sched.c and session.c
 * is modelled: a worker that is called needs wake_us to come, one that has finished
 * needs gap_us until it looks for the next turn (sched.c opens its lock there), and
 * the I/O thread needs collect_us until it tells the fate of a finished frame.
 *
 * Cameras do not care how the server is doing, so what happens to a world is a
 * list of inputs, made beforehand or as it goes: a run can be repeated, cut
 * and shrunk.
 *
 * After every event these are checked; the first that does not hold ends the run:
 *
 *   ledger       received = answered + dropped + failed + open, of the session and in
 *                all, with `open` counted where the frames are: waiting, claimed, in
 *                work, finished.
 *   room         at most one frame in work and one waiting a session.
 *   line         n_in_line, n_claimed, n_free and the links are right; who has a frame
 *                to run, and none in work, is in line, and nobody else is; what is
 *                promised to a free worker is at the head.
 *   progress     never a frame in line and a free worker that nobody has called.
 *   turns        while a seat stands in line every other one has a bounded number of turns.
 *   newest       what is run is the newest frame of its session that was let in, or was
 *                promised to a free worker before the newer one came.
 *   age          no answer is older than its bound, below.
 *   recovery     a session none of whose last PRESSURE_WINDOW frames was dropped is in
 *                state normal.
 *
 * The bound of an answer's age is that of its age at pick-up and the time s that its
 * pipeline took. With a budget and an expected time e within it, a frame is picked up at
 * an age of at most budget - e; its answer is no older than budget + (s - e), late by
 * what the estimate was wrong and by no more. Where e is above the budget no frame
 * makes it, and the newest is run anyway, as it is without a budget, and as the next
 * two frames of a seat are that lost a turn by being late: less than one
 * interval old while the camera is on, for otherwise it had been replaced. The last
 * frame before a camera goes off has to wait for its turn: with n sessions, W workers,
 * and m the longest that anything has occupied a worker, at most (4 n / W + 3) m: one m
 * for its session's frame in work, the turns of every other seat and what was in work
 * before them shared by W workers, one m for a worker that is called and has not come.
 *
 * The links of the line are walked after every event in small worlds, else now
 * and then. Threads: one at a time.
 */
#pragma once

#include "common/hist.h"
#include "server/pressure.h"
#include "server/turns.h"
#include "tests/sim/sim.h"

enum input_kind {
    INPUT_FRAME, /* of session `who`; its pipeline takes for_us */
    INPUT_FAIL,  /* the same, and the pipeline fails */
    INPUT_STALL, /* worker `who` makes no progress for for_us */
    INPUT_WAKE,  /* worker `who` wakes up though nobody called it */
    INPUT_LEAVE, /* session `who` hangs up; all are there from the beginning */
    INPUT_JOIN,  /* a new one in its place */
    INPUT_KINDS
};

struct input {
    uint64_t at_us;
    enum input_kind kind;
    uint32_t who;
    uint64_t for_us;
};

/* Mistakes made on purpose, to see that the checks find them. */
enum world_bug {
    BUG_NONE,
    BUG_LOSES_REPLACED, /* a frame replaced while a worker stalls is forgotten */
    BUG_CALLS_NOBODY,   /* a frame that arrives when its session joined again calls no worker */
    BUG_RUNS_LATE,      /* a frame that was too late at its turn is run after all */
    BUG_COUNTS_FAILED,  /* a failed frame is not counted */
    BUGS
};

const char *world_bug_name(enum world_bug bug);

struct world_settings {
    struct admit_rule rule;
    struct pressure_limits limits;
    unsigned n_sessions, n_workers;
    uint64_t wake_us, gap_us, collect_us;
    enum world_bug bug;
};

struct world_session {
    struct seat seat;
    struct pressure pressure;
    struct ledger ledger;          /* of all that had this place */
    bool is_open, has_left, joins; /* joins: as soon as the old one's frames are back */
    unsigned n_work, n_finished;   /* frames at workers; frames nobody has told the fate of */
    unsigned n_kept;               /* frames since the last drop */
    uint64_t newest_us;            /* arrival of the newest frame that was let in */
    uint64_t runs_at_stand;        /* runs in all when it came into the line */
    uint64_t within_budget;        /* answers told in time */
    uint64_t work_us;              /* of its answered frames */
    bool stood;
};

enum worker_state { WORKER_FREE, WORKER_CALLED, WORKER_GOING, WORKER_BUSY };

struct world_worker {
    enum worker_state state;
    struct frame *work;
    uint64_t since_us, stalled_until_us;
    uint64_t due; /* only the event with this tag counts */
};

struct world {
    struct world_settings set;
    struct sim sim;
    struct turns turns;
    struct world_session *session;
    struct world_worker *worker;
    struct frame *finished, **finished_end, *idle; /* idle: for reuse */
    bool collecting;
    struct ledger total;
    uint64_t n_open, n_runs, n_events;
    uint64_t occupied_max_us; /* the longest that anything kept a worker */
    struct hist age;          /* of answers, arrival to told */
    uint64_t within_budget;   /* answers told in time; all of them without a budget */

    /* Called when the fate of a frame is told; NULL is fine. */
    void (*on_told)(void *ctx, const struct world *w, uint32_t session, const struct frame *f);
    void *ctx;

    const char *broken; /* the name of the check; NULL while all hold */
    char detail[160];
};

void world_init(struct world *w, const struct world_settings *set);
void world_deinit(struct world *w);

/* Lets everything happen that is due by until_us. */
void world_advance(struct world *w, uint64_t until_us);

/* Advances to in->at_us and lets it happen. An input that makes no sense (a session that
 * is not there, no such worker) is passed over, so that a script may be cut anywhere. */
void world_input(struct world *w, const struct input *in);

/* Lets what is in work be finished and told. */
void world_drain(struct world *w);
