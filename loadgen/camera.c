#include "loadgen/camera.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "loadgen/plan.h"

#define RING_FIRST 8u

int book_init(struct book *b, size_t n_parts, uint64_t warmup_us, uint64_t budget_us)
{
    memset(b, 0, sizeof *b);
    b->warmup_us = warmup_us;
    b->budget_us = budget_us;
    return record_init(&b->record, n_parts);
}

void book_deinit(struct book *b)
{
    record_deinit(&b->record);
}

static struct record_second *second_at(struct book *b, uint64_t now_us)
{
    struct record_second *s = record_now_at(&b->record, &b->now, now_us, b->sessions_open);
    if (!s)
        b->out_of_memory = true;
    return s ? s : &b->now.counts;
}

void book_count(struct book *b, size_t part, enum record_count what, uint64_t now_us)
{
    b->record.part[part].count[what]++;
    if (what == RECORD_SLOW_DOWNS)
        second_at(b, now_us)->slow_downs++;
    else if (what == RECORD_CONNECT_ERRORS)
        second_at(b, now_us)->connect_errors++;
}

void book_time(struct book *b, size_t part, enum record_time what, uint64_t us)
{
    hist_add(&b->record.part[part].time[what], us);
}

void camera_init(struct camera *c, uint32_t index, uint16_t part, const struct profile *profile,
                 uint64_t phase_us)
{
    *c = (struct camera){.index = index, .part = part, .profile = profile, .phase_us = phase_us};
    c->tally.index = index;
    c->tally.profile = part;
}

void camera_deinit(struct camera *c)
{
    free(c->ring);
    c->ring = NULL;
}

/* --- the schedule --- */

uint64_t camera_next_due_us(const struct camera *c)
{
    return plan_due_us(c->profile->fps_milli, c->phase_us, c->next_frame);
}

void camera_skip_to(struct camera *c, uint64_t at_us)
{
    uint64_t first = plan_first_frame(c->profile->fps_milli, c->phase_us, at_us);
    if (first > c->next_frame)
        c->next_frame = first;
}

/* --- the record --- */

/* The part that a frame is counted in; NULL: it was due during the warm-up. */
static struct record_part *part_of(const struct camera *c, struct book *b, uint64_t due_us)
{
    return due_us < b->warmup_us ? NULL : &b->record.part[c->part];
}

static void count_due(struct camera *c, struct book *b, uint64_t due_us, uint64_t now_us)
{
    struct record_part *p = part_of(c, b, due_us);
    second_at(b, now_us)->due++;
    if (!p)
        return;
    p->count[RECORD_DUE]++;
    c->tally.due++;
    hist_add(&p->time[RECORD_SLIP], clock_age_us(now_us, due_us));
}

static void count_missing(struct camera *c, struct book *b, enum record_count why, uint64_t due_us)
{
    struct record_part *p = part_of(c, b, due_us);
    if (!p)
        return;
    p->count[why]++;
    c->tally.missing += why != RECORD_HELD_BACK;
}

static enum record_count drop_reason(const char *name)
{
    static const enum record_count reasons[] = {RECORD_DROPPED_REPLACED, RECORD_DROPPED_LATE,
                                                RECORD_DROPPED_BUSY,     RECORD_DROPPED_RATE,
                                                RECORD_DROPPED_CLOSED,   RECORD_DROPPED_MEMORY};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(record_count_names[reasons[i]] + strlen("dropped_"), name) == 0)
            return reasons[i];
    return RECORD_DROPPED_OTHER;
}

static void count_stages(struct record_part *p, const struct proto_timing *t, uint64_t response_us)
{
    hist_add(&p->time[RECORD_WAIT], t->wait_us);
    hist_add(&p->time[RECORD_PIPELINE], t->pipeline_us);
    hist_add(&p->time[RECORD_SERVER], t->server_us);
    hist_add(&p->time[RECORD_NETWORK], clock_age_us(response_us, t->server_us));
}

static size_t coarse_bucket(uint64_t us)
{
    uint64_t v = us > UINT32_MAX ? UINT32_MAX : us;
    if (v < 1u << CAMERA_SUB_BITS)
        return (size_t)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - CAMERA_SUB_BITS;
    return ((size_t)shift << CAMERA_SUB_BITS) + (size_t)(v >> shift);
}

static uint64_t coarse_high_us(size_t bucket)
{
    size_t next = bucket + 1, shift = next >> CAMERA_SUB_BITS;
    if (shift <= 1)
        return next - 1;
    shift--;
    return ((uint64_t)(next - (shift << CAMERA_SUB_BITS)) << shift) - 1;
}

static void tally_answer(struct camera *c, uint64_t latency_us)
{
    c->tally.answered++;
    c->coarse[coarse_bucket(latency_us)]++;
    if (latency_us > c->tally.max_us)
        c->tally.max_us = latency_us;
}

static void count_result(struct camera *c, struct book *b, const struct camera_frame *f,
                         const struct proto_message *m, uint64_t now_us)
{
    uint64_t latency_us = clock_age_us(now_us, f->due_us);
    uint64_t response_us = clock_age_us(now_us, f->sent_us);
    struct record_second *s = second_at(b, now_us);
    struct record_part *p = part_of(c, b, f->due_us);
    bool late = latency_us > b->budget_us;
    s->answered++;
    s->late += late;
    hist_add(&b->now.latency, latency_us);
    if (!p)
        return;
    p->count[RECORD_ANSWERED]++;
    p->count[RECORD_LATE] += late;
    hist_add(&p->time[RECORD_LATENCY], latency_us);
    hist_add(&p->time[RECORD_RESPONSE], response_us);
    if (m->has_timing)
        count_stages(p, &m->timing, response_us);
    tally_answer(c, latency_us);
}

static void count_drop(struct camera *c, struct book *b, const struct camera_frame *f,
                       const struct proto_message *m, uint64_t now_us)
{
    struct record_part *p = part_of(c, b, f->due_us);
    second_at(b, now_us)->dropped++;
    if (!p)
        return;
    p->count[RECORD_DROPPED]++;
    p->count[drop_reason(m->name)]++;
    hist_add(&p->time[RECORD_DROP_LATENCY], clock_age_us(now_us, f->due_us));
    c->tally.dropped++;
}

/* --- the ring --- */

static struct camera_frame *at(const struct camera *c, uint64_t index)
{
    return &c->ring[index & (c->ring_cap - 1)];
}

static bool make_room(struct camera *c)
{
    uint64_t cap = c->ring_cap ? c->ring_cap * 2 : RING_FIRST;
    if (c->end - c->first < c->ring_cap)
        return true;
    struct camera_frame *ring = malloc(cap * sizeof *ring);
    if (!ring)
        return false;
    for (uint64_t i = c->first; i < c->end; i++)
        ring[i & (cap - 1)] = *at(c, i);
    free(c->ring);
    c->ring = ring;
    c->ring_cap = cap;
    return true;
}

static void settle(struct camera *c, struct camera_frame *f)
{
    f->state = FRAME_SETTLED;
    c->n_open--;
    while (c->first < c->end && at(c, c->first)->state == FRAME_SETTLED)
        c->first++;
}

void camera_queue(struct camera *c, struct book *b, uint64_t now_us)
{
    uint64_t due_us = camera_next_due_us(c);
    if (!make_room(c)) {
        b->out_of_memory = true;
        camera_give_up(c, b, RECORD_LOST, now_us);
        return;
    }
    c->next_frame++;
    count_due(c, b, due_us, now_us);
    *at(c, c->end++) =
        (struct camera_frame){.due_us = due_us, .looked_us = now_us, .state = FRAME_QUEUED};
    c->n_open++;
}

void camera_give_up(struct camera *c, struct book *b, enum record_count why, uint64_t now_us)
{
    uint64_t due_us = camera_next_due_us(c);
    c->next_frame++;
    count_due(c, b, due_us, now_us);
    count_missing(c, b, why, due_us);
}

bool camera_has_queued(const struct camera *c)
{
    return c->n_sent < c->end;
}

void camera_on_sent(struct camera *c, struct book *b, size_t n_bytes, uint64_t now_us)
{
    struct camera_frame *f = at(c, c->n_sent++);
    struct record_part *p = part_of(c, b, f->due_us);
    f->sent_us = now_us;
    f->state = FRAME_SENT;
    second_at(b, now_us)->sent++;
    if (!p)
        return;
    p->count[RECORD_SENT]++;
    p->count[RECORD_SENT_BYTES] += n_bytes;
    hist_add(&p->time[RECORD_BLOCKED], clock_age_us(now_us, f->looked_us));
}

bool camera_on_answer(struct camera *c, struct book *b, const struct proto_message *m,
                      uint64_t now_us, struct camera_frame *out)
{
    if (m->frame_index < c->first || m->frame_index >= c->n_sent)
        return false;
    struct camera_frame *f = at(c, m->frame_index);
    if (f->state != FRAME_SENT)
        return false;
    *out = *f;
    if (m->frame_index == 0)
        book_time(b, c->part, RECORD_FIRST_ANSWER, clock_age_us(now_us, f->sent_us));
    if (m->kind == PROTO_RESULT)
        count_result(c, b, f, m, now_us);
    else
        count_drop(c, b, f, m, now_us);
    settle(c, f);
    return true;
}

static void give_up_sent(struct camera *c, struct book *b, struct camera_frame *f, uint64_t now_us)
{
    second_at(b, now_us)->unanswered++;
    count_missing(c, b, RECORD_UNANSWERED, f->due_us);
    settle(c, f);
}

void camera_expire(struct camera *c, struct book *b, uint64_t timeout_us, uint64_t now_us)
{
    while (c->first < c->n_sent && at(c, c->first)->sent_us + timeout_us <= now_us)
        give_up_sent(c, b, at(c, c->first), now_us);
}

void camera_on_disconnect(struct camera *c, struct book *b, uint64_t now_us)
{
    for (uint64_t i = c->first; i < c->end; i++) {
        struct camera_frame *f = at(c, i);
        if (f->state == FRAME_SENT) {
            give_up_sent(c, b, f, now_us);
        } else if (f->state == FRAME_QUEUED) {
            count_missing(c, b, RECORD_LOST, f->due_us);
            settle(c, f);
        }
    }
    c->first = c->n_sent = c->end = 0;
}

/* --- the end --- */

static uint64_t coarse_p99_us(const struct camera *c)
{
    uint64_t seen = 0, wanted = c->tally.answered - c->tally.answered / 100;
    for (size_t i = 0; i < CAMERA_BUCKETS; i++) {
        seen += c->coarse[i];
        if (seen >= wanted)
            return coarse_high_us(i) < c->tally.max_us ? coarse_high_us(i) : c->tally.max_us;
    }
    return c->tally.max_us;
}

void camera_finish(struct camera *c, struct book *b)
{
    if (c->tally.answered)
        c->tally.p99_us = coarse_p99_us(c);
    record_add_session(&b->record, &c->tally);
}
