#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "loadgen/report_fields.h"
#include "loadgen/report_json.h"

#define FILE_BYTES_MAX ((size_t)1 << 30)
#define EXACT_MAX      9007199254740992.0 /* 2^53: cJSON's numbers are doubles */
#define PARTS_MAX      1024
#define SECONDS_MAX    10000000

/* Everything is wrong in the same way: by its name. */
static int wrong(struct err *e, const char *what)
{
    return err_set(e, EXIT_USAGE, "not a report of this kind (%s): %s", REPORT_SCHEMA, what);
}

static int no_memory(struct err *e)
{
    return err_set(e, EXIT_FAILED, "out of memory");
}

static const cJSON *member(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static int read_number(const cJSON *item, double max, const char *name, uint64_t *out,
                       struct err *e)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.0) || item->valuedouble > max ||
        item->valuedouble != floor(item->valuedouble))
        return wrong(e, name);
    *out = (uint64_t)item->valuedouble;
    return 0;
}

static int read_u64(const cJSON *o, const char *key, uint64_t *out, struct err *e)
{
    return read_number(member(o, key), EXACT_MAX, key, out, e);
}

static int read_fields(const cJSON *o, const struct report_field *f, size_t n, void *into,
                       struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value;
        int rc = read_number(member(o, f[i].name), (double)report_field_max(&f[i]), f[i].name,
                             &value, e);
        if (rc < 0)
            return rc;
        report_field_set(into, &f[i], value);
    }
    return 0;
}

static int read_text(const cJSON *o, const char *key, char **out, struct err *e)
{
    const char *text = cJSON_GetStringValue(member(o, key));
    if (!text)
        return wrong(e, key);
    *out = strdup(text);
    return *out ? 0 : no_memory(e);
}

static int read_short_text(const cJSON *o, const char *key, char *out, size_t cap, struct err *e)
{
    const char *text = cJSON_GetStringValue(member(o, key));
    if (!text || strlen(text) >= cap)
        return wrong(e, key);
    strcpy(out, text);
    return 0;
}

/* The one of a few words that the text is, or NULL. */
static const char *read_word(const cJSON *o, const char *key, const char *const *words)
{
    const char *text = cJSON_GetStringValue(member(o, key));
    for (; text && *words; words++)
        if (strcmp(text, *words) == 0)
            return *words;
    return NULL;
}

/* --- the run and its configuration --- */

static int read_run(struct report *r, const cJSON *o, struct err *e)
{
    static const char *const ends[] = {"done", "interrupted", "aborted", NULL};
    const cJSON *started = member(o, "started_s");
    int rc = read_text(o, "version", &r->version, e);
    if (rc == 0)
        rc = read_text(o, "url", &r->url, e);
    if (rc == 0)
        rc = read_text(o, "server", &r->server, e);
    if (rc == 0)
        rc = read_word(o, "ended", ends) ? read_text(o, "ended", &r->ended, e) : wrong(e, "ended");
    if (rc == 0)
        rc = read_u64(o, "duration_us", &r->duration_us, e);
    if (rc == 0)
        rc = read_u64(o, "warmup_us", &r->warmup_us, e);
    if (rc == 0)
        rc = read_u64(o, "budget_us", &r->budget_us, e);
    if (rc == 0 && (!cJSON_IsNumber(started) || !(fabs(started->valuedouble) < 1e12)))
        rc = wrong(e, "started_s");
    if (rc == 0)
        r->started_wall_s = started->valuedouble;
    return rc;
}

static int read_settings(struct report *r, const cJSON *list, struct err *e)
{
    const cJSON *pair;
    if (!cJSON_IsArray(list))
        return wrong(e, "settings");
    cJSON_ArrayForEach(pair, list)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0));
        const char *value = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 1));
        if (!name || !value || cJSON_GetArraySize(pair) != 2)
            return wrong(e, "settings");
        if (report_add_setting(r, name, value) < 0)
            return no_memory(e);
    }
    return 0;
}

static int read_profile(struct report *r, const cJSON *o, struct err *e)
{
    struct report_profile p = {.name = cJSON_GetStringValue(member(o, "name")),
                               .tags = cJSON_GetStringValue(member(o, "tags"))};
    if (!p.name || !p.tags)
        return wrong(e, "profiles");
    int rc = read_u64(o, "weight", &p.weight, e);
    if (rc == 0)
        rc = read_u64(o, "fps_milli", &p.fps_milli, e);
    if (rc == 0)
        rc = read_u64(o, "frame_bytes", &p.frame_bytes, e);
    if (rc == 0 && report_add_profile(r, &p) < 0)
        rc = no_memory(e);
    return rc;
}

static int read_profiles(struct report *r, const cJSON *list, struct err *e)
{
    const cJSON *o;
    int rc = 0;
    if (!cJSON_IsArray(list) || !list->child)
        return wrong(e, "profiles");
    cJSON_ArrayForEach(o, list)
    {
        if (rc == 0 && r->n_profiles == PARTS_MAX)
            rc = wrong(e, "profiles: too many");
        if (rc == 0)
            rc = read_profile(r, o, e);
    }
    return rc;
}

static int read_gates(struct report *r, const cJSON *list, struct err *e)
{
    const cJSON *item;
    if (!cJSON_IsArray(list))
        return wrong(e, "gates");
    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_GetStringValue(item);
        if (!text)
            return wrong(e, "gates");
        if (report_add_gate(r, text) < 0)
            return no_memory(e);
    }
    return 0;
}

static int read_generators(struct report *r, const cJSON *list, struct err *e)
{
    static const char *const waits[] = {"sleep", "spin", NULL};
    const cJSON *o;
    if (!cJSON_IsArray(list) || !list->child)
        return wrong(e, "generators");
    cJSON_ArrayForEach(o, list)
    {
        struct report_generator g = {0};
        const char *wait = read_word(o, "wait", waits);
        int rc = read_fields(o, report_generator_numbers, REPORT_GENERATOR_NUMBERS, &g, e);
        if (rc == 0)
            rc = read_short_text(o, "host", g.host, sizeof g.host, e);
        if (rc == 0 && !wait)
            rc = wrong(e, "wait");
        if (wait)
            strcpy(g.wait, wait);
        if (rc == 0 && report_add_generator(r, &g) < 0)
            rc = no_memory(e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- the record --- */

/* One [bucket, n] of a list that ascends from `least`. */
static int read_bucket(const cJSON *pair, uint64_t least, uint64_t *bucket, uint64_t *n,
                       struct err *e)
{
    int rc = cJSON_IsArray(pair) && cJSON_GetArraySize(pair) == 2 ? 0 : wrong(e, "buckets");
    if (rc == 0)
        rc = read_number(pair->child, HIST_BUCKETS - 1, "buckets", bucket, e);
    if (rc == 0)
        rc = read_number(pair->child->next, EXACT_MAX, "buckets", n, e);
    if (rc == 0 && (*bucket < least || *n == 0))
        rc = wrong(e, "buckets");
    return rc;
}

static int read_hist(struct hist *h, const cJSON *o, struct err *e)
{
    const cJSON *pair, *list = member(o, "buckets");
    uint64_t sum = 0, least = 0, bucket = 0, n = 0;
    int rc = read_u64(o, "count", &h->count, e);
    if (rc == 0)
        rc = read_u64(o, "sum_us", &h->sum_us, e);
    if (rc == 0)
        rc = read_u64(o, "min_us", &h->min_us, e);
    if (rc == 0)
        rc = read_u64(o, "max_us", &h->max_us, e);
    if (rc == 0 && !cJSON_IsArray(list))
        rc = wrong(e, "buckets");
    if (rc < 0)
        return rc;
    cJSON_ArrayForEach(pair, list)
    {
        rc = read_bucket(pair, least, &bucket, &n, e);
        if (rc < 0)
            return rc;
        h->bucket[bucket] = n;
        least = bucket + 1;
        sum += n;
    }
    return sum == h->count && h->count ? 0 : wrong(e, "count is not the sum of the buckets");
}

static int read_part(struct record_part *p, const cJSON *o, struct err *e)
{
    const cJSON *counts = member(o, "counts"), *times = member(o, "times");
    int rc = 0;
    if (!cJSON_IsObject(times))
        return wrong(e, "times");
    for (size_t i = 0; rc == 0 && i < RECORD_COUNTS; i++)
        rc = read_u64(counts, record_count_names[i], &p->count[i], e);
    for (size_t i = 0; rc == 0 && i < RECORD_TIMES; i++) {
        const cJSON *h = member(times, record_time_names[i]);
        if (h)
            rc = read_hist(&p->time[i], h, e);
    }
    return rc;
}

static int read_parts(struct record *r, const cJSON *list, struct err *e)
{
    const cJSON *o;
    size_t i = 0;
    int rc = 0;
    if (!cJSON_IsArray(list) || (size_t)cJSON_GetArraySize(list) != r->n_parts)
        return wrong(e, "parts: not one for each profile");
    cJSON_ArrayForEach(o, list)
    {
        if (rc == 0)
            rc = read_part(&r->part[i++], o, e);
    }
    return rc;
}

static int read_second(struct record_second *s, const cJSON *o, struct err *e)
{
    const cJSON *pair, *list = member(o, "buckets");
    uint64_t least = 0, bucket = 0, n = 0;
    int rc = read_fields(o, report_second_numbers, REPORT_SECOND_NUMBERS, s, e);
    if (rc == 0)
        rc = read_u64(o, "max_us", &s->max_us, e);
    if (rc == 0 && !cJSON_IsArray(list))
        rc = wrong(e, "buckets");
    if (rc < 0 || !list->child)
        return rc;
    s->buckets = calloc((size_t)cJSON_GetArraySize(list), sizeof *s->buckets);
    if (!s->buckets)
        return no_memory(e);
    cJSON_ArrayForEach(pair, list)
    {
        rc = read_bucket(pair, least, &bucket, &n, e);
        if (rc < 0 || n > UINT32_MAX)
            return rc < 0 ? rc : wrong(e, "buckets");
        s->buckets[s->n_buckets++] = (struct record_bucket){(uint32_t)bucket, (uint32_t)n};
        least = bucket + 1;
    }
    return 0;
}

static int read_seconds(struct record *r, const cJSON *list, struct err *e)
{
    const cJSON *o;
    int rc = 0, n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1;
    if (n < 0 || n > SECONDS_MAX)
        return wrong(e, "seconds");
    if (n == 0)
        return 0;
    r->second = calloc((size_t)n, sizeof *r->second);
    if (!r->second)
        return no_memory(e);
    cJSON_ArrayForEach(o, list)
    {
        if (rc == 0)
            rc = read_second(&r->second[r->n_seconds++], o, e);
    }
    return rc;
}

static int read_worst(struct record *r, const cJSON *list, struct err *e)
{
    const cJSON *o;
    int rc = 0;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > RECORD_WORST)
        return wrong(e, "worst");
    cJSON_ArrayForEach(o, list)
    {
        if (rc == 0)
            rc = read_fields(o, report_session_numbers, REPORT_SESSION_NUMBERS,
                             &r->worst[r->n_worst++], e);
    }
    for (size_t i = 0; rc == 0 && i < r->n_worst; i++)
        if (r->worst[i].profile >= r->n_parts)
            rc = wrong(e, "worst: no such profile");
    return rc;
}

static int read_exact(const cJSON *o, const char *key, uint64_t *out, struct err *e)
{
    char *end;
    const char *text = cJSON_GetStringValue(member(o, key));
    if (!text || text[0] < '0' || text[0] > '9')
        return wrong(e, key);
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *end || errno ? wrong(e, key) : 0;
}

static int read_record(struct report *r, const cJSON *o, struct err *e)
{
    struct record *record = &r->record;
    if (record_init(record, r->n_profiles) < 0)
        return no_memory(e);
    int rc = read_parts(record, member(o, "parts"), e);
    if (rc == 0)
        rc = read_seconds(record, member(o, "seconds"), e);
    if (rc == 0)
        rc = read_worst(record, member(o, "worst"), e);
    if (rc == 0)
        rc = read_exact(o, "sessions", &record->n_sessions, e);
    if (rc == 0)
        rc = read_exact(o, "share_sum", &record->share_sum, e);
    return rc < 0 ? rc : read_exact(o, "share_squares", &record->share_squares, e);
}

/* --- the whole --- */

static int read_all(struct report *r, const cJSON *o, struct err *e)
{
    const char *schema = cJSON_GetStringValue(member(o, "schema"));
    const cJSON *configuration = member(o, "configuration");
    if (!schema || strcmp(schema, REPORT_SCHEMA) != 0)
        return wrong(e, "schema");
    int rc = read_run(r, member(o, "run"), e);
    if (rc == 0)
        rc = read_settings(r, member(configuration, "settings"), e);
    if (rc == 0)
        rc = read_profiles(r, member(configuration, "profiles"), e);
    if (rc == 0)
        rc = read_gates(r, member(configuration, "gates"), e);
    if (rc == 0)
        rc = read_generators(r, member(o, "generators"), e);
    return rc < 0 ? rc : read_record(r, member(o, "record"), e);
}

int report_json_read(struct report *r, const char *bytes, size_t n, struct err *e)
{
    *r = (struct report){0};
    /* cJSON does not look; and what is not UTF-8 would be written longer than it was read. */
    if (!json_is_utf8(bytes, n))
        return err_set(e, EXIT_USAGE, "not JSON: not UTF-8");
    cJSON *o = cJSON_ParseWithLength(bytes, n);
    if (!o)
        return err_set(e, EXIT_USAGE, "not JSON");
    int rc = read_all(r, o, e);
    cJSON_Delete(o);
    return rc;
}

static char *read_file(FILE *f, size_t *n)
{
    size_t cap = 1 << 16;
    char *bytes = malloc(cap), *more = bytes;
    *n = 0;
    while (more && !feof(f) && !ferror(f) && *n < FILE_BYTES_MAX) {
        *n += fread(bytes + *n, 1, cap - *n, f);
        if (*n == cap && (more = realloc(bytes, cap *= 2)))
            bytes = more;
    }
    if (more && feof(f))
        return bytes;
    free(bytes);
    return NULL;
}

int report_json_load(struct report *r, const char *path, struct err *e)
{
    struct err why = {0};
    size_t n;
    *r = (struct report){0};
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!f)
        return err_errno(e, EXIT_UNREACHABLE, "%s", path);
    char *bytes = read_file(f, &n);
    if (f != stdin)
        fclose(f);
    if (!bytes)
        return err_set(e, EXIT_UNREACHABLE, "%s: cannot be read, or is larger than 1 GiB", path);
    int rc = report_json_read(r, bytes, n, &why);
    free(bytes);
    return rc < 0 ? err_set(e, (enum exit_code) - rc, "%.200s: %.250s", path, why.text) : 0;
}
