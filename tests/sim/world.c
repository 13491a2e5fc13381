#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum event { EVENT_COME, EVENT_DONE, EVENT_GO, EVENT_COLLECT };

struct sim_frame {
    struct frame f; /* first: the server sees no more of it */
    uint32_t session;
    uint64_t work_us, expected_us;
    bool fails, promised; /* promised: a free worker's before it came */
    bool owed;            /* run however late: its session lost a turn */
};

static struct sim_frame *sim_frame(struct frame *f)
{
    return (struct sim_frame *)f;
}

const char *world_bug_name(enum world_bug bug)
{
    static const char *const names[BUGS] = {"none", "loses_replaced", "calls_nobody", "runs_late",
                                            "counts_failed"};
    return names[bug];
}

/* ---- checks ---- */

__attribute__((format(printf, 3, 4))) static void breaks(struct world *w, const char *check,
                                                         const char *fmt, ...)
{
    va_list ap;
    if (w->broken)
        return;
    w->broken = check;
    va_start(ap, fmt);
    vsnprintf(w->detail, sizeof w->detail, fmt, ap);
    va_end(ap);
}

static void check_seat(struct world *w, uint32_t i)
{
    const struct world_session *s = &w->session[i];
    const struct seat *seat = &s->seat;
    unsigned at_work = s->n_work + (seat->claimed != NULL);
    unsigned held = at_work + (seat->waiting != NULL) + s->n_finished;
    if (ledger_open(&s->ledger) != held)
        breaks(w, "ledger", "session %u: %llu open by its ledger, %u found", i,
               (unsigned long long)ledger_open(&s->ledger), held);
    if (at_work > 1 || seat->in_work != (at_work == 1))
        breaks(w, "room", "session %u: %u frames in work, in_work %d", i, at_work, seat->in_work);
    if (w->set.rule.policy == POLICY_STRICT && seat->waiting && seat->in_work)
        breaks(w, "room", "session %u: a frame waits behind one in work", i);
    if (seat->in_line != ((seat->waiting && !seat->in_work) || seat->claimed))
        breaks(w, "line", "session %u: in_line %d, waiting %d, in_work %d", i, seat->in_line,
               seat->waiting != NULL, seat->in_work);
    if (s->n_kept >= PRESSURE_WINDOW && s->pressure.state != PRESSURE_NORMAL)
        breaks(w, "recovery", "session %u: %s after %u frames without a drop", i,
               pressure_state_name(s->pressure.state), s->n_kept);
}

static void check_workers(struct world *w)
{
    unsigned n[WORKER_BUSY + 1] = {0};
    for (unsigned i = 0; i < w->set.n_workers; i++)
        n[w->worker[i].state]++;
    unsigned coming = n[WORKER_CALLED] + n[WORKER_GOING];
    unsigned able = coming + n[WORKER_FREE];
    unsigned wanted = w->turns.n_in_line < able ? w->turns.n_in_line : able;
    if (w->turns.n_free != n[WORKER_FREE] + n[WORKER_CALLED])
        breaks(w, "line", "%u free workers counted, %u found", w->turns.n_free,
               n[WORKER_FREE] + n[WORKER_CALLED]);
    if (coming < wanted)
        breaks(w, "progress", "%u in line, %u workers free, %u of them coming", w->turns.n_in_line,
               able, coming);
}

static void check_line(struct world *w)
{
    const struct turns *t = &w->turns;
    const struct seat *last = NULL;
    unsigned n = 0, n_claimed = 0;
    for (const struct seat *s = t->first; s && n <= w->set.n_sessions; s = s->next) {
        if (s->prev != last || !s->in_line)
            breaks(w, "line", "the %uth seat's links are wrong", n);
        if (s->claimed && n_claimed < n)
            breaks(w, "line", "a claimed frame stands behind one that is not");
        n_claimed += s->claimed != NULL;
        n++;
        last = s;
    }
    if (t->last != last || t->n_in_line != n || t->n_claimed != n_claimed)
        breaks(w, "line", "%u in line counted, %u found; %u claimed counted, %u found",
               t->n_in_line, n, t->n_claimed, n_claimed);
}

static void check_all(struct world *w)
{
    struct ledger sum = {0};
    check_line(w);
    for (uint32_t i = 0; i < w->set.n_sessions; i++) {
        check_seat(w, i);
        ledger_add(&sum, &w->session[i].ledger);
    }
    if (sum.received != w->total.received || ledger_open(&sum) != w->n_open)
        breaks(w, "ledger", "the sessions' ledgers do not add up");
}

#define SMALL 8

/* After every event; what takes as long as there are sessions not every time. */
static void check(struct world *w)
{
    w->n_events++;
    if (ledger_open(&w->total) != w->n_open)
        breaks(w, "ledger", "in all: %llu open by the ledger, %llu found",
               (unsigned long long)ledger_open(&w->total), (unsigned long long)w->n_open);
    check_workers(w);
    if (w->set.n_sessions <= SMALL || w->n_events % (4u * w->set.n_sessions) == 0)
        check_all(w);
}

static uint64_t longest_occupied_us(struct world *w)
{
    uint64_t longest_us = w->occupied_max_us;
    for (unsigned i = 0; i < w->set.n_workers; i++) {
        uint64_t us = w->sim.now_us - w->worker[i].since_us;
        if (w->worker[i].state != WORKER_FREE && us > longest_us)
            longest_us = us;
    }
    return longest_us;
}

/* Of one seat while another stands in line: its own, and what turns.h lets a seat that
 * lost turns make up for. */
#define TURNS_MAX 4u

static void check_age(struct world *w, const struct sim_frame *sf, uint64_t age_us)
{
    const struct admit_rule *rule = &w->set.rule;
    uint64_t m_us = longest_occupied_us(w);
    uint64_t bound_us = TURNS_MAX * w->set.n_sessions * m_us / w->set.n_workers + 3 * m_us;
    if (!sf->owed && rule->budget_us && rule->policy != POLICY_PHASE17 &&
        sf->expected_us <= rule->budget_us && bound_us > rule->budget_us - sf->expected_us)
        bound_us = rule->budget_us - sf->expected_us;
    if (age_us > bound_us)
        breaks(w, "age", "session %u: picked up at an age of %llu us, the bound is %llu us",
               sf->session, (unsigned long long)age_us, (unsigned long long)bound_us);
}

/* Right before the frame runs. */
static void check_run(struct world *w, const struct sim_frame *sf)
{
    const struct world_session *s = &w->session[sf->session];
    uint64_t turns = w->n_runs - s->runs_at_stand;
    check_age(w, sf, w->sim.now_us - sf->f.arrived_us);
    if (!sf->promised && sf->f.arrived_us < s->newest_us)
        breaks(w, "newest", "session %u: frame %llu is run, and a newer one was dropped",
               sf->session, (unsigned long long)sf->f.index);
    if (turns >= TURNS_MAX * w->set.n_sessions)
        breaks(w, "turns", "session %u: %llu turns of others while it stood in line", sf->session,
               (unsigned long long)turns);
}

/* When did it come into the line? */
static void look_at_seat(struct world *w, struct world_session *s)
{
    if (s->seat.in_line && !s->stood)
        s->runs_at_stand = w->n_runs;
    s->stood = s->seat.in_line;
    if (s->seat.claimed)
        sim_frame(s->seat.claimed)->promised = true;
}

/* ---- fates ---- */

static void hang_up(struct world *w, struct world_session *s);

static void open_session(struct world_session *s)
{
    s->joins = false;
    s->is_open = true;
    s->seat = (struct seat){0};
    s->pressure = (struct pressure){0};
    s->n_kept = 0;
    s->newest_us = 0;
    s->stood = false;
}

static void feel_pressure(struct world *w, struct world_session *s, bool dropped)
{
    pressure_add(&s->pressure, &w->set.limits, dropped, w->sim.now_us);
    s->n_kept = dropped ? 0 : s->n_kept + 1;
}

static void count_answer(struct world *w, struct world_session *s, const struct sim_frame *sf)
{
    uint64_t age_us = w->sim.now_us - sf->f.arrived_us;
    bool in_time = !w->set.rule.budget_us || age_us <= w->set.rule.budget_us;
    hist_add(&w->age, age_us);
    s->within_budget += in_time;
    w->within_budget += in_time;
    s->work_us += sf->work_us;
    s->ledger.answered++;
    w->total.answered++;
}

/* Takes f. As session.c does: a session that has ended drops what still comes. */
static void tell(struct world *w, struct frame *f)
{
    struct world_session *s = &w->session[sim_frame(f)->session];
    enum frame_fate fate = s->is_open ? f->fate : FRAME_DROPPED;
    if (!s->is_open)
        f->reason = DROP_CLOSED;
    w->n_open--;
    if (fate == FRAME_ANSWERED) {
        count_answer(w, s, sim_frame(f));
    } else if (fate == FRAME_DROPPED) {
        s->ledger.dropped[f->reason]++;
        w->total.dropped[f->reason]++;
    } else if (w->set.bug != BUG_COUNTS_FAILED) {
        s->ledger.failed++;
        w->total.failed++;
    }
    f->fate = fate;
    if (w->on_told)
        w->on_told(w->ctx, w, sim_frame(f)->session, f);
    if (fate == FRAME_FAILED)
        hang_up(w, s);
    else if (s->is_open)
        feel_pressure(w, s, fate == FRAME_DROPPED);
    f->next = w->idle;
    w->idle = f;
}

static void hang_up(struct world *w, struct world_session *s)
{
    if (!s->is_open)
        return;
    s->is_open = false;
    s->has_left = true;
    struct frame *f = turns_leave(&w->turns, &s->seat);
    look_at_seat(w, s);
    if (f)
        tell(w, f);
}

static void put_finished(struct world *w, struct frame *f)
{
    w->session[sim_frame(f)->session].n_finished++;
    f->next = NULL;
    *w->finished_end = f;
    w->finished_end = &f->next;
    if (!w->collecting)
        sim_put(&w->sim, &(struct sim_event){.at_us = w->sim.now_us + w->set.collect_us,
                                             .kind = EVENT_COLLECT});
    w->collecting = true;
}

static void collect(struct world *w)
{
    struct frame *f = w->finished;
    w->finished = NULL;
    w->finished_end = &w->finished;
    w->collecting = false;
    while (f) {
        struct frame *next = f->next;
        uint32_t i = sim_frame(f)->session;
        struct world_session *s = &w->session[i];
        s->n_finished--;
        tell(w, f);
        if (s->joins && !ledger_open(&s->ledger))
            open_session(s);
        check_seat(w, i);
        f = next;
    }
}

/* ---- workers ---- */

static void worker_at(struct world *w, uint32_t i, enum event kind, uint64_t in_us)
{
    struct world_worker *me = &w->worker[i];
    uint64_t at_us = w->sim.now_us + in_us;
    if (me->stalled_until_us > w->sim.now_us)
        at_us = me->stalled_until_us + in_us;
    me->due++;
    sim_put(&w->sim, &(struct sim_event){.at_us = at_us, .kind = kind, .who = i, .tag = me->due});
}

static void worker_is(struct world *w, uint32_t i, enum worker_state state)
{
    struct world_worker *me = &w->worker[i];
    uint64_t us = w->sim.now_us - me->since_us;
    if (me->state != WORKER_FREE && us > w->occupied_max_us)
        w->occupied_max_us = us;
    me->state = state;
    me->since_us = w->sim.now_us;
}

/* As a condition variable does: whoever has waited longest, if anybody waits. */
static void call_worker(struct world *w)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < w->set.n_workers; i++) {
        const struct world_worker *it = &w->worker[i];
        if (it->state == WORKER_FREE &&
            (best == UINT32_MAX || it->since_us < w->worker[best].since_us))
            best = i;
    }
    if (best == UINT32_MAX)
        return;
    worker_is(w, best, WORKER_CALLED);
    worker_at(w, best, EVENT_COME, w->set.wake_us);
}

static void run(struct world *w, uint32_t i, struct frame *f)
{
    struct world_session *s = &w->session[sim_frame(f)->session];
    check_run(w, sim_frame(f));
    w->n_runs++;
    s->n_work++;
    f->started_us = w->sim.now_us;
    w->worker[i].work = f;
    worker_is(w, i, WORKER_BUSY);
    worker_at(w, i, EVENT_DONE, sim_frame(f)->work_us);
}

/* A worker's loop: turns until it has one to run or there are none. */
static void look_for_turn(struct world *w, uint32_t i)
{
    struct seat *seat;
    struct frame *f;
    /* Run however late it is: its session lost a turn, and nobody else wants this one. */
    bool owed = w->turns.first && w->turns.first->owed && !w->turns.first->next;
    uint64_t expected_us = w->turns.first ? estimate_expected_us(&w->turns.first->estimate) : 0;
    while ((f = turns_take(&w->turns, w->sim.now_us, &seat))) {
        uint32_t session = sim_frame(f)->session;
        sim_frame(f)->expected_us = expected_us;
        sim_frame(f)->owed = owed;
        owed = w->turns.first && w->turns.first->owed && !w->turns.first->next;
        expected_us = w->turns.first ? estimate_expected_us(&w->turns.first->estimate) : 0;
        if (f->fate == FRAME_DROPPED && w->set.bug == BUG_RUNS_LATE)
            f->fate = FRAME_ANSWERED;
        bool runs = f->fate != FRAME_DROPPED;
        if (runs)
            run(w, i, f);
        else
            put_finished(w, f);
        look_at_seat(w, &w->session[session]);
        check_seat(w, session);
        if (runs)
            return;
    }
    worker_is(w, i, WORKER_FREE);
    w->turns.n_free++;
}

static void finish(struct world *w, uint32_t i)
{
    struct frame *f = w->worker[i].work;
    uint32_t session = sim_frame(f)->session;
    struct world_session *s = &w->session[session];
    w->worker[i].work = NULL;
    f->finished_us = w->sim.now_us;
    f->fate = sim_frame(f)->fails ? FRAME_FAILED : FRAME_ANSWERED;
    s->n_work--;
    turns_finish(&w->turns, &s->seat, f);
    put_finished(w, f);
    look_at_seat(w, s);
    check_seat(w, session);
    worker_is(w, i, WORKER_GOING);
    if (w->set.gap_us)
        worker_at(w, i, EVENT_GO, w->set.gap_us);
    else
        look_for_turn(w, i);
}

static void on_event(struct world *w, const struct sim_event *ev)
{
    if (ev->kind == EVENT_COLLECT) {
        collect(w);
        return;
    }
    if (ev->tag != w->worker[ev->who].due)
        return; /* a stall has put it off */
    switch (ev->kind) {
    case EVENT_COME:
        w->turns.n_free--;
        look_for_turn(w, ev->who);
        break;
    case EVENT_GO:
        look_for_turn(w, ev->who);
        break;
    case EVENT_DONE:
        finish(w, ev->who);
        break;
    }
}

void world_advance(struct world *w, uint64_t until_us)
{
    struct sim_event ev;
    while (!w->broken && sim_next(&w->sim, until_us, &ev)) {
        on_event(w, &ev);
        check(w);
    }
}

/* ---- inputs ---- */

static struct frame *get_frame(struct world *w)
{
    struct frame *f = w->idle;
    if (f)
        w->idle = f->next;
    else
        f = malloc(sizeof(struct sim_frame));
    if (!f)
        abort();
    return f;
}

static void arrive(struct world *w, const struct input *in)
{
    struct world_session *s = &w->session[in->who];
    struct sim_frame *sf = sim_frame(get_frame(w));
    *sf = (struct sim_frame){
        .f = {.index = s->ledger.received++, .arrived_us = w->sim.now_us},
        .session = in->who,
        .work_us = in->for_us,
        .fails = in->kind == INPUT_FAIL,
    };
    w->total.received++;
    w->n_open++;
    struct turns_outcome out = turns_submit(&w->turns, &s->seat, &sf->f);
    if (out.dropped != &sf->f)
        s->newest_us = w->sim.now_us;
    look_at_seat(w, s);
    bool forgets = false;
    for (unsigned i = 0; w->set.bug == BUG_LOSES_REPLACED && i < w->set.n_workers; i++)
        forgets |= w->worker[i].stalled_until_us > w->sim.now_us;
    if (out.dropped && !(forgets && out.verdict == VERDICT_REPLACE))
        tell(w, out.dropped);
    else if (out.dropped)
        free(out.dropped);
    if (out.verdict == VERDICT_RUN && !(w->set.bug == BUG_CALLS_NOBODY && s->has_left))
        call_worker(w);
    check_seat(w, in->who);
}

/* Whatever it was about to do happens that much later. */
static void stall(struct world *w, uint32_t i, uint64_t for_us)
{
    struct world_worker *me = &w->worker[i];
    uint64_t late_us = w->sim.now_us + for_us;
    if (me->stalled_until_us >= late_us)
        return;
    uint64_t more_us =
        late_us - (me->stalled_until_us > w->sim.now_us ? me->stalled_until_us : w->sim.now_us);
    me->stalled_until_us = late_us;
    for (size_t k = 0; k < w->sim.n; k++) {
        struct sim_event ev = w->sim.heap[k];
        if (ev.kind == EVENT_COLLECT || ev.who != i || ev.tag != me->due)
            continue;
        me->due++; /* the one in the heap does not count any more */
        ev.tag = me->due;
        ev.at_us += more_us;
        sim_put(&w->sim, &ev);
        break;
    }
}

static void on_session_input(struct world *w, const struct input *in)
{
    struct world_session *s = &w->session[in->who];
    if (in->kind == INPUT_LEAVE) {
        s->joins = false;
        hang_up(w, s);
    } else if (in->kind == INPUT_JOIN) {
        s->joins = !s->is_open;
        if (s->joins && !ledger_open(&s->ledger))
            open_session(s);
    } else if (s->is_open) {
        arrive(w, in);
    }
    check_seat(w, in->who);
}

static void on_worker_input(struct world *w, const struct input *in)
{
    if (in->kind == INPUT_STALL) {
        stall(w, in->who, in->for_us);
    } else if (w->worker[in->who].state == WORKER_FREE) {
        worker_is(w, in->who, WORKER_CALLED);
        worker_at(w, in->who, EVENT_COME, w->set.wake_us);
    }
}

void world_input(struct world *w, const struct input *in)
{
    bool of_worker = in->kind == INPUT_STALL || in->kind == INPUT_WAKE;
    world_advance(w, in->at_us);
    if (w->broken || in->who >= (of_worker ? w->set.n_workers : w->set.n_sessions))
        return;
    if (of_worker)
        on_worker_input(w, in);
    else
        on_session_input(w, in);
    check(w);
}

void world_drain(struct world *w)
{
    while (!w->broken && w->sim.n)
        world_advance(w, w->sim.heap[0].at_us);
    if (w->broken)
        return;
    check_all(w);
    if (w->n_open)
        breaks(w, "progress", "%llu frames are still there when nothing is left to happen",
               (unsigned long long)w->n_open);
}

void world_init(struct world *w, const struct world_settings *set)
{
    *w = (struct world){.set = *set, .turns = {.rule = set->rule, .n_free = set->n_workers}};
    w->finished_end = &w->finished;
    w->session = calloc(set->n_sessions, sizeof *w->session);
    w->worker = calloc(set->n_workers, sizeof *w->worker);
    if (!w->session || !w->worker)
        abort();
    for (unsigned i = 0; i < set->n_sessions; i++)
        w->session[i].is_open = true;
}

static void free_list(struct frame *f)
{
    while (f) {
        struct frame *next = f->next;
        free(f);
        f = next;
    }
}

void world_deinit(struct world *w)
{
    for (unsigned i = 0; i < w->set.n_sessions; i++) {
        free(w->session[i].seat.waiting);
        free(w->session[i].seat.claimed);
    }
    for (unsigned i = 0; i < w->set.n_workers; i++)
        free(w->worker[i].work);
    free_list(w->finished);
    free_list(w->idle);
    free(w->session);
    free(w->worker);
    sim_deinit(&w->sim);
}
