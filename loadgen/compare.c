#include "loadgen/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/opt.h"

#define BAND_SPREADS 3.0

/* One run each says little: room for the noise. Many say much: a shift of 10 % must not
 * hide in the limit. */
const char *compare_default_limits(size_t n_before, size_t n_now)
{
    if (n_before >= COMPARE_RUNS_TEST && n_now >= COMPARE_RUNS_TEST)
        return "latency.p99=4%+0.05ms,drop_rate=+0.1pp";
    return "latency.p50=15%+1ms,latency.p99=15%+2ms,drop_rate=+0.5pp";
}

/* --- limits --- */

static int read_part(struct compare_limit *l, char *part, struct err *e)
{
    size_t n = strlen(part);
    double value;
    if (n >= 2 && strcmp(part + n - 2, "pp") == 0) {
        part[n - 2] = '\0';
        int rc = opt_parse_real(part, &value, e);
        l->absolute += value / 100.0;
        return rc < 0 || l->unit == METRIC_SHARE
                   ? rc
                   : err_set(e, EXIT_USAGE, "pp is for rates; %s is none", l->metric);
    }
    if (n >= 1 && part[n - 1] == '%') {
        part[n - 1] = '\0';
        int rc = opt_parse_real(part, &value, e);
        l->relative += value / 100.0;
        return rc;
    }
    int rc = metric_parse_value(part, l->unit, &value, e);
    l->absolute += value;
    return rc;
}

static int read_limit(struct compare_limit *l, char *text, struct err *e)
{
    struct metric m;
    char *equals = strchr(text, '='), *rest = NULL;
    if (!equals || (size_t)(equals - text) >= sizeof l->metric)
        return err_set(e, EXIT_USAGE, "METRIC=RELATIVE+ABSOLUTE, as in latency.p99=10%%+2ms");
    *equals = '\0';
    *l = (struct compare_limit){0};
    strcpy(l->metric, text);
    int rc = metric_check(l->metric, &m, e);
    l->unit = m.unit;
    l->more_is_bad = m.more_is_bad;
    char *part = strtok_r(equals + 1, "+", &rest);
    if (rc == 0 && !part)
        return err_set(e, EXIT_USAGE, "no limit for %s", l->metric);
    for (; rc == 0 && part; part = strtok_r(NULL, "+", &rest))
        rc = read_part(l, part, e);
    if (rc == 0 && !(l->relative >= 0.0 && l->absolute >= 0.0))
        rc = err_set(e, EXIT_USAGE, "a limit is not negative");
    return rc;
}

int compare_parse_limits(struct compare_limits *l, const char *text, struct err *e)
{
    char copy[4096], *rest = NULL;
    struct err why = {0};
    int rc = 0;
    l->n = 0;
    if (strlen(text) >= sizeof copy)
        return err_set(e, EXIT_USAGE, "--max-regress: too long");
    strcpy(copy, text);
    for (char *one = strtok_r(copy, ",", &rest); rc == 0 && one; one = strtok_r(NULL, ",", &rest)) {
        if (l->n == COMPARE_LIMITS_MAX)
            return err_set(e, EXIT_USAGE, "--max-regress: more than %d limits", COMPARE_LIMITS_MAX);
        rc = read_limit(&l->item[l->n++], one, &why);
    }
    if (rc < 0)
        return err_set(e, EXIT_USAGE, "--max-regress '%.200s': %.250s", text, why.text);
    return l->n ? 0 : err_set(e, EXIT_USAGE, "--max-regress: no limit");
}

/* --- judging --- */

static enum compare_method method_for(size_t n_before, size_t n_now)
{
    if (n_before >= COMPARE_RUNS_TEST && n_now >= COMPARE_RUNS_TEST)
        return COMPARE_TEST;
    return n_before >= COMPARE_RUNS_BAND ? COMPARE_BAND : COMPARE_PLAIN;
}

/* Worse in the bad direction: shift and test look upwards only. */
static void turn(double *out, const double *in, size_t n, bool more_is_bad)
{
    for (size_t i = 0; i < n; i++)
        out[i] = more_is_bad ? in[i] : -in[i];
}

static bool exceeds(double worse_by, double allowed)
{
    return worse_by > allowed;
}

void compare_judge(const struct compare_limit *l, const double *before, size_t n_before,
                   const double *now, size_t n_now, struct compare_verdict *v)
{
    double a[SAMPLES_MAX], b[SAMPLES_MAX];
    turn(a, before, n_before, l->more_is_bad);
    turn(b, now, n_now, l->more_is_bad);
    *v = (struct compare_verdict){.method = method_for(n_before, n_now), .p = 1.0};
    v->before = samples_median(before, n_before);
    v->now = samples_median(now, n_now);
    v->spread = samples_spread(before, n_before);
    v->worse_by = samples_shift(a, n_before, b, n_now);
    v->allowed = (isinf(v->before) ? 0.0 : fabs(v->before) * l->relative) + l->absolute;
    bool worse = exceeds(v->worse_by, v->allowed);
    if (v->method == COMPARE_TEST)
        v->p = samples_p_worse(a, n_before, b, n_now);
    if (v->method == COMPARE_BAND)
        worse = worse && exceeds(v->worse_by, BAND_SPREADS * v->spread);
    v->outcome = worse ? COMPARE_WORSE : COMPARE_SAME;
}

bool compare_conclude(struct compare_verdict *v, size_t n)
{
    double p[COMPARE_LIMITS_MAX];
    bool worse = false;
    for (size_t i = 0; i < n; i++)
        p[i] = v[i].p;
    samples_holm(p, n);
    for (size_t i = 0; i < n; i++) {
        v[i].p = p[i];
        if (v[i].method == COMPARE_TEST && v[i].outcome == COMPARE_WORSE && p[i] >= COMPARE_ALPHA)
            v[i].outcome = COMPARE_SAME;
        worse = worse || v[i].outcome == COMPARE_WORSE;
    }
    return worse;
}
