#include "loadgen/record.h"

#include <stdlib.h>
#include <string.h>

const char *const record_time_names[RECORD_TIMES] = {
    [RECORD_LATENCY] = "latency",
    [RECORD_RESPONSE] = "response",
    [RECORD_SLIP] = "slip",
    [RECORD_BLOCKED] = "blocked",
    [RECORD_WAIT] = "wait",
    [RECORD_PIPELINE] = "pipeline",
    [RECORD_SERVER] = "server",
    [RECORD_NETWORK] = "network",
    [RECORD_DROP_LATENCY] = "drop_latency",
    [RECORD_CONNECT] = "connect",
    [RECORD_TLS] = "tls",
    [RECORD_UPGRADE] = "upgrade",
    [RECORD_FIRST_ANSWER] = "first_answer",
    [RECORD_LOOP_LAG] = "loop_lag",
};

const char *const record_count_names[RECORD_COUNTS] = {
    [RECORD_DUE] = "due",
    [RECORD_SENT] = "sent",
    [RECORD_HELD_BACK] = "held_back",
    [RECORD_LOST] = "lost",
    [RECORD_UNSENT] = "unsent",
    [RECORD_ANSWERED] = "answered",
    [RECORD_DROPPED] = "dropped",
    [RECORD_UNANSWERED] = "unanswered",
    [RECORD_LATE] = "late",
    [RECORD_DROPPED_REPLACED] = "dropped_replaced",
    [RECORD_DROPPED_LATE] = "dropped_late",
    [RECORD_DROPPED_BUSY] = "dropped_busy",
    [RECORD_DROPPED_RATE] = "dropped_rate",
    [RECORD_DROPPED_CLOSED] = "dropped_closed",
    [RECORD_DROPPED_MEMORY] = "dropped_memory",
    [RECORD_DROPPED_OTHER] = "dropped_other",
    [RECORD_SLOW_DOWNS] = "slow_downs",
    [RECORD_ERRORS] = "errors",
    [RECORD_ODD] = "odd",
    [RECORD_CONNECTS] = "connects",
    [RECORD_CONNECT_ERRORS] = "connect_errors",
    [RECORD_DISCONNECTS] = "disconnects",
    [RECORD_SENT_BYTES] = "sent_bytes",
};

int record_init(struct record *r, size_t n_parts)
{
    *r = (struct record){.n_parts = n_parts};
    r->part = calloc(n_parts ? n_parts : 1, sizeof *r->part);
    return r->part ? 0 : -1;
}

void record_deinit(struct record *r)
{
    for (size_t i = 0; i < r->n_seconds; i++)
        free(r->second[i].buckets);
    free(r->second);
    free(r->part);
    *r = (struct record){0};
}

static void add_part(struct record_part *into, const struct record_part *from)
{
    for (size_t i = 0; i < RECORD_TIMES; i++)
        hist_merge(&into->time[i], &from->time[i]);
    for (size_t i = 0; i < RECORD_COUNTS; i++)
        into->count[i] += from->count[i];
}

void record_total(const struct record *r, struct record_part *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < r->n_parts; i++)
        add_part(out, &r->part[i]);
}

uint64_t record_missing(const struct record_part *p)
{
    return p->count[RECORD_UNANSWERED] + p->count[RECORD_LOST] + p->count[RECORD_UNSENT];
}

uint64_t record_infinite(const struct record_part *p, enum record_time time)
{
    return time == RECORD_LATENCY || time == RECORD_RESPONSE ? record_missing(p) : 0;
}

/* --- the series --- */

/* Two ascending lists into one. */
static int add_buckets(struct record_second *into, const struct record_second *from)
{
    size_t n = 0, a = 0, b = 0, n_max = (size_t)into->n_buckets + from->n_buckets;
    if (from->n_buckets == 0)
        return 0;
    struct record_bucket *sum = malloc(n_max * sizeof *sum);
    if (!sum)
        return -1;
    while (a < into->n_buckets || b < from->n_buckets) {
        bool left = b == from->n_buckets ||
                    (a < into->n_buckets && into->buckets[a].bucket <= from->buckets[b].bucket);
        struct record_bucket next = left ? into->buckets[a++] : from->buckets[b++];
        if (n && sum[n - 1].bucket == next.bucket)
            sum[n - 1].n += next.n;
        else
            sum[n++] = next;
    }
    free(into->buckets);
    into->buckets = sum;
    into->n_buckets = (uint32_t)n;
    return 0;
}

static int add_second(struct record_second *into, const struct record_second *from)
{
    into->sessions += from->sessions;
    into->due += from->due;
    into->sent += from->sent;
    into->answered += from->answered;
    into->dropped += from->dropped;
    into->unanswered += from->unanswered;
    into->late += from->late;
    into->slow_downs += from->slow_downs;
    into->connect_errors += from->connect_errors;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
    return add_buckets(into, from);
}

/* Seconds in which nothing happened are there as well, empty. */
static int make_seconds(struct record *r, size_t n)
{
    if (n <= r->n_seconds)
        return 0;
    struct record_second *more = realloc(r->second, n * sizeof *more);
    if (!more)
        return -1;
    memset(more + r->n_seconds, 0, (n - r->n_seconds) * sizeof *more);
    r->second = more;
    r->n_seconds = n;
    return 0;
}

static int pack(struct record *r, const struct record_now *now, uint32_t sessions)
{
    struct record_bucket full[HIST_BUCKETS];
    struct record_second s = now->counts;
    s.sessions = sessions;
    s.max_us = now->latency.max_us;
    s.buckets = full;
    s.n_buckets = 0;
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        if (now->latency.bucket[i])
            full[s.n_buckets++] =
                (struct record_bucket){(uint32_t)i, (uint32_t)now->latency.bucket[i]};
    if (make_seconds(r, now->second + 1) < 0)
        return -1;
    return add_second(&r->second[now->second], &s);
}

struct record_second *record_now_at(struct record *r, struct record_now *now,
                                    uint64_t since_start_us, uint32_t sessions)
{
    size_t second = (size_t)(since_start_us / 1000000);
    while (now->second < second) {
        if (pack(r, now, sessions) < 0)
            return NULL;
        now->second++;
        now->counts = (struct record_second){0};
        hist_clear(&now->latency);
    }
    return &now->counts;
}

int record_now_end(struct record *r, struct record_now *now, uint32_t sessions)
{
    int rc = pack(r, now, sessions);
    memset(now, 0, sizeof *now);
    return rc;
}

void record_unpack(const struct record_second *s, struct hist *out)
{
    struct hist h = {0};
    for (size_t i = 0; i < s->n_buckets; i++) {
        uint64_t high_us = hist_bucket_high_us(s->buckets[i].bucket);
        uint64_t value_us = high_us > s->max_us ? s->max_us : high_us;
        if (i == 0)
            h.min_us = hist_bucket_low_us(s->buckets[i].bucket);
        h.bucket[s->buckets[i].bucket] = s->buckets[i].n;
        h.count += s->buckets[i].n;
        h.sum_us += value_us * s->buckets[i].n;
    }
    h.max_us = h.count ? s->max_us : 0;
    hist_merge(out, &h);
}

/* --- sessions --- */

static double bad_share(const struct record_session *s)
{
    return s->due ? (double)(s->dropped + s->missing) / (double)s->due : 0.0;
}

/* A total order, so that merging in any order gives the same table. */
static bool is_worse(const struct record_session *a, const struct record_session *b)
{
    if (bad_share(a) != bad_share(b))
        return bad_share(a) > bad_share(b);
    if (a->p99_us != b->p99_us)
        return a->p99_us > b->p99_us;
    return a->index < b->index;
}

static void add_worst(struct record *r, const struct record_session *s)
{
    size_t at = r->n_worst;
    while (at > 0 && is_worse(s, &r->worst[at - 1]))
        at--;
    if (at == RECORD_WORST)
        return;
    if (r->n_worst < RECORD_WORST)
        r->n_worst++;
    for (size_t i = r->n_worst - 1; i > at; i--)
        r->worst[i] = r->worst[i - 1];
    r->worst[at] = *s;
}

void record_add_session(struct record *r, const struct record_session *s)
{
    if (s->due == 0)
        return;
    uint64_t share_ppm = s->answered * 1000000 / s->due;
    r->n_sessions++;
    r->share_sum += share_ppm;
    r->share_squares += share_ppm * share_ppm;
    add_worst(r, s);
}

double record_fairness(const struct record *r)
{
    double sum = (double)r->share_sum, squares = (double)r->share_squares;
    if (r->n_sessions == 0)
        return 0.0;
    return squares > 0.0 ? sum * sum / ((double)r->n_sessions * squares) : 1.0;
}

int record_merge(struct record *into, const struct record *from)
{
    if (make_seconds(into, from->n_seconds) < 0)
        return -1;
    for (size_t i = 0; i < from->n_seconds; i++)
        if (add_second(&into->second[i], &from->second[i]) < 0)
            return -1;
    for (size_t i = 0; i < into->n_parts && i < from->n_parts; i++)
        add_part(&into->part[i], &from->part[i]);
    for (size_t i = 0; i < from->n_worst; i++)
        add_worst(into, &from->worst[i]);
    into->n_sessions += from->n_sessions;
    into->share_sum += from->share_sum;
    into->share_squares += from->share_squares;
    return 0;
}

uint64_t record_percentile_us(const struct hist *h, uint64_t missing, double percent)
{
    double all = (double)(h->count + missing);
    double rank = percent / 100.0 * all;
    if (missing == 0)
        return hist_percentile_us(h, percent);
    if (h->count == 0 || rank > (double)h->count)
        return UINT64_MAX;
    return hist_percentile_us(h, 100.0 * rank / (double)h->count);
}
