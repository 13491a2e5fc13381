#include "tests/sim/script.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void script_free(struct script *s)
{
    free(s->in);
    s->in = NULL;
    s->n = s->cap = 0;
}

void script_add(struct script *s, const struct input *in)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 256;
        s->in = realloc(s->in, s->cap * sizeof *s->in);
        if (!s->in)
            abort();
    }
    s->in[s->n++] = *in;
}

/* Insertion: stable, and quick for what people write, which is nearly sorted. */
void script_sort(struct script *s)
{
    for (size_t i = 1; i < s->n; i++) {
        struct input in = s->in[i];
        size_t k = i;
        for (; k > 0 && s->in[k - 1].at_us > in.at_us; k--)
            s->in[k] = s->in[k - 1];
        s->in[k] = in;
    }
}

struct script_end script_run(const struct script *s)
{
    struct world w;
    struct script_end end = {0};
    world_init(&w, &s->set);
    while (end.n_done < s->n && !w.broken)
        world_input(&w, &s->in[end.n_done++]);
    world_drain(&w);
    end.broken = w.broken;
    memcpy(end.detail, w.detail, sizeof end.detail);
    end.at_us = w.sim.now_us;
    end.total = w.total;
    world_deinit(&w);
    return end;
}

/* ---- shrinking ---- */

struct shrink {
    struct script *s;
    const char *broken;
    size_t n_runs, n_runs_max;
};

static bool still_breaks(struct shrink *sh, const struct script *s)
{
    if (sh->n_runs >= sh->n_runs_max)
        return false;
    sh->n_runs++;
    const char *broken = script_run(s).broken;
    return broken && strcmp(broken, sh->broken) == 0;
}

/* Takes `to`: it becomes the script when it still breaks. */
static bool try_script(struct shrink *sh, struct script *to)
{
    bool ok = still_breaks(sh, to);
    struct script *loser = ok ? sh->s : to;
    free(loser->in);
    if (ok)
        *sh->s = *to;
    return ok;
}

static struct script copy_of(const struct script *s)
{
    struct script c = *s;
    c.cap = s->n ? s->n : 1;
    c.in = malloc(c.cap * sizeof *c.in);
    if (!c.in)
        abort();
    if (s->n)
        memcpy(c.in, s->in, s->n * sizeof *s->in);
    return c;
}

static void cut(struct script *s, size_t from, size_t n)
{
    memmove(s->in + from, s->in + from + n, (s->n - from - n) * sizeof *s->in);
    s->n -= n;
}

static bool is_of_session(const struct input *in, uint32_t session)
{
    return in->kind != INPUT_STALL && in->kind != INPUT_WAKE && in->who == session;
}

static bool drop_sessions(struct shrink *sh)
{
    bool any = false;
    for (uint32_t i = 0; i < sh->s->set.n_sessions; i++) {
        struct script c = copy_of(sh->s);
        c.n = 0;
        for (size_t k = 0; k < sh->s->n; k++)
            if (!is_of_session(&sh->s->in[k], i))
                c.in[c.n++] = sh->s->in[k];
        if (c.n == sh->s->n)
            free(c.in);
        else
            any |= try_script(sh, &c);
    }
    return any;
}

static bool drop_chunks(struct shrink *sh)
{
    bool any = false;
    for (size_t size = sh->s->n; size; size /= 2) {
        for (size_t from = 0; from < sh->s->n;) {
            struct script c = copy_of(sh->s);
            cut(&c, from, size < c.n - from ? size : c.n - from);
            if (try_script(sh, &c))
                any = true;
            else
                from += size;
        }
    }
    return any;
}

/* The sessions that are left get the lowest numbers. */
static bool renumber(struct shrink *sh)
{
    struct script c = copy_of(sh->s);
    uint32_t n = 0;
    for (uint32_t i = 0; i < c.set.n_sessions; i++) {
        bool used = false;
        for (size_t k = 0; k < c.n; k++) {
            if (is_of_session(&c.in[k], i)) {
                c.in[k].who = n;
                used = true;
            }
        }
        n += used;
    }
    c.set.n_sessions = n ? n : 1;
    if (c.set.n_sessions == sh->s->set.n_sessions) {
        free(c.in);
        return false;
    }
    return try_script(sh, &c);
}

static bool drop_workers(struct shrink *sh)
{
    bool any = false;
    while (sh->s->set.n_workers > 1) {
        struct script c = copy_of(sh->s);
        c.set.n_workers--;
        if (!try_script(sh, &c))
            break;
        any = true;
    }
    return any;
}

/* 0 or else half of it, as often as it goes. */
static bool shorten(struct shrink *sh, size_t offset_in_set)
{
    bool any = false;
    for (;;) {
        struct script c = copy_of(sh->s);
        uint64_t *us = (uint64_t *)(void *)((char *)&c.set + offset_in_set);
        uint64_t was_us = *us;
        *us = any ? was_us / 2 : 0;
        if (!was_us || !try_script(sh, &c)) {
            if (!was_us)
                free(c.in);
            if (any || !was_us)
                return any;
            c = copy_of(sh->s);
            us = (uint64_t *)(void *)((char *)&c.set + offset_in_set);
            *us = was_us / 2;
            if (!try_script(sh, &c))
                return any;
        }
        any = true;
    }
}

static bool halve_durations(struct shrink *sh)
{
    bool any = false;
    for (size_t k = 0; k < sh->s->n; k++) {
        while (sh->s->in[k].for_us) {
            struct script c = copy_of(sh->s);
            c.in[k].for_us /= 2;
            if (!try_script(sh, &c))
                break;
            any = true;
        }
    }
    return any;
}

/* Everything from input k on comes earlier. */
static bool halve_gaps(struct shrink *sh)
{
    bool any = false;
    for (size_t k = 0; k < sh->s->n; k++) {
        uint64_t gap_us;
        while ((gap_us = sh->s->in[k].at_us - (k ? sh->s->in[k - 1].at_us : 0))) {
            struct script c = copy_of(sh->s);
            for (size_t j = k; j < c.n; j++)
                c.in[j].at_us -= gap_us - gap_us / 2;
            if (!try_script(sh, &c))
                break;
            any = true;
        }
    }
    return any;
}

#define SHRINK_RUNS_MAX 20000
#define FEW             100 /* inputs: only then is it worth to look at each one's times */

size_t script_shrink(struct script *s, const char *broken)
{
    struct shrink sh = {.s = s, .broken = broken, .n_runs_max = SHRINK_RUNS_MAX};
    bool any = true;
    s->n = script_run(s).n_done; /* nothing later matters */
    while (any && sh.n_runs < sh.n_runs_max) {
        any = drop_sessions(&sh);
        any |= drop_chunks(&sh);
        any |= renumber(&sh);
        any |= drop_workers(&sh);
        any |= shorten(&sh, offsetof(struct world_settings, wake_us));
        any |= shorten(&sh, offsetof(struct world_settings, gap_us));
        any |= shorten(&sh, offsetof(struct world_settings, collect_us));
        if (s->n <= FEW) {
            any |= halve_durations(&sh);
            any |= halve_gaps(&sh);
        }
    }
    return sh.n_runs;
}

/* ---- text ---- */

static const char *const kinds[INPUT_KINDS] = {"frame", "fail", "stall", "wake", "leave", "join"};
static const char *const policies[] = {"latest", "strict", "phase17"};

void script_write(FILE *to, const struct script *s)
{
    const struct world_settings *set = &s->set;
    fprintf(to, "policy %s\nworkers %u\nsessions %u\n", policies[set->rule.policy], set->n_workers,
            set->n_sessions);
    fprintf(to, "budget_us %" PRIu64 "\nwake_us %" PRIu64 "\n", set->rule.budget_us, set->wake_us);
    fprintf(to, "gap_us %" PRIu64 "\ncollect_us %" PRIu64 "\n", set->gap_us, set->collect_us);
    if (set->bug)
        fprintf(to, "bug %s\n", world_bug_name(set->bug));
    for (size_t i = 0; i < s->n; i++) {
        const struct input *in = &s->in[i];
        fprintf(to, "at %" PRIu64 " %s %u", in->at_us, kinds[in->kind], in->who);
        fprintf(to, in->for_us ? " for %" PRIu64 "\n" : "\n", in->for_us);
    }
}

static int index_of(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static int read_input(const char *line, struct script *s)
{
    struct input in = {0};
    char kind[16];
    int n = sscanf(line, "at %" SCNu64 " %15s %" SCNu32 " for %" SCNu64, &in.at_us, kind, &in.who,
                   &in.for_us);
    int k = n >= 3 ? index_of(kind, kinds, INPUT_KINDS) : -1;
    if (k < 0)
        return -1;
    in.kind = (enum input_kind)k;
    script_add(s, &in);
    return 0;
}

static int read_name(const char *key, const char *value, struct world_settings *set)
{
    int k;
    if (strcmp(key, "policy") == 0) {
        if ((k = index_of(value, policies, 3)) < 0)
            return -1;
        set->rule.policy = (enum policy)k;
        return 0;
    }
    for (k = 0; k < BUGS && strcmp(key, "bug") == 0; k++) {
        if (strcmp(value, world_bug_name((enum world_bug)k)) == 0) {
            set->bug = (enum world_bug)k;
            return 0;
        }
    }
    return -1;
}

static int read_setting(const char *line, struct world_settings *set)
{
    char key[16], value[24], *end;
    if (sscanf(line, "%15s %23s", key, value) != 2)
        return -1;
    uint64_t n = strtoull(value, &end, 10);
    if (*end)
        return read_name(key, value, set);
    if (strcmp(key, "workers") == 0)
        set->n_workers = (unsigned)n;
    else if (strcmp(key, "sessions") == 0)
        set->n_sessions = (unsigned)n;
    else if (strcmp(key, "budget_us") == 0)
        set->rule.budget_us = n;
    else if (strcmp(key, "wake_us") == 0)
        set->wake_us = n;
    else if (strcmp(key, "gap_us") == 0)
        set->gap_us = n;
    else if (strcmp(key, "collect_us") == 0)
        set->collect_us = n;
    else
        return -1;
    return 0;
}

int script_read(FILE *from, struct script *s, struct err *e)
{
    char line[160];
    *s = (struct script){.set = {.n_sessions = 1, .n_workers = 1}};
    s->set.rule.drop_threshold = s->set.limits.drop_threshold = 0.10;
    s->set.limits.slow_down_threshold = 0.30;
    for (unsigned n = 1; fgets(line, sizeof line, from); n++) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        int rc = strncmp(line, "at ", 3) == 0 ? read_input(line, s) : read_setting(line, &s->set);
        if (rc < 0 || !s->set.n_sessions || !s->set.n_workers) {
            script_free(s);
            return err_set(e, EXIT_USAGE, "line %u makes no sense: %.100s", n, line);
        }
    }
    script_sort(s);
    return 0;
}
