#include "loadgen/metric.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/opt.h"

#define PROFILE_PREFIX "profile:"
#define NAME_MAX_BYTES 128

/* What a row of the table looks at: the whole run, or one profile of it. */
struct scope {
    const struct report *report;
    const struct record_part *part;
    bool whole;
};

/* --- rates, and what is of the whole run --- */

static double count(const struct scope *s, enum record_count what)
{
    return (double)s->part->count[what];
}

static double missing(const struct scope *s)
{
    return (double)record_missing(s->part);
}

static double ratio(double part, double all, bool *has_data)
{
    *has_data = all > 0.0;
    return *has_data ? part / all : 0.0;
}

/* A frame without a word is a drop too. */
static double drop_rate(const struct scope *s, bool *has_data)
{
    double bad = count(s, RECORD_DROPPED) + missing(s);
    return ratio(bad, bad + count(s, RECORD_ANSWERED), has_data);
}

/* Of those that were not dropped. */
static double budget_miss(const struct scope *s, bool *has_data)
{
    return ratio(count(s, RECORD_LATE) + missing(s), count(s, RECORD_ANSWERED) + missing(s),
                 has_data);
}

static double missing_rate(const struct scope *s, bool *has_data)
{
    return ratio(missing(s), count(s, RECORD_DUE), has_data);
}

static double held_back_rate(const struct scope *s, bool *has_data)
{
    return ratio(count(s, RECORD_HELD_BACK), count(s, RECORD_DUE), has_data);
}

static double unsent_rate(const struct scope *s, bool *has_data)
{
    return ratio(count(s, RECORD_UNSENT), count(s, RECORD_DUE), has_data);
}

/* Error messages per connection: a server ends a session with one. */
static double error_rate(const struct scope *s, bool *has_data)
{
    return ratio(count(s, RECORD_ERRORS), count(s, RECORD_CONNECTS), has_data);
}

static double per_s(const struct scope *s, enum record_count what, bool *has_data)
{
    return ratio(count(s, what), report_counted_s(s->report), has_data);
}

static double answered_fps(const struct scope *s, bool *has_data)
{
    return per_s(s, RECORD_ANSWERED, has_data);
}

static double sent_fps(const struct scope *s, bool *has_data)
{
    return per_s(s, RECORD_SENT, has_data);
}

static double due_fps(const struct scope *s, bool *has_data)
{
    return per_s(s, RECORD_DUE, has_data);
}

static double fairness(const struct scope *s, bool *has_data)
{
    *has_data = s->report->record.n_sessions > 0;
    return record_fairness(&s->report->record);
}

static double sessions(const struct scope *s, bool *has_data)
{
    double n = 0.0;
    for (size_t i = 0; i < s->report->n_generators; i++)
        n += s->report->generator[i].sessions_achieved;
    *has_data = s->report->n_generators > 0;
    return n;
}

/* Those that were never open, and those that were lost. */
static double failed_sessions(const struct scope *s, bool *has_data)
{
    double asked = 0.0;
    for (size_t i = 0; i < s->report->n_generators; i++)
        asked += s->report->generator[i].sessions_asked;
    double achieved = sessions(s, has_data);
    return (asked > achieved ? asked - achieved : 0.0) + count(s, RECORD_DISCONNECTS);
}

static const struct row {
    const char *name;
    enum metric_unit unit;
    bool less_is_bad;
    bool of_whole; /* there is none of a profile */
    double (*value)(const struct scope *s, bool *has_data);
} rows[] = {
    {"drop_rate", METRIC_SHARE, false, false, drop_rate},
    {"budget_miss", METRIC_SHARE, false, false, budget_miss},
    {"missing_rate", METRIC_SHARE, false, false, missing_rate},
    {"held_back_rate", METRIC_SHARE, false, false, held_back_rate},
    {"unsent_rate", METRIC_SHARE, false, false, unsent_rate},
    {"error_rate", METRIC_SHARE, false, false, error_rate},
    {"answered_fps", METRIC_PER_S, true, false, answered_fps},
    {"sent_fps", METRIC_PER_S, true, false, sent_fps},
    {"due_fps", METRIC_PER_S, true, false, due_fps},
    {"fairness", METRIC_INDEX, true, true, fairness},
    {"sessions", METRIC_COUNT, true, true, sessions},
    {"failed_sessions", METRIC_COUNT, false, true, failed_sessions},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

/* --- names --- */

enum kind { KIND_ROW, KIND_TIME, KIND_COUNT };
enum stat { STAT_PERCENTILE, STAT_MIN, STAT_MEAN, STAT_MAX, STAT_COUNT };

struct name {
    char profile[NAME_MAX_BYTES]; /* "": the whole run */
    enum kind kind;
    size_t index; /* of a row, a histogram or a counter */
    enum stat stat;
    double percent;
};

static bool find(const char *const *names, size_t n, const char *text, size_t length, size_t *index)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool read_stat(const char *text, struct name *n)
{
    static const struct {
        const char *name;
        enum stat stat;
    } stats[] = {{"min", STAT_MIN}, {"mean", STAT_MEAN}, {"max", STAT_MAX}, {"count", STAT_COUNT}};
    for (size_t i = 0; i < sizeof stats / sizeof stats[0]; i++) {
        n->stat = stats[i].stat;
        if (strcmp(text, stats[i].name) == 0)
            return true;
    }
    n->stat = STAT_PERCENTILE;
    return text[0] == 'p' && opt_parse_real(text + 1, &n->percent, NULL) == 0 &&
           n->percent >= 0.0 && n->percent <= 100.0;
}

/* Of what stands behind the profile. */
static bool read_name(const char *text, struct name *n)
{
    const char *dot = strchr(text, '.');
    if (dot) {
        n->kind = KIND_TIME;
        return find(record_time_names, RECORD_TIMES, text, (size_t)(dot - text), &n->index) &&
               read_stat(dot + 1, n);
    }
    for (size_t i = 0; i < N_ROWS; i++) {
        n->kind = KIND_ROW;
        n->index = i;
        if (strcmp(rows[i].name, text) == 0)
            return true;
    }
    n->kind = KIND_COUNT;
    return find(record_count_names, RECORD_COUNTS, text, strlen(text), &n->index);
}

/* How many changes of one letter make a of b; more than 3 are as bad as many. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(b), row[64], before, above;
    if (n >= sizeof row / sizeof row[0])
        return SIZE_MAX;
    for (size_t k = 0; k <= n; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        before = row[0]++;
        for (size_t k = 1; k <= n; k++) {
            above = row[k];
            size_t change = before + (a[i] != b[k - 1]);
            size_t least = above < row[k - 1] ? above + 1 : row[k - 1] + 1;
            row[k] = change < least ? change : least;
            before = above;
        }
    }
    return row[n];
}

static const char *nearest(const char *text)
{
    const char *best = NULL, *name;
    size_t best_distance = 4;
    for (size_t i = 0; (name = metric_name(i)); i++) {
        size_t d = distance(text, name);
        if (d < best_distance) {
            best_distance = d;
            best = name;
        }
    }
    return best;
}

static int unknown(const char *text, struct err *e)
{
    const char *near = nearest(text);
    size_t index;
    if (find(record_time_names, RECORD_TIMES, text, strlen(text), &index))
        return err_set(e, EXIT_USAGE, "%s of what? As in %s.p99, %s.mean, %s.max", text, text, text,
                       text);
    if (near)
        return err_set(e, EXIT_USAGE, "no metric is called '%.100s'; do you mean %s?", text, near);
    return err_set(e, EXIT_USAGE,
                   "no metric is called '%.100s'; there are latency.p99, drop_rate and others: "
                   "streamload(1)",
                   text);
}

/* The profile's name may hold dots: it ends where the rest is a metric's name. */
static int parse(const char *text, struct name *n, struct err *e)
{
    *n = (struct name){0};
    if (strncmp(text, PROFILE_PREFIX, strlen(PROFILE_PREFIX)) != 0)
        return read_name(text, n) ? 0 : unknown(text, e);
    const char *profile = text + strlen(PROFILE_PREFIX);
    for (const char *dot = strchr(profile, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t length = (size_t)(dot - profile);
        if (length >= sizeof n->profile || !read_name(dot + 1, n))
            continue;
        memcpy(n->profile, profile, length);
        if (n->kind == KIND_ROW && rows[n->index].of_whole)
            return err_set(e, EXIT_USAGE, "%s is of the whole run, not of a profile",
                           rows[n->index].name);
        return 0;
    }
    return unknown(strchr(profile, '.') ? strchr(profile, '.') + 1 : profile, e);
}

/* --- values --- */

static bool is_good_count(enum record_count what)
{
    return what == RECORD_DUE || what == RECORD_SENT || what == RECORD_ANSWERED ||
           what == RECORD_CONNECTS || what == RECORD_SENT_BYTES;
}

static double time_value(const struct record_part *p, const struct name *n)
{
    const struct hist *h = &p->time[n->index];
    uint64_t never = record_infinite(p, (enum record_time)n->index), us = 0;
    switch (n->stat) {
    case STAT_MEAN:
        return never ? INFINITY : hist_mean_us(h);
    case STAT_MIN:
        return h->count ? (double)h->min_us : INFINITY;
    case STAT_MAX:
        return never ? INFINITY : (double)h->max_us;
    case STAT_COUNT:
        return (double)h->count;
    case STAT_PERCENTILE:
        us = record_percentile_us(h, never, n->percent);
    }
    return us == UINT64_MAX ? INFINITY : (double)us;
}

static void describe(const struct name *n, struct metric *m)
{
    *m = (struct metric){.unit = METRIC_COUNT, .more_is_bad = true};
    if (n->kind == KIND_ROW) {
        m->unit = rows[n->index].unit;
        m->more_is_bad = !rows[n->index].less_is_bad;
    } else if (n->kind == KIND_TIME) {
        m->unit = n->stat == STAT_COUNT ? METRIC_COUNT : METRIC_TIME_US;
        m->more_is_bad = n->stat != STAT_COUNT;
    } else {
        m->more_is_bad = !is_good_count((enum record_count)n->index);
    }
}

static void read_value(const struct scope *s, const struct name *n, struct metric *m)
{
    describe(n, m);
    m->has_data = true;
    if (n->kind == KIND_ROW) {
        m->value = rows[n->index].value(s, &m->has_data);
    } else if (n->kind == KIND_COUNT) {
        m->value = count(s, (enum record_count)n->index);
    } else {
        const struct record_part *p = s->part;
        m->has_data = n->stat == STAT_COUNT || p->time[n->index].count ||
                      record_infinite(p, (enum record_time)n->index);
        m->value = time_value(p, n);
    }
}

int metric_check(const char *text, struct metric *m, struct err *e)
{
    struct name n;
    int rc = parse(text, &n, e);
    if (rc == 0)
        describe(&n, m);
    return rc;
}

int metric_read(const struct report *r, const char *text, struct metric *m, struct err *e)
{
    struct name n;
    struct record_part total;
    struct scope s = {.report = r, .part = &total, .whole = true};
    int rc = parse(text, &n, e);
    if (rc < 0)
        return rc;
    if (n.profile[0]) {
        int i = report_find_profile(r, n.profile);
        if (i < 0)
            return err_set(e, EXIT_USAGE, "no profile is called '%s'", n.profile);
        s.part = &r->record.part[i];
        s.whole = false;
    } else {
        record_total(&r->record, &total);
    }
    read_value(&s, &n, m);
    return 0;
}

/* --- text --- */

static void format_time(struct text *out, double us)
{
    if (us < 1000.0)
        text_addf(out, "%.0f us", us);
    else if (us < 10e3)
        text_addf(out, "%.2f ms", us / 1e3);
    else if (us < 10e6)
        text_addf(out, "%.1f ms", us / 1e3);
    else
        text_addf(out, "%.1f s", us / 1e6);
}

void metric_format(struct text *out, double value, enum metric_unit unit)
{
    if (isinf(value))
        text_add(out, "never");
    else if (unit == METRIC_TIME_US)
        format_time(out, value);
    else if (unit == METRIC_SHARE)
        text_addf(out, value > 0.0 && value < 0.001 ? "%.4f %%" : "%.2f %%", value * 100.0);
    else if (unit == METRIC_PER_S)
        text_addf(out, "%.1f/s", value);
    else if (unit == METRIC_INDEX)
        text_addf(out, "%.4f", value);
    else
        text_addf(out, "%.0f", value);
}

static int parse_share(const char *text, double *out, struct err *e)
{
    char number[64];
    size_t n = strlen(text);
    bool percent = n && text[n - 1] == '%';
    if (percent)
        n--;
    while (n && text[n - 1] == ' ')
        n--;
    if (n >= sizeof number)
        return err_set(e, EXIT_USAGE, "'%.40s...' is not a number", text);
    memcpy(number, text, n);
    number[n] = '\0';
    int rc = opt_parse_real(number, out, e);
    if (percent)
        *out /= 100.0;
    return rc;
}

int metric_parse_value(const char *text, enum metric_unit unit, double *out, struct err *e)
{
    uint64_t us;
    int rc;
    if (unit == METRIC_TIME_US) {
        rc = opt_parse_time_us(text, &us, e);
        *out = rc == 0 ? (double)us : 0.0;
        return rc;
    }
    if (unit == METRIC_SHARE)
        return parse_share(text, out, e);
    rc = opt_parse_real(text, out, e);
    return rc == 0 && !isfinite(*out) ? err_set(e, EXIT_USAGE, "'%s' is not a number", text) : rc;
}

/* --- the list --- */

static const char *const common_stats[RECORD_TIMES] = {
    "latency.p99",  "response.p99", "slip.p99",         "blocked.p99",      "wait.p99",
    "pipeline.p99", "server.p99",   "network.p99",      "drop_latency.p99", "connect.p99",
    "tls.p99",      "upgrade.p99",  "first_answer.p99", "loop_lag.p99"};

const char *metric_name(size_t index)
{
    if (index < N_ROWS)
        return rows[index].name;
    if (index < N_ROWS + RECORD_COUNTS)
        return record_count_names[index - N_ROWS];
    return index < N_ROWS + RECORD_COUNTS + RECORD_TIMES
               ? common_stats[index - N_ROWS - RECORD_COUNTS]
               : NULL;
}
