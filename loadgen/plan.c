#include "loadgen/plan.h"

#include <string.h>

/* Microseconds of a frame's interval times 1e-3 frames per second. */
#define MICROFRAMES 1000000000u

#define STAGE_MAX_US 604800000000u

static int parse_stage(struct plan_stage *s, const char *text, struct err *e)
{
    char time[64];
    struct err why;
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof time)
        return err_set(e, EXIT_USAGE, "--stages: '%s' is not TIME:SESSIONS, as in 10s:50", text);
    memcpy(time, text, (size_t)(colon - text));
    time[colon - text] = '\0';
    if (opt_parse_time_us(time, &s->us, &why) < 0 || s->us == 0 || s->us > STAGE_MAX_US)
        return err_set(e, EXIT_USAGE, "--stages: '%s' is not a time up to a week, as in 10s", time);
    if (opt_parse_count(colon + 1, &s->sessions, &why) < 0 || s->sessions > 1000000)
        return err_set(e, EXIT_USAGE, "--stages: '%s' is not a number of sessions", colon + 1);
    return 0;
}

int plan_parse_stages(struct plan *p, const char *text, struct err *e)
{
    char copy[1024], *rest = NULL;
    if (strlen(text) >= sizeof copy)
        return err_set(e, EXIT_USAGE, "--stages: too long");
    strcpy(copy, text);
    p->n_stages = 0;
    p->sessions = p->duration_us = 0;
    for (char *one = strtok_r(copy, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        if (p->n_stages == PLAN_STAGES_MAX)
            return err_set(e, EXIT_USAGE, "--stages: more than %d of them", PLAN_STAGES_MAX);
        struct plan_stage *s = &p->stage[p->n_stages++];
        int rc = parse_stage(s, one, e);
        if (rc < 0)
            return rc;
        p->duration_us += s->us;
        p->sessions = s->sessions > p->sessions ? s->sessions : p->sessions;
    }
    return p->sessions ? 0 : err_set(e, EXIT_USAGE, "--stages '%s': nothing to do", text);
}

/* When, within a stage from a to b sessions, session `index` comes or goes: when the line between
 * them crosses index + 1, upwards, or falls below it. */
static uint64_t crossing_us(uint64_t stage_us, uint64_t a, uint64_t b, uint64_t index)
{
    if (b > a)
        return (stage_us * (index + 1 - a) + (b - a) - 1) / (b - a);
    return stage_us * (a - index - 1) / (a - b) + 1;
}

/* Calls for each change in turn would be a callback; a walk that stops is enough. The change
 * after at_us, and what is wanted at at_us. */
static uint64_t walk(const struct plan *p, uint64_t index, uint64_t at_us, bool *wanted)
{
    uint64_t t = 0, from = 0;
    *wanted = false;
    for (size_t i = 0; i < p->n_stages; i++) {
        const struct plan_stage *s = &p->stage[i];
        bool before = from > index, after = s->sessions > index;
        if (before != after) {
            uint64_t change_us = t + crossing_us(s->us, from, s->sessions, index);
            if (change_us > at_us)
                return change_us;
            *wanted = after;
        }
        t += s->us;
        from = s->sessions;
    }
    return PLAN_NEVER;
}

bool plan_wants(const struct plan *p, uint64_t index, uint64_t at_us)
{
    bool wanted;
    if (p->n_stages == 0)
        return index < p->sessions;
    walk(p, index, at_us, &wanted);
    return wanted;
}

uint64_t plan_next_change_us(const struct plan *p, uint64_t index, uint64_t at_us)
{
    bool wanted;
    return p->n_stages == 0 ? PLAN_NEVER : walk(p, index, at_us, &wanted);
}

/* splitmix64: good bits from consecutive numbers. */
static uint64_t scatter(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t plan_phase_us(const struct plan *p, uint64_t index, uint64_t fps_milli)
{
    uint64_t interval_us = MICROFRAMES / fps_milli;
    switch (p->phase) {
    case PHASE_EVEN:
        return interval_us * (index % p->sessions) / p->sessions;
    case PHASE_RANDOM:
        return interval_us ? scatter(p->seed * 0x2545f4914f6cdd1du + index) % interval_us : 0;
    case PHASE_ALIGNED:
        break;
    }
    return 0;
}

uint64_t plan_due_us(uint64_t fps_milli, uint64_t phase_us, uint64_t k)
{
    return phase_us + k / fps_milli * MICROFRAMES + k % fps_milli * MICROFRAMES / fps_milli;
}

uint64_t plan_first_frame(uint64_t fps_milli, uint64_t phase_us, uint64_t at_us)
{
    if (at_us <= phase_us)
        return 0;
    uint64_t us = at_us - phase_us;
    uint64_t k = us / MICROFRAMES * fps_milli + us % MICROFRAMES * fps_milli / MICROFRAMES;
    return plan_due_us(fps_milli, phase_us, k) < at_us ? k + 1 : k;
}
