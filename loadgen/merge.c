#include "loadgen/merge.h"

#include <stdlib.h>
#include <string.h>

#include "common/term.h"
#include "loadgen/outputs.h"
#include "loadgen/report.h"
#include "loadgen/report_json.h"
#include "loadgen/verdict.h"

#define SUMMARY_BYTES_MAX (1u << 20)

/* Gates of the command line take the place of those in the file. */
static int replace_gates(struct report *r, const struct settings *set, struct err *e)
{
    if (set->gates.n == 0)
        return 0;
    for (size_t i = 0; i < r->n_gates; i++)
        free(r->gate[i]);
    r->n_gates = 0;
    for (size_t i = 0; i < set->gates.n; i++)
        if (report_add_gate(r, set->gates.item[i]) < 0)
            return err_set(e, EXIT_FAILED, "out of memory");
    return 0;
}

static int merge_one(struct report *into, const char *path, struct err *e)
{
    struct report one;
    struct err why = {0};
    int rc = report_json_load(&one, path, e);
    if (rc == 0) {
        rc = report_merge(into, &one, &why);
        if (rc < 0)
            err_set(e, (enum exit_code) - rc, "%.200s: %.250s", path, why.text);
    }
    report_deinit(&one);
    return rc;
}

static bool has_output(const struct settings *set)
{
    return set->json || set->junit || set->markdown || set->csv || set->prom || set->hdr ||
           set->html;
}

static void print_summary(const struct settings *set, const struct report *r)
{
    struct term term;
    struct text t = text_heap(SUMMARY_BYTES_MAX);
    term_init(&term, "streamload", set->quiet, (enum term_color)set->color);
    summary_write(&t, r, term.color);
    term_end(&term, text_str(&t));
    text_deinit(&t);
}

static int tell(struct report *r, const struct settings *set, struct err *e)
{
    int rc = replace_gates(r, set, e);
    if (rc < 0)
        return -rc;
    print_summary(set, r);
    rc = outputs_write(r, set, e);
    return rc < 0 ? -rc : (int)verdict_of(r);
}

int merge_command(const struct settings *set, int n_args, char **args, struct err *e)
{
    struct report r = {0};
    struct settings told = *set;
    int rc = report_json_load(&r, args[0], e);
    for (int i = 1; rc == 0 && i < n_args; i++)
        rc = merge_one(&r, args[i], e);
    if (!has_output(set))
        told.json = "-";
    int code = rc < 0 ? -rc : tell(&r, &told, e);
    report_deinit(&r);
    return code;
}

int report_command(const struct settings *set, int n_args, char **args, struct err *e)
{
    struct report r = {0};
    (void)n_args;
    int rc = report_json_load(&r, args[0], e);
    int code = rc < 0 ? -rc : tell(&r, set, e);
    report_deinit(&r);
    return code;
}
