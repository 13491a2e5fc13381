#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/turns_bench.h"

/* Random walks: sessions that send and leave, workers that sleep, are called, come, take, run
 * and finish, in any order, with an invariant checker after each step. */

#define N_WORKERS_MAX 4
#define N_STEPS       4000

enum place { NOWHERE, AT_TURNS, AT_WORKER, GIVEN_BACK };

enum worker_state {
    ASLEEP, /* counted in n_free */
    CALLED, /* so is this one, and it will come */
    AWAKE,  /* about to take the next turn */
    BUSY
};

struct worker {
    enum worker_state state;
    struct frame *frame; /* BUSY */
    unsigned seat;
};

struct walk {
    struct bench *b;
    uint32_t random;
    struct worker worker[N_WORKERS_MAX];
    unsigned n_workers;
    uint8_t place[N_FRAMES]; /* enum place, by frame */
    uint8_t seat[N_FRAMES];
    struct frame *newest[N_SEATS];
    uint64_t submitted[N_SEATS], dropped[N_SEATS], answered, failed, left;
    uint64_t sum_submitted, sum_dropped; /* of all sessions */
    const char *fault;
};

static uint32_t pick(struct walk *w, uint32_t n)
{
    w->random = w->random * 1664525u + 1013904223u;
    return (w->random >> 8) % n;
}

static void blame(struct walk *w, bool is_fault, const char *what)
{
    if (is_fault && !w->fault)
        w->fault = what;
}

static unsigned frame_number(const struct walk *w, const struct frame *f)
{
    return (unsigned)(f - w->b->frame);
}

static void give_back(struct walk *w, struct frame *f)
{
    unsigned n = frame_number(w, f);
    blame(w, w->place[n] == GIVEN_BACK, "a frame came out twice");
    w->place[n] = GIVEN_BACK;
}

static void count_drop(struct walk *w, struct frame *f, enum drop_reason reason)
{
    blame(w, f->fate != FRAME_DROPPED || f->reason != reason, "a drop without its reason");
    w->dropped[w->seat[frame_number(w, f)]]++;
    w->sum_dropped++;
    give_back(w, f);
}

/* ---- what can happen ---- */

static void call_a_worker(struct walk *w)
{
    for (unsigned i = 0; i < w->n_workers; i++) {
        if (w->worker[i].state == ASLEEP) {
            w->worker[i].state = CALLED;
            return;
        }
    }
}

static void send(struct walk *w, unsigned seat)
{
    static const enum drop_reason reasons[] = {
        [VERDICT_REPLACE] = DROP_REPLACED, [VERDICT_BUSY] = DROP_BUSY, [VERDICT_RATE] = DROP_RATE};
    struct seat *s = &w->b->seat[seat];
    bool was_idle = !s->in_work && !s->waiting;
    struct frame *f = frame_now(w->b, w->submitted[seat]++);
    w->sum_submitted++;
    w->place[frame_number(w, f)] = AT_TURNS;
    w->seat[frame_number(w, f)] = (uint8_t)seat;
    w->newest[seat] = f;
    struct turns_outcome out = turns_submit(&w->b->turns, s, f);
    blame(w, (out.verdict == VERDICT_RUN) != was_idle && out.verdict != VERDICT_RATE,
          "an idle seat's frame is not run, or a busy one's is");
    blame(w, (out.dropped == NULL) != (out.verdict <= VERDICT_WAIT), "a verdict without its drop");
    if (out.dropped)
        count_drop(w, out.dropped, reasons[out.verdict]);
    if (out.verdict == VERDICT_RUN)
        call_a_worker(w);
}

static void take_turn(struct walk *w, struct worker *k)
{
    const struct admit_rule *rule = &w->b->turns.rule;
    const struct seat *first = w->b->turns.first;
    uint64_t expected_us = first ? estimate_expected_us(&first->estimate) : 0;
    bool is_owed = first && first->owed && !first->next; /* and nobody else waits */
    k->seat = take(w->b, &k->frame);
    if (!k->frame) {
        k->state = ASLEEP;
        w->b->turns.n_free++;
        return;
    }
    uint64_t age_us = w->b->now_us - k->frame->arrived_us;
    bool may_be_late = rule->budget_us && rule->policy != POLICY_PHASE17;
    if (k->frame->fate == FRAME_DROPPED) {
        blame(w, !may_be_late || age_us + expected_us <= rule->budget_us, "late before its time");
        blame(w, expected_us > rule->budget_us, "late where no frame makes it");
        blame(w, w->b->seat[k->seat].in_work, "in work, and dropped");
        count_drop(w, k->frame, DROP_LATE);
        return;
    }
    blame(w,
          may_be_late && !is_owed && expected_us <= rule->budget_us &&
              age_us + expected_us > rule->budget_us,
          "work is spent on a frame that is too late");
    for (unsigned i = 0; i < w->n_workers; i++)
        blame(w, w->worker[i].state == BUSY && w->worker[i].seat == k->seat,
              "two frames of a seat in work");
    w->place[frame_number(w, k->frame)] = AT_WORKER;
    k->state = BUSY;
}

static void finish_frame(struct walk *w, struct worker *k)
{
    struct frame *f = k->frame;
    const struct admit_rule *rule = &w->b->turns.rule;
    bool is_late = rule->budget_us && w->b->now_us - f->started_us > rule->budget_us;
    f->finished_us = w->b->now_us;
    f->fate = pick(w, 8) ? FRAME_ANSWERED : FRAME_FAILED;
    bool is_drop = f->fate == FRAME_ANSWERED && is_late && rule->policy == POLICY_PHASE17;
    turns_finish(&w->b->turns, &w->b->seat[k->seat], f);
    k->state = AWAKE;
    blame(w, is_drop != (f->fate == FRAME_DROPPED), "not the fate it was done with");
    if (f->fate == FRAME_DROPPED) {
        count_drop(w, f, DROP_LATE);
        return;
    }
    w->answered += f->fate == FRAME_ANSWERED;
    w->failed += f->fate == FRAME_FAILED;
    give_back(w, f);
}

static void step_worker(struct walk *w, struct worker *k)
{
    switch (k->state) {
    case ASLEEP:
        if (pick(w, 16)) /* seldom they wake up for nothing */
            return;
        /* fallthrough */
    case CALLED:
        k->state = AWAKE;
        w->b->turns.n_free--;
        return;
    case AWAKE:
        take_turn(w, k);
        return;
    case BUSY:
        finish_frame(w, k);
        return;
    }
}

/* The session goes; its seat is another's once no worker has a frame of it. */
static void leave(struct walk *w, unsigned seat)
{
    struct seat *s = &w->b->seat[seat];
    struct frame *f = turns_leave(&w->b->turns, s);
    if (f) {
        blame(w, f != w->newest[seat] && w->b->turns.rule.policy == POLICY_LATEST,
              "the waiting frame is not the newest");
        w->left++;
        give_back(w, f);
    }
    blame(w, s->waiting != NULL, "left, and still waiting");
    if (s->in_work)
        return;
    blame(w, s->in_line, "left, and still in line");
    *s = (struct seat){0};
    w->submitted[seat] = w->dropped[seat] = 0;
}

static void step(struct walk *w)
{
    uint32_t what = pick(w, 100);
    w->b->now_us += pick(w, 4) ? pick(w, 2000) : 0;
    if (what < 50)
        send(w, pick(w, pick(w, 2) ? N_SEATS : 2)); /* some send more than others */
    else if (what < 97)
        step_worker(w, &w->worker[pick(w, w->n_workers)]);
    else if (what < 99)
        leave(w, pick(w, N_SEATS));
    else
        w->b->now_us += 100000; /* everything stalls */
}

/* ---- what must hold ---- */

static void check_seat(struct walk *w, unsigned seat)
{
    const struct seat *s = &w->b->seat[seat];
    bool at_worker = false;
    for (unsigned i = 0; i < w->n_workers; i++)
        at_worker |= w->worker[i].state == BUSY && w->worker[i].seat == seat;
    blame(w, s->in_work != (at_worker || s->claimed), "in_work is wrong");
    blame(w, at_worker && s->claimed, "claimed beside one in work");
    blame(w, s->in_line != (s->claimed || (s->waiting && !s->in_work)),
          "not in line with a frame to run, or in line without");
    blame(w, s->waiting && s->waiting == s->claimed, "one frame in two places");
    blame(w, s->received != w->submitted[seat], "received is wrong");
    blame(w, s->dropped != w->dropped[seat], "dropped is wrong");
    blame(w,
          w->b->turns.rule.policy == POLICY_LATEST && s->waiting && s->waiting != w->newest[seat],
          "not the newest waits");
    blame(w, w->b->turns.rule.policy == POLICY_STRICT && s->waiting && s->in_work,
          "strict, and one waits beside the one in work");
}

/* received = answered + dropped + failed + what is still open, and no more than three of
 * those a seat. */
static void check_ledger(struct walk *w)
{
    uint64_t open = 0;
    for (unsigned seat = 0; seat < N_SEATS; seat++) {
        const struct seat *s = &w->b->seat[seat];
        const struct frame *held[] = {s->waiting, s->claimed};
        for (unsigned i = 0; i < N(held); i++) {
            open += held[i] != NULL;
            blame(w, held[i] && w->place[frame_number(w, held[i])] != AT_TURNS,
                  "the line has a frame that is not its own");
        }
    }
    for (unsigned i = 0; i < w->n_workers; i++)
        open += w->worker[i].state == BUSY;
    blame(w, w->sum_submitted != w->answered + w->sum_dropped + w->failed + w->left + open,
          "the ledger does not add up");
}

/* While a worker sleeps that nobody called, all that is in line is for those on their way. */
static void check_progress(struct walk *w)
{
    unsigned n_coming = 0, n_asleep = 0, n_free = 0;
    for (unsigned i = 0; i < w->n_workers; i++) {
        enum worker_state s = w->worker[i].state;
        n_coming += s == CALLED || s == AWAKE;
        n_asleep += s == ASLEEP;
        n_free += s == ASLEEP || s == CALLED;
    }
    blame(w, n_asleep && w->b->turns.n_in_line > n_coming, "a worker sleeps while a frame waits");
    blame(w, w->b->turns.n_free != n_free, "n_free is not the caller's any more");
}

/* Nothing stands in the line before a frame that a worker on its way was given, so it is there
 * before that worker is. */
static void check_order(struct walk *w)
{
    bool only_claimed = true;
    for (const struct seat *s = w->b->turns.first; s; s = s->next) {
        blame(w, s->claimed && !only_claimed, "a claimed frame stands behind another");
        only_claimed &= s->claimed != NULL;
    }
    unsigned n_coming = 0;
    for (unsigned i = 0; i < w->n_workers; i++)
        n_coming += w->worker[i].state == CALLED || w->worker[i].state == AWAKE;
    blame(w, w->b->turns.n_claimed > n_coming, "more is claimed than workers come");
}

static void check(struct walk *w, bool with_order)
{
    const char *fault = line_fault(&w->b->turns);
    blame(w, fault != NULL, fault);
    for (unsigned seat = 0; seat < N_SEATS; seat++)
        check_seat(w, seat);
    check_ledger(w);
    check_progress(w);
    if (with_order)
        check_order(w);
}

/* Nobody sends any more: all comes to its end by itself. */
static void run_dry(struct walk *w)
{
    for (unsigned round = 0; round < 4 * N_SEATS; round++)
        for (unsigned i = 0; i < w->n_workers; i++)
            if (w->worker[i].state != ASLEEP)
                step_worker(w, &w->worker[i]);
    blame(w, w->b->turns.first != NULL, "frames are left in the line");
    for (unsigned seat = 0; seat < N_SEATS; seat++)
        blame(w, w->b->seat[seat].in_work || w->b->seat[seat].waiting, "a frame is left behind");
    blame(w, w->sum_submitted != w->answered + w->sum_dropped + w->failed + w->left,
          "the ledger does not add up in the end");
}

static void walk_from(uint32_t seed, struct admit_rule rule, bool with_order)
{
    struct walk w = {.random = seed, .n_workers = 1 + seed % N_WORKERS_MAX};
    unsigned n = 0;
    w.b = bench_begin(rule, 0);
    for (unsigned i = 0; i < w.n_workers; i++)
        w.worker[i].state = AWAKE;
    while (n < N_STEPS && !w.fault) {
        step(&w);
        check(&w, with_order);
        n++;
    }
    if (!w.fault)
        run_dry(&w);
    if (!w.fault)
        check(&w, with_order);
    if (w.fault)
        fail_msg("seed %u, policy %d, budget %u, step %u: %s", seed, (int)rule.policy,
                 (unsigned)rule.budget_us, n, w.fault);
}

static void walk_under(enum policy policy, bool with_order)
{
    static const uint64_t budgets_us[] = {0, BUDGET_US, 5000, 1};
    for (uint32_t seed = 1; seed <= 100; seed++) {
        struct admit_rule rule = {policy, budgets_us[seed / N_WORKERS_MAX % N(budgets_us)], 0.10};
        if (seed % 2)
            rule.drop_threshold = 0.95; /* so that phase17 does more than to lock out */
        walk_from(seed, rule, with_order);
    }
}

static void latest_keeps_every_promise_on_any_walk(void **state)
{
    (void)state;
    walk_under(POLICY_LATEST, false);
}

static void strict_keeps_every_promise_on_any_walk(void **state)
{
    (void)state;
    walk_under(POLICY_STRICT, false);
}

static void phase17_keeps_every_promise_but_recovery_on_any_walk(void **state)
{
    (void)state;
    walk_under(POLICY_PHASE17, false);
}

static void what_is_claimed_is_the_head_of_the_line_on_any_walk(void **state)
{
    (void)state;
    walk_under(POLICY_PHASE17, true);
    walk_under(POLICY_STRICT, true);
    walk_under(POLICY_LATEST, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latest_keeps_every_promise_on_any_walk),
        cmocka_unit_test(strict_keeps_every_promise_on_any_walk),
        cmocka_unit_test(phase17_keeps_every_promise_but_recovery_on_any_walk),
        cmocka_unit_test(what_is_claimed_is_the_head_of_the_line_on_any_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
