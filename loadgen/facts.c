#include "loadgen/facts.h"

#include <cjson/cJSON.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fetch.h"
#include "loadgen/gate.h"

#define ANSWER_MAX_BYTES 65536
#define ANSWER_MS        2000L

void facts_machine(struct report_generator *g)
{
    cpu_set_t set;
    *g = (struct report_generator){.n_cpus = 1};
    gethostname(g->host, sizeof g->host - 1);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        g->n_cpus = (uint32_t)CPU_COUNT(&set);
}

/* "streamd 0.1.0", or "" from a server that does not tell. */
static char *ask_version(const struct load *l)
{
    char url[1024], version[256] = "";
    struct text answer = text_heap(ANSWER_MAX_BYTES);
    struct fetch_options o = {
        .cacert = l->set->cacert, .insecure = l->set->insecure, .timeout_ms = ANSWER_MS};
    address_http(&l->at, "/version", url, sizeof url);
    if (fetch_text(url, &o, &answer, NULL) == 0) {
        cJSON *json = cJSON_ParseWithLength(text_str(&answer), answer.len);
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "name"));
        const char *number =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "version"));
        if (name && number)
            snprintf(version, sizeof version, "%s %s", name, number);
        cJSON_Delete(json);
    }
    text_deinit(&answer);
    return strdup(version);
}

/* --- what decides what is measured --- */

struct setting_writer {
    struct report *report;
    int rc;
};

static void add(struct setting_writer *w, const char *name, const char *value)
{
    if (w->rc == 0 && value)
        w->rc = report_add_setting(w->report, name, value);
}

static void add_number(struct setting_writer *w, const char *name, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.10g", value);
    add(w, name, text);
}

static void add_ms(struct setting_writer *w, const char *name, uint64_t us)
{
    char text[64];
    snprintf(text, sizeof text, "%.10gms", (double)us / 1000.0);
    add(w, name, text);
}

static void add_load(struct setting_writer *w, const struct settings *set)
{
    static const char *const phases[] = {"even", "random", "aligned"};
    static const char *const reconnects[] = {"none", "immediate", "backoff"};
    if (set->stages)
        add(w, "stages", set->stages);
    else
        add_number(w, "sessions", (double)set->sessions);
    if (!set->stages)
        add_ms(w, "duration", set->duration_us);
    add_ms(w, "warmup", set->warmup_us);
    add(w, "phase", phases[set->phase]);
    if (set->phase == PHASE_RANDOM)
        add_number(w, "seed", (double)set->seed);
    add(w, "reconnect", reconnects[set->reconnect]);
    add_number(w, "churn", set->churn_per_s);
    add(w, "adapt", set->adapt ? "yes" : "no");
    add_ms(w, "budget", set->budget_us);
    add_ms(w, "answer-timeout", set->answer_timeout_us);
}

/* A profile's behaviour beside its rate and size, which the report knows. */
static void add_profile_settings(struct setting_writer *w, const struct profile *p)
{
    char name[128], value[512];
    snprintf(name, sizeof name, "profile.%.100s", p->name);
    snprintf(value, sizeof value,
             "pipeline=%.100s frames=%.200s geometry=%ux%u fragment=%llu slow-reader=%lluus "
             "in-flight=%llu burst=%lluus/%lluus",
             p->pipeline, p->frames ? p->frames : "made", p->frames ? 0 : p->width,
             p->frames ? 0 : p->height, (unsigned long long)p->fragment_bytes,
             (unsigned long long)p->slow_reader_us, (unsigned long long)p->in_flight,
             (unsigned long long)p->burst_on_us, (unsigned long long)p->burst_off_us);
    add(w, name, value);
}

static int add_profiles(struct report *r, const struct load *l)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->profiles.n; i++) {
        const struct profile *p = &l->profiles.item[i];
        char name[256], tags[sizeof p->tags];
        struct report_profile told = {.name = name,
                                      .weight = p->weight,
                                      .fps_milli = p->fps_milli,
                                      .frame_bytes = l->corpus[i].bytes_mean,
                                      .tags = tags};
        snprintf(name, sizeof name, "%s", p->name);
        snprintf(tags, sizeof tags, "%s", p->tags);
        rc = report_add_profile(r, &told);
    }
    return rc;
}

static int add_gates(struct report *r, const struct settings *set)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < set->gates.n; i++)
        rc = report_add_gate(r, set->gates.item[i]);
    for (size_t i = 0; rc == 0 && set->gates.n == 0 && gate_defaults[i]; i++)
        rc = report_add_gate(r, gate_defaults[i]);
    return rc;
}

int facts_describe(struct report *r, const struct load *l, struct err *e)
{
    struct setting_writer w = {.report = r};
    char url[1024];
    address_display(&l->at, url, sizeof url);
    r->version = strdup("streamload " VERSION);
    r->url = strdup(url);
    r->server = ask_version(l);
    r->budget_us = l->set->budget_us;
    r->warmup_us = l->set->warmup_us;
    add_load(&w, l->set);
    for (size_t i = 0; i < l->profiles.n; i++)
        add_profile_settings(&w, &l->profiles.item[i]);
    if (w.rc < 0 || !r->version || !r->url || !r->server || add_profiles(r, l) < 0 ||
        add_gates(r, l->set) < 0)
        return err_set(e, EXIT_FAILED, "out of memory");
    return 0;
}
