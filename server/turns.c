#include "server/turns.h"

/* Late frames in a row before the estimate is doubted: doubted at once, it would let hopeless
 * frames run where the work takes nearly all of the budget. */
#define LATE_DOUBTED 8
#define OWED_TURNS   2 /* for a late frame: with 1 the other of two sessions gets twice as much */

static void link_seat(struct turns *t, struct seat *seat, struct seat *prev, struct seat *next)
{
    seat->prev = prev;
    seat->next = next;
    *(prev ? &prev->next : &t->first) = seat;
    *(next ? &next->prev : &t->last) = seat;
    seat->in_line = true;
    t->n_in_line++;
}

static void unlink_seat(struct turns *t, struct seat *seat)
{
    *(seat->prev ? &seat->prev->next : &t->first) = seat->next;
    *(seat->next ? &seat->next->prev : &t->last) = seat->prev;
    seat->prev = seat->next = NULL;
    seat->in_line = false;
    t->n_in_line--;
}

/* Is there a worker that nobody in the line needs? One who was called may not have come
 * yet, so behind a frame that can be replaced no other is given away. */
static bool has_free_worker(const struct turns *t)
{
    return t->n_in_line == t->n_claimed && t->n_free > t->n_claimed;
}

/* Puts a seat with a waiting frame in the line, behind all whose last turn is older; with a
 * worker to spare, the frame is that worker's and cannot be replaced any more. Who had a turn
 * just now goes to the end at once. A called worker takes the head, and it is meant for the
 * claimed ones. */
static void stand_in_line(struct turns *t, struct seat *seat, bool is_worker_free)
{
    struct seat *prev = t->last;
    while (prev && prev->turn > seat->turn && !prev->claimed)
        prev = prev->prev;
    link_seat(t, seat, prev, prev ? prev->next : t->first);
    if (!is_worker_free)
        return;
    seat->claimed = seat->waiting;
    seat->waiting = NULL;
    seat->in_work = true;
    t->n_claimed++;
}

static void mark_dropped(struct seat *seat, struct frame *f, enum drop_reason reason)
{
    f->fate = FRAME_DROPPED;
    f->reason = reason;
    seat->dropped++;
}

static struct turns_outcome refuse(struct seat *seat, struct frame *f, enum verdict verdict,
                                   enum drop_reason reason)
{
    mark_dropped(seat, f, reason);
    return (struct turns_outcome){.verdict = verdict, .dropped = f};
}

static bool is_cheap(const struct turns *t, struct seat *seat)
{
    if (!t->here_below_us || !seat->kin)
        return false;
    cheap_start(&seat->cheap, seat->kin);
    return cheap_is(&seat->cheap);
}

bool turns_runs_here(const struct turns *t, struct seat *seat)
{
    bool is_idle = !seat->in_work && !seat->waiting;
    return is_idle && (t->always_here || is_cheap(t, seat));
}

static void count_received(const struct turns *t, struct seat *seat)
{
    if (seat->received++ == 0)
        seat->turn = t->n_turns; /* who is new is not ahead of those who wait */
}

void turns_miss(const struct turns *t, struct seat *seat)
{
    count_received(t, seat);
    seat->dropped++;
}

struct turns_outcome turns_submit(struct turns *t, struct seat *seat, struct frame *f)
{
    struct admit_view view = {.in_work = seat->in_work,
                              .waiting = seat->waiting != NULL,
                              .received = seat->received,
                              .dropped = seat->dropped};
    struct turns_outcome out = {.verdict = admit_frame(&t->rule, &view)};
    count_received(t, seat);
    if (out.verdict == VERDICT_BUSY)
        return refuse(seat, f, out.verdict, DROP_BUSY);
    if (out.verdict == VERDICT_RATE)
        return refuse(seat, f, out.verdict, DROP_RATE);
    if (seat->waiting) { /* VERDICT_REPLACE */
        out.dropped = seat->waiting;
        mark_dropped(seat, seat->waiting, DROP_REPLACED);
    }
    if (out.verdict == VERDICT_RUN && turns_runs_here(t, seat)) {
        seat->in_work = seat->here = out.here = true;
        seat->turn = ++t->n_turns;
        return out;
    }
    seat->waiting = f;
    if (out.verdict == VERDICT_RUN)
        stand_in_line(t, seat, has_free_worker(t));
    return out;
}

static struct frame *take_first(struct turns *t)
{
    struct seat *seat = t->first;
    struct frame *f = seat->claimed ? seat->claimed : seat->waiting;
    unlink_seat(t, seat);
    if (seat->claimed)
        t->n_claimed--;
    else
        seat->waiting = NULL;
    seat->claimed = NULL;
    seat->in_work = true;
    return f;
}

/* Its turn has come too late for this frame: the session's next one has it. */
static void give_up(struct turns *t, struct seat *seat, struct frame *f)
{
    mark_dropped(seat, f, DROP_LATE);
    if (++seat->n_late >= LATE_DOUBTED) /* one or two may well be late as expected */
        estimate_doubt(&seat->estimate);
    seat->in_work = false;
    seat->owed = OWED_TURNS;
    if (seat->waiting)
        stand_in_line(t, seat, false);
}

struct frame *turns_take(struct turns *t, uint64_t now_us, struct seat **seat)
{
    if (!t->first)
        return NULL;
    *seat = t->first;
    struct frame *f = take_first(t);
    uint64_t age_us = now_us > f->arrived_us ? now_us - f->arrived_us : 0;
    struct pickup_view view = {.age_us = age_us,
                               .expected_us = estimate_expected_us(&(*seat)->estimate),
                               .owed = (*seat)->owed > 0 && !t->first};
    if (!admit_pickup(&t->rule, &view)) {
        give_up(t, *seat, f);
        return f;
    }
    (*seat)->owed -= (*seat)->owed > 0;
    (*seat)->turn = ++t->n_turns;
    return f;
}

static void learn_cheap(struct turns *t, struct seat *seat, uint64_t took_us)
{
    if (!t->here_below_us || !seat->kin)
        return;
    cheap_add(&seat->cheap, took_us, t->here_below_us, seat->here);
    cheap_add(seat->kin, took_us, t->here_below_us, false); /* each seat pays for itself */
}

void turns_finish(struct turns *t, struct seat *seat, struct frame *f)
{
    uint64_t took_us = f->finished_us - f->started_us;
    seat->n_late = 0;
    estimate_add(&seat->estimate, took_us);
    learn_cheap(t, seat, took_us);
    if (f->fate == FRAME_ANSWERED && !admit_answer(&t->rule, took_us))
        mark_dropped(seat, f, DROP_LATE);
    seat->in_work = seat->here = false;
    if (seat->waiting)
        stand_in_line(t, seat, false);
}

struct frame *turns_leave(struct turns *t, struct seat *seat)
{
    struct frame *f = seat->waiting;
    seat->waiting = NULL;
    if (f && seat->in_line && !seat->claimed)
        unlink_seat(t, seat);
    return f;
}
