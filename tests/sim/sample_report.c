#include "tests/sim/sample_report.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Two dice make a hump, and the third, now and then, a tail. */
static uint64_t draw_us(uint64_t *state, bool slow)
{
    uint64_t base_us = slow ? 14000 : 6000;
    uint64_t v = base_us + next_random(state) % base_us + next_random(state) % base_us;
    return next_random(state) % 200 == 0 ? v * 3 : v;
}

static void add_times(struct record_part *p, uint64_t latency_us, uint64_t *random)
{
    uint64_t slip_us = next_random(random) % 300, network_us = 200 + next_random(random) % 400;
    uint64_t server_us = latency_us - slip_us - network_us;
    hist_add(&p->time[RECORD_LATENCY], latency_us);
    hist_add(&p->time[RECORD_SLIP], slip_us);
    hist_add(&p->time[RECORD_BLOCKED], 0);
    hist_add(&p->time[RECORD_RESPONSE], latency_us - slip_us);
    hist_add(&p->time[RECORD_SERVER], server_us);
    hist_add(&p->time[RECORD_WAIT], server_us / 3);
    hist_add(&p->time[RECORD_PIPELINE], server_us / 2);
    hist_add(&p->time[RECORD_NETWORK], network_us);
}

static void add_frame(struct record *r, struct record_now *now, size_t part, uint64_t at_us,
                      uint64_t *random)
{
    struct record_part *p = &r->part[part];
    uint64_t n = p->count[RECORD_DUE]++;
    bool slow = now->second % 9 >= 3 && now->second % 9 < 6;
    struct record_second *s = record_now_at(r, now, at_us, 0);
    s->due++;
    s->sent++;
    p->count[RECORD_SENT]++;
    p->count[RECORD_SENT_BYTES] += 46000;
    if (n % 5000 == 4999) {
        p->count[RECORD_UNANSWERED]++;
        s->unanswered++;
    } else if (n % 50 == 49) {
        p->count[RECORD_DROPPED]++;
        p->count[n % 100 == 49 ? RECORD_DROPPED_REPLACED : RECORD_DROPPED_LATE]++;
        s->dropped++;
        hist_add(&p->time[RECORD_DROP_LATENCY], 900);
    } else {
        uint64_t us = draw_us(random, slow);
        add_times(p, us, random);
        p->count[RECORD_ANSWERED]++;
        p->count[RECORD_LATE] += us > 37000;
        s->answered++;
        s->late += us > 37000;
        hist_add(&now->latency, us);
    }
}

static void add_sessions(struct record *r, uint32_t n_sessions, uint64_t *random)
{
    for (uint32_t i = 0; i < n_sessions; i++) {
        struct record_part *p = &r->part[i % 2];
        struct record_session s = {.index = i,
                                   .profile = i % 2,
                                   .due = 300,
                                   .dropped = next_random(random) % 12,
                                   .p99_us = 20000 + next_random(random) % 20000,
                                   .max_us = 60000};
        s.answered = s.due - s.dropped;
        record_add_session(r, &s);
        p->count[RECORD_CONNECTS]++;
        hist_add(&p->time[RECORD_CONNECT], 80 + next_random(random) % 90);
        hist_add(&p->time[RECORD_UPGRADE], 300 + next_random(random) % 300);
        hist_add(&p->time[RECORD_FIRST_ANSWER], 9000);
    }
}

void sample_report(struct report *r, uint64_t seed, uint32_t n_sessions, uint32_t n_seconds)
{
    static const char *const gates[] = {"latency.p99<37ms", "drop_rate<=10%", "failed_sessions==0",
                                        "latency.max<50ms", "warn:slow_downs==0"};
    struct report_profile profiles[] = {
        {.name = "1080p30", .weight = 1, .fps_milli = 30000, .frame_bytes = 120000, .tags = "hd=1"},
        {.name = "480p10", .weight = 1, .fps_milli = 10000, .frame_bytes = 20000, .tags = ""}};
    struct report_generator g = {.host = "example",
                                 .segment = 1,
                                 .n_segments = 1,
                                 .n_cpus = 2,
                                 .n_threads = 1,
                                 .sessions_asked = n_sessions,
                                 .sessions_achieved = n_sessions,
                                 .cpu_us = n_seconds * 210000u,
                                 .busiest_cpu_us = n_seconds * 210000u,
                                 .run_queue_us = 12000,
                                 .calibrated_slip_us = 140,
                                 .run_us = n_seconds * 1000000u,
                                 .wait = "sleep"};
    struct record_now now = {0};
    uint64_t random = seed, n = 0;
    *r = (struct report){.version = strdup("0.1.0"),
                         .url = strdup("ws://localhost:8000"),
                         .server = strdup("streamd 0.1.0"),
                         .ended = strdup("done"),
                         .started_wall_s = 1790000000.0,
                         .duration_us = n_seconds * 1000000u,
                         .budget_us = 37000};
    int rc = record_init(&r->record, 2);
    for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++)
        rc |= report_add_gate(r, gates[i]);
    rc |= report_add_profile(r, &profiles[0]) | report_add_profile(r, &profiles[1]);
    rc |= report_add_generator(r, &g) | report_add_setting(r, "duration", "30s");
    rc |= report_add_setting(r, "pipeline", "motion");
    for (uint32_t second = 0; second < n_seconds; second++)
        for (uint32_t k = 0; k < n_sessions * 20; k++, n++)
            add_frame(&r->record, &now, n % 4 == 3, second * 1000000u + k * 50000u / n_sessions,
                      &random);
    rc |= record_now_end(&r->record, &now, n_sessions);
    for (size_t i = 0; i < r->record.n_seconds; i++)
        r->record.second[i].sessions = n_sessions;
    add_sessions(&r->record, n_sessions, &random);
    assert(rc == 0);
    (void)rc;
}
