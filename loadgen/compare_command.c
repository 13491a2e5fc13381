/* The commands around compare.c: files in, a table out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "loadgen/compare.h"
#include "loadgen/outputs.h"
#include "loadgen/report_json.h"
#include "loadgen/validity.h"

#define OUTPUT_BYTES_MAX (1u << 20)

/* Both sides, reduced to the numbers that are compared as the files are read. */
struct sides {
    struct compare_limits limits;
    double value[2][COMPARE_LIMITS_MAX][SAMPLES_MAX];
    bool missing[COMPARE_LIMITS_MAX]; /* a run has no data for it */
    size_t n[2];
    struct report first; /* all others must be the same run */
    bool has_first;
    struct compare_verdict verdict[COMPARE_LIMITS_MAX];
};

static int check_valid(const struct report *r, const char *path, struct err *e)
{
    struct validity v;
    validity_judge(r, &v);
    return v.n == 0
               ? 0
               : err_set(e, EXIT_INVALID, "%.150s is not valid: %.250s", path, v.finding[0].text);
}

static int note_values(struct sides *s, size_t side, const struct report *r, const char *path,
                       struct err *e)
{
    size_t at = s->n[side]++;
    for (size_t i = 0; i < s->limits.n; i++) {
        struct metric m;
        struct err why = {0};
        if (metric_read(r, s->limits.item[i].metric, &m, &why) < 0)
            return err_set(e, EXIT_USAGE, "%.200s: %.250s", path, why.text);
        s->value[side][i][at] = m.value;
        s->missing[i] = s->missing[i] || !m.has_data;
    }
    return 0;
}

static int add_report(struct sides *s, size_t side, const struct report *r, const char *path,
                      struct err *e)
{
    struct err why = {0};
    if (s->n[side] == SAMPLES_MAX)
        return err_set(e, EXIT_USAGE, "more than %d runs", SAMPLES_MAX);
    if (s->has_first && report_is_same_run(&s->first, r, &why) < 0)
        return err_set(e, EXIT_USAGE, "%.150s is another kind of run: %.250s", path, why.text);
    int rc = check_valid(r, path, e);
    return rc < 0 ? rc : note_values(s, side, r, path, e);
}

static int add_file(struct sides *s, size_t side, const char *path, struct err *e)
{
    struct report r;
    int rc = report_json_load(&r, path, e);
    if (rc == 0)
        rc = add_report(s, side, &r, path, e);
    if (rc == 0 && !s->has_first) {
        s->first = r; /* takes it */
        s->has_first = true;
        return 0;
    }
    report_deinit(&r);
    return rc;
}

/* --- telling --- */

static const char *outcome_name(enum compare_outcome o)
{
    return o == COMPARE_WORSE ? "WORSE" : o == COMPARE_NO_DATA ? "no data" : "ok";
}

static void format_change(struct text *out, const struct compare_limit *l,
                          const struct compare_verdict *v)
{
    double change = l->more_is_bad ? v->worse_by : -v->worse_by;
    text_add(out, change < 0.0 ? "-" : "+");
    metric_format(out, fabs(change), l->unit);
    if (v->before > 0.0 && isfinite(v->before) && isfinite(change))
        text_addf(out, " (%+.1f %%)", 100.0 * change / v->before);
}

/* before, now, change, allowed: a cell each. */
static void format_cells(char cell[4][48], const struct compare_limit *l,
                         const struct compare_verdict *v)
{
    struct text t[4];
    for (size_t i = 0; i < 4; i++)
        t[i] = text_fixed(cell[i], 48);
    metric_format(&t[0], v->before, l->unit);
    metric_format(&t[1], v->now, l->unit);
    format_change(&t[2], l, v);
    metric_format(&t[3], v->allowed, l->unit);
}

static void add_table(struct text *out, const struct sides *s, const char *separator)
{
    bool markdown = separator[0] == '|';
    if (markdown)
        text_add(out, "| metric | before | now | change | allowed | p | |\n"
                      "| --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
    else
        text_addf(out, "%-24s %12s %12s %22s %12s %8s\n", "metric", "before", "now", "change",
                  "allowed", "p");
    for (size_t i = 0; i < s->limits.n; i++) {
        char cell[4][48], p[16] = "-";
        const struct compare_verdict *v = &s->verdict[i];
        format_cells(cell, &s->limits.item[i], v);
        if (v->method == COMPARE_TEST)
            snprintf(p, sizeof p, "%.2g", v->p);
        text_addf(out,
                  markdown ? "| %s | %s | %s | %s | %s | %s | %s |\n"
                           : "%-24s %12s %12s %22s %12s %8s  %s\n",
                  s->limits.item[i].metric, cell[0], cell[1], cell[2], cell[3], p,
                  outcome_name(v->outcome));
    }
}

static void add_method(struct text *out, const struct sides *s)
{
    static const char *const methods[] = {"few runs: the numbers themselves are compared",
                                          "few new runs: compared with the noise of those before",
                                          "ranks of the runs (Mann-Whitney, Holm), error rate 1 %"};
    text_addf(out, "%zu runs before, %zu now; %s\n", s->n[0], s->n[1],
              methods[s->verdict[0].method]);
}

static void add_json(struct text *out, const struct sides *s, bool worse)
{
    static const char *const methods[] = {"plain", "band", "test"};
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    json_str(&j, "schema", "streamload-compare/1");
    json_str(&j, "method", methods[s->verdict[0].method]);
    json_bool(&j, "regression", worse);
    json_u64(&j, "runs_before", s->n[0]);
    json_u64(&j, "runs_now", s->n[1]);
    json_array_begin(&j, "metrics");
    for (size_t i = 0; i < s->limits.n; i++) {
        const struct compare_verdict *v = &s->verdict[i];
        json_object_begin(&j, NULL);
        json_str(&j, "metric", s->limits.item[i].metric);
        json_str(&j, "outcome", outcome_name(v->outcome));
        json_num(&j, "before", v->before, 6);
        json_num(&j, "now", v->now, 6);
        json_num(&j, "spread", v->spread, 6);
        json_num(&j, "worse_by", v->worse_by, 6);
        json_num(&j, "allowed", v->allowed, 6);
        if (v->method == COMPARE_TEST)
            json_num(&j, "p", v->p, 9);
        json_object_end(&j);
    }
    json_array_end(&j);
    json_object_end(&j);
    text_add_char(out, '\n');
}

static void add_junit(struct text *out, const struct sides *s)
{
    size_t n_worse = 0;
    for (size_t i = 0; i < s->limits.n; i++)
        n_worse += s->verdict[i].outcome != COMPARE_SAME;
    text_addf(out,
              "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite "
              "name=\"streamload compare\" tests=\"%zu\" failures=\"%zu\">\n",
              s->limits.n, n_worse);
    for (size_t i = 0; i < s->limits.n; i++) {
        char cell[4][48];
        format_cells(cell, &s->limits.item[i], &s->verdict[i]);
        text_add(out, "    <testcase classname=\"streamload.compare\" name=\"");
        junit_add_text(out, s->limits.item[i].metric);
        text_add(out, "\">");
        if (s->verdict[i].outcome != COMPARE_SAME)
            text_addf(out, "<failure message=\"%s: before %s, now %s, allowed +%s\"/>",
                      outcome_name(s->verdict[i].outcome), cell[0], cell[1], cell[3]);
        text_add(out, "</testcase>\n");
    }
    text_add(out, "  </testsuite>\n</testsuites>\n");
}

static int write_text(const char *path, struct text *t, struct err *e)
{
    int rc = path ? outputs_write_file(path, t, e) : 0;
    text_deinit(t);
    return rc;
}

static int write_outputs(const struct sides *s, const struct settings *set, bool worse,
                         struct err *e)
{
    struct text json = text_heap(OUTPUT_BYTES_MAX), junit = json, markdown = json;
    add_json(&json, s, worse);
    add_junit(&junit, s);
    add_table(&markdown, s, "|");
    int rc = write_text(set->json, &json, e);
    int rc2 = write_text(set->junit, &junit, e), rc3 = write_text(set->markdown, &markdown, e);
    return rc < 0 ? rc : rc2 < 0 ? rc2 : rc3;
}

static bool judge(struct sides *s)
{
    bool no_data = false;
    for (size_t i = 0; i < s->limits.n; i++) {
        struct compare_verdict *v = &s->verdict[i];
        if (s->missing[i]) {
            *v = (struct compare_verdict){.outcome = COMPARE_NO_DATA, .p = 1.0};
            no_data = true;
            continue;
        }
        compare_judge(&s->limits.item[i], s->value[0][i], s->n[0], s->value[1][i], s->n[1], v);
    }
    return compare_conclude(s->verdict, s->limits.n) || no_data;
}

static int tell(struct sides *s)
{
    struct text t = text_heap(OUTPUT_BYTES_MAX);
    bool worse = judge(s);
    add_table(&t, s, "");
    add_method(&t, s);
    fputs(text_str(&t), stdout);
    fflush(stdout);
    text_deinit(&t);
    return worse ? EXIT_REGRESSION : EXIT_DONE;
}

/* --- the commands --- */

static int load_limits(struct sides *s, const struct settings *set, size_t n_before, size_t n_now,
                       struct err *e)
{
    const char *text =
        set->max_regress ? set->max_regress : compare_default_limits(n_before, n_now);
    return compare_parse_limits(&s->limits, text, e);
}

/* Where the new ones begin: behind "vs", or at the second of two. 0: nowhere. */
static int find_new(int n_args, char **args)
{
    for (int i = 1; i + 1 < n_args; i++)
        if (strcmp(args[i], "vs") == 0)
            return i + 1;
    return n_args == 2 ? 1 : 0;
}

int compare_command(const struct settings *set, int n_args, char **args, struct err *e)
{
    int first_new = find_new(n_args, args), last_old, rc;
    struct sides *s = calloc(1, sizeof *s);
    if (!s)
        return -err_set(e, EXIT_FAILED, "out of memory");
    last_old = first_new && strcmp(args[first_new - 1], "vs") == 0 ? first_new - 1 : first_new;
    if (!first_new)
        rc = err_set(e, EXIT_USAGE,
                     "which are the new ones? Put vs in front of them, as in: "
                     "streamload compare old/*.json vs new/*.json");
    else
        rc = load_limits(s, set, (size_t)last_old, (size_t)(n_args - first_new), e);
    for (int i = 0; rc == 0 && i < n_args; i++)
        if (i < last_old || i >= first_new)
            rc = add_file(s, i >= first_new, args[i], e);
    int code = rc < 0 ? -rc : tell(s);
    if (rc == 0 && write_outputs(s, set, code == EXIT_REGRESSION, e) < 0)
        code = EXIT_FAILED;
    report_deinit(&s->first);
    free(s);
    return code;
}

int compare_with_baselines(const struct report *now, const struct settings *set, struct err *e)
{
    struct sides *s = calloc(1, sizeof *s);
    if (!s)
        return -err_set(e, EXIT_FAILED, "out of memory");
    int rc = load_limits(s, set, set->baselines.n, 1, e);
    for (size_t i = 0; rc == 0 && i < set->baselines.n; i++)
        rc = add_file(s, 0, set->baselines.item[i], e);
    if (rc == 0)
        rc = add_report(s, 1, now, "this run", e);
    int code = rc < 0 ? -rc : tell(s);
    report_deinit(&s->first);
    free(s);
    return code;
}
