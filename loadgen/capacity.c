#include "loadgen/capacity.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "loadgen/metric.h"
#include "loadgen/outputs.h"
#include "loadgen/report.h"
#include "loadgen/run.h"
#include "loadgen/search.h"
#include "loadgen/verdict.h"

#define REPORT_MAX_BYTES (1u << 20)

struct trials {
    const struct settings *set;
    const char *url;
    int signal_fd;
    struct search search;
    struct text list; /* JSON, one object a try */
    struct json json;
    bool interrupted;
};

static const char *const columns[] = {"latency.p50", "latency.p99", "drop_rate", "answered_fps",
                                      "slip.p99"};
#define N_COLUMNS (sizeof columns / sizeof columns[0])

static const char *unit_of(const struct settings *set)
{
    return set->vary == VARY_FPS ? "fps" : "sessions";
}

static enum search_outcome outcome_of(const struct report *r)
{
    switch (verdict_of(r)) {
    case EXIT_DONE:
        return SEARCH_PASSED;
    case EXIT_INVALID:
        return SEARCH_INVALID;
    default:
        return SEARCH_FAILED;
    }
}

/* "  1200  8.1 ms  21.3 ms  0.2 %  35990/s  0.1 ms  passed" */
static void tell_try(struct trials *t, uint64_t value, const struct report *r)
{
    char bytes[512];
    struct text line = text_fixed(bytes, sizeof bytes);
    struct metric m;
    text_addf(&line, "%10llu", (unsigned long long)value);
    json_object_begin(&t->json, NULL);
    json_u64(&t->json, unit_of(t->set), value);
    for (size_t i = 0; i < N_COLUMNS; i++) {
        char cell[32];
        struct text one = text_fixed(cell, sizeof cell);
        bool known = metric_read(r, columns[i], &m, NULL) == 0 && m.has_data;
        if (known)
            metric_format(&one, m.value, m.unit);
        text_addf(&line, "  %12s", known ? cell : "-");
        if (known)
            json_num(&t->json, columns[i], m.value, 6);
    }
    const char *verdict = verdict_name(verdict_of(r));
    json_str(&t->json, "verdict", verdict);
    json_object_end(&t->json);
    printf("%s  %s\n", bytes, verdict);
    fflush(stdout);
}

/* One run. 0, or what ended it before it could be judged. */
static int try_one(struct trials *t, uint64_t value, struct err *e)
{
    struct report r;
    struct settings set = *t->set;
    if (set.vary == VARY_FPS)
        set.fps = (double)value;
    else
        set.sessions = value;
    int rc = run_load(&set, t->url, t->signal_fd, &r, e);
    if (rc == 0) {
        t->interrupted = strcmp(r.ended, "interrupted") == 0;
        tell_try(t, value, &r);
        search_tell(&t->search, value, outcome_of(&r));
    }
    report_deinit(&r);
    return t->interrupted ? -EXIT_INTERRUPTED : rc;
}

static int search_all(struct trials *t, struct err *e)
{
    uint64_t value;
    int rc = 0;
    printf("%10s", unit_of(t->set));
    for (size_t i = 0; i < N_COLUMNS; i++)
        printf("  %12s", columns[i]);
    printf("\n");
    while (rc == 0 && (value = search_next(&t->search)) != 0)
        rc = try_one(t, value, e);
    return rc;
}

/* The sentence at the end, and the exit code. */
static int conclude(const struct trials *t)
{
    const struct search *s = &t->search;
    const char *unit = unit_of(t->set);
    if (!s->confirmed) {
        printf("not even %llu %s: %s\n", (unsigned long long)s->from, unit,
               s->bound_is_ours ? "the generator is at its limit (fewer sessions, more --threads, "
                                  "another machine)"
                                : "a gate failed");
        return s->bound_is_ours ? EXIT_INVALID : EXIT_GATE;
    }
    printf("capacity: %llu %s", (unsigned long long)s->confirmed, unit);
    if (s->confirmed == s->to)
        printf(" or more: --to allowed no more\n");
    else if (s->bound_is_ours)
        printf(" or more: beyond that the generator, not the server, was at its limit\n");
    else
        printf("\n");
    return EXIT_DONE;
}

static int write_json(struct trials *t, struct err *e)
{
    struct text out = text_heap(REPORT_MAX_BYTES);
    struct json j = json_to(&out);
    json_array_end(&t->json);
    json_object_begin(&j, NULL);
    json_str(&j, "schema", "streamload-capacity/1");
    json_str(&j, "unit", unit_of(t->set));
    json_u64(&j, "capacity", t->search.confirmed);
    json_bool(&j, "limited_by_generator", t->search.bound_is_ours);
    json_raw(&j, "trials", text_str(&t->list), t->list.len);
    json_object_end(&j);
    text_add_char(&out, '\n');
    int rc = outputs_write_file(t->set->json, &out, e);
    text_deinit(&out);
    return rc;
}

int capacity_command(const struct settings *set, const char *url, struct err *e)
{
    struct trials t = {.set = set, .url = url, .list = text_heap(REPORT_MAX_BYTES)};
    if (set->from > set->to)
        return -err_set(e, EXIT_USAGE, "--from is more than --to");
    if (set->vary == VARY_FPS && set->to > 1000 && set->from > 1000)
        return -err_set(e, EXIT_USAGE, "--from: at most 1000 frames per second");
    t.signal_fd = run_block_signals(e);
    if (t.signal_fd < 0)
        return EXIT_FAILED;
    t.json = json_to(&t.list);
    json_array_begin(&t.json, NULL);
    search_init(&t.search, set->from, set->vary == VARY_FPS && set->to > 1000 ? 1000 : set->to);
    int rc = search_all(&t, e);
    int code = rc < 0 ? -rc : conclude(&t);
    if (set->json && rc == 0 && write_json(&t, e) < 0)
        code = EXIT_FAILED;
    text_deinit(&t.list);
    close(t.signal_fd);
    return code;
}
