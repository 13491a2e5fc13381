#include "loadgen/report.h"

#include <stdlib.h>
#include <string.h>

void report_deinit(struct report *r)
{
    for (size_t i = 0; i < r->n_settings; i++) {
        free(r->setting[i].name);
        free(r->setting[i].value);
    }
    for (size_t i = 0; i < r->n_profiles; i++) {
        free(r->profile[i].name);
        free(r->profile[i].tags);
    }
    for (size_t i = 0; i < r->n_gates; i++)
        free(r->gate[i]);
    free(r->setting);
    free(r->profile);
    free(r->gate);
    free(r->generator);
    free(r->version);
    free(r->url);
    free(r->server);
    free(r->ended);
    record_deinit(&r->record);
    *r = (struct report){0};
}

/* Room for one more item behind the n of them; NULL: out of memory, nothing changed. */
static void *grow(void *items, size_t n, size_t item_bytes)
{
    return realloc(items, (n + 1) * item_bytes);
}

static int no_memory(void)
{
    return -EXIT_FAILED;
}

int report_add_setting(struct report *r, const char *name, const char *value)
{
    struct report_setting *more = grow(r->setting, r->n_settings, sizeof *more);
    if (!more)
        return no_memory();
    r->setting = more;
    struct report_setting s = {strdup(name), strdup(value)};
    if (!s.name || !s.value) {
        free(s.name);
        free(s.value);
        return no_memory();
    }
    r->setting[r->n_settings++] = s;
    return 0;
}

int report_add_profile(struct report *r, const struct report_profile *p)
{
    struct report_profile *more = grow(r->profile, r->n_profiles, sizeof *more);
    if (!more)
        return no_memory();
    r->profile = more;
    struct report_profile copy = *p;
    copy.name = strdup(p->name);
    copy.tags = strdup(p->tags ? p->tags : "");
    if (!copy.name || !copy.tags) {
        free(copy.name);
        free(copy.tags);
        return no_memory();
    }
    r->profile[r->n_profiles++] = copy;
    return 0;
}

int report_add_gate(struct report *r, const char *text)
{
    char **more = grow(r->gate, r->n_gates, sizeof *more);
    if (!more)
        return no_memory();
    r->gate = more;
    r->gate[r->n_gates] = strdup(text);
    return r->gate[r->n_gates] ? (r->n_gates++, 0) : no_memory();
}

int report_add_generator(struct report *r, const struct report_generator *g)
{
    struct report_generator *more = grow(r->generator, r->n_generators, sizeof *more);
    if (!more)
        return no_memory();
    r->generator = more;
    r->generator[r->n_generators++] = *g;
    return 0;
}

/* --- the same run? --- */

static const char *setting_value(const struct report *r, const char *name)
{
    for (size_t i = 0; i < r->n_settings; i++)
        if (strcmp(r->setting[i].name, name) == 0)
            return r->setting[i].value;
    return NULL;
}

/* Every setting of a is in b, with the same value. */
static int same_settings(const struct report *a, const struct report *b, struct err *e)
{
    for (size_t i = 0; i < a->n_settings; i++) {
        const struct report_setting *s = &a->setting[i];
        const char *other = setting_value(b, s->name);
        if (!other || strcmp(other, s->value) != 0)
            return err_set(e, EXIT_USAGE, "%s differs: %s and %s", s->name, s->value,
                           other ? other : "not set");
    }
    return 0;
}

static int same_profiles(const struct report *a, const struct report *b, struct err *e)
{
    if (a->n_profiles != b->n_profiles)
        return err_set(e, EXIT_USAGE, "profiles differ: %zu and %zu of them", a->n_profiles,
                       b->n_profiles);
    for (size_t i = 0; i < a->n_profiles; i++) {
        const struct report_profile *p = &a->profile[i], *q = &b->profile[i];
        if (strcmp(p->name, q->name) != 0)
            return err_set(e, EXIT_USAGE, "profiles differ: %s and %s", p->name, q->name);
        if (p->weight != q->weight || p->fps_milli != q->fps_milli ||
            p->frame_bytes != q->frame_bytes || strcmp(p->tags, q->tags) != 0)
            return err_set(e, EXIT_USAGE, "profile %s differs", p->name);
    }
    return 0;
}

int report_is_same_run(const struct report *a, const struct report *b, struct err *e)
{
    int rc = same_settings(a, b, e);
    if (rc == 0)
        rc = same_settings(b, a, e);
    return rc < 0 ? rc : same_profiles(a, b, e);
}

/* --- merging --- */

static int check_segments(const struct report *a, const struct report *b, struct err *e)
{
    for (size_t i = 0; i < a->n_generators; i++) {
        for (size_t k = 0; k < b->n_generators; k++) {
            const struct report_generator *g = &a->generator[i], *h = &b->generator[k];
            if (g->n_segments != h->n_segments)
                return err_set(e, EXIT_USAGE, "one is split into %u segments, the other into %u",
                               g->n_segments, h->n_segments);
            if (g->segment == h->segment)
                return err_set(e, EXIT_USAGE, "segment %u/%u is in both", g->segment,
                               g->n_segments);
        }
    }
    return 0;
}

static int take_end(struct report *into, const struct report *from)
{
    if (strcmp(into->ended, "done") != 0 || strcmp(from->ended, "done") == 0)
        return 0;
    char *ended = strdup(from->ended);
    if (!ended)
        return no_memory();
    free(into->ended);
    into->ended = ended;
    return 0;
}

int report_merge(struct report *into, const struct report *from, struct err *e)
{
    int rc = report_is_same_run(into, from, e);
    if (rc == 0)
        rc = check_segments(into, from, e);
    if (rc < 0)
        return rc;
    rc = take_end(into, from);
    for (size_t i = 0; rc == 0 && i < from->n_generators; i++)
        rc = report_add_generator(into, &from->generator[i]);
    if (rc < 0 || record_merge(&into->record, &from->record) < 0)
        return err_set(e, EXIT_FAILED, "out of memory");
    if (from->started_wall_s < into->started_wall_s)
        into->started_wall_s = from->started_wall_s;
    if (from->duration_us > into->duration_us)
        into->duration_us = from->duration_us;
    return 0;
}

double report_counted_s(const struct report *r)
{
    return r->duration_us > r->warmup_us ? (double)(r->duration_us - r->warmup_us) / 1e6 : 0.0;
}

int report_find_profile(const struct report *r, const char *name)
{
    for (size_t i = 0; i < r->n_profiles; i++)
        if (strcmp(r->profile[i].name, name) == 0)
            return (int)i;
    return -1;
}
