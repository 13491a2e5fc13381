#include "server/pipeline.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/opt.h"

const struct pipeline_kind *const pipeline_kinds[] = {
    &pipeline_null,     &pipeline_delay, &pipeline_spin,   &pipeline_inspect,
    &pipeline_motion,   &pipeline_face,
#ifdef HAVE_APRILTAG
    &pipeline_apriltag,
#endif
    &pipeline_exec,     &pipeline_unix,  &pipeline_plugin, NULL,
};

static void add_known_kinds(struct text *t)
{
    text_add(t, "expected NAME=KIND[:key=value,...], KIND one of");
    for (size_t i = 0; pipeline_kinds[i]; i++)
        text_addf(t, "%s %s", i ? "," : "", pipeline_kinds[i]->name);
}

static void add_known_params(struct text *t, const struct pipeline_kind *kind)
{
    if (!kind->n_params && !kind->text) {
        text_addf(t, "%s takes no parameters", kind->name);
        return;
    }
    text_addf(t, "%s takes", kind->name);
    for (size_t i = 0; i < kind->n_params; i++) {
        const struct pipeline_param *p = &kind->params[i];
        text_addf(t, "%s %s (%g to %g)", i ? "," : "", p->name, p->min, p->max);
    }
    if (kind->text)
        text_addf(t, "%s %s", kind->n_params ? "," : "", kind->text);
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The sentence goes to a terminal or a log, and may repeat anything that was given. */
static void make_printable(char *sentence)
{
    for (; *sentence; sentence++)
        if (is_control(*sentence))
            *sentence = '?';
}

/* "pipeline 'SPEC': what is wrong; what is known". kind is NULL until it is known. */
__attribute__((format(printf, 4, 5))) static int refuse(struct err *e, const char *spec,
                                                        const struct pipeline_kind *kind,
                                                        const char *fmt, ...)
{
    char sentence[sizeof e->text], what[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);

    struct text t = text_fixed(sentence, sizeof sentence);
    text_addf(&t, "pipeline '%.80s': %s; ", spec, what);
    if (kind)
        add_known_params(&t, kind);
    else
        add_known_kinds(&t);
    make_printable(sentence);
    return err_set(e, EXIT_USAGE, "%s", text_str(&t));
}

static void pipeline_default(struct pipeline *p, const struct pipeline_kind *kind)
{
    *p = (struct pipeline){.kind = kind};
    for (size_t i = 0; i < kind->n_params; i++)
        p->param[i] = kind->params[i].def;
}

static const struct pipeline_kind *find_kind(const char *name, size_t n)
{
    if (memchr(name, '+', n))
        return &pipeline_chain;
    for (size_t i = 0; pipeline_kinds[i]; i++)
        if (strlen(pipeline_kinds[i]->name) == n && !memcmp(pipeline_kinds[i]->name, name, n))
            return pipeline_kinds[i];
    return NULL;
}

static int check_name(const char *spec, size_t n, struct err *e)
{
    if (!n)
        return refuse(e, spec, NULL, "the name is empty");
    if (n >= PIPELINE_NAME_MAX)
        return refuse(e, spec, NULL, "the name is longer than %d bytes", PIPELINE_NAME_MAX - 1);
    for (size_t i = 0; i < n; i++)
        if (is_control(spec[i]))
            return refuse(e, spec, NULL, "the name has a control character in it");
    return 0;
}

/* Every kind has it. */
static const struct pipeline_param every = {"every", 1, 1, 10000, "runs on each N-th frame"};

static int set_text(struct pipeline *p, const char *text, size_t n, struct err *e)
{
    free(p->text);
    p->text = strndup(text, n);
    return p->text ? 0 : err_set(e, EXIT_FAILED, "out of memory");
}

/* The parameter whose name the n bytes are, or NULL. */
static const struct pipeline_param *find_param(const struct pipeline_kind *kind, const char *key,
                                               size_t n)
{
    for (size_t i = 0; i < kind->n_params; i++)
        if (strlen(kind->params[i].name) == n && memcmp(kind->params[i].name, key, n) == 0)
            return &kind->params[i];
    return NULL;
}

static int parse_number(const char *spec, const struct pipeline_param *param, const char *text,
                        size_t n, struct pipeline *p, struct err *e)
{
    char value[64];
    double number;
    snprintf(value, sizeof value, "%.*s", (int)(n < sizeof value ? n : sizeof value - 1), text);
    if (n >= sizeof value || opt_parse_real(value, &number, NULL) < 0)
        return refuse(e, spec, p->kind, "%s: '%s' is not a number", param->name, value);
    if (!(number >= param->min && number <= param->max)) /* so that NaN is out of range */
        return refuse(e, spec, p->kind, "%s: %s is out of range", param->name, value);
    if (param == &every)
        p->every = (unsigned)number;
    else
        p->param[param - p->kind->params] = number;
    return 0;
}

/* pair is "key=value", n bytes of spec. */
static int parse_param(const char *spec, const char *pair, size_t n, struct pipeline *p,
                       struct err *e)
{
    const struct pipeline_kind *kind = p->kind;
    const char *equals = memchr(pair, '=', n);
    size_t key_len = equals ? (size_t)(equals - pair) : n;
    if (equals && key_len == strlen(every.name) && memcmp(pair, every.name, key_len) == 0)
        return parse_number(spec, &every, equals + 1, n - key_len - 1, p, e);
    if (!equals || key_len >= 64)
        return refuse(e, spec, kind, "'%.*s' is not key=value", (int)(n < 60 ? n : 60), pair);
    if (kind->text && !kind->text_is_rest && strlen(kind->text) == key_len &&
        memcmp(kind->text, pair, key_len) == 0)
        return set_text(p, equals + 1, n - key_len - 1, e);
    const struct pipeline_param *param = find_param(kind, pair, key_len);
    if (!param)
        return refuse(e, spec, kind, "unknown key '%.*s'", (int)key_len, pair);
    return parse_number(spec, param, equals + 1, n - key_len - 1, p, e);
}

/* Behind the last key that is known begins the rest; the text of a chain is there already. */
static bool begins_rest(const struct pipeline *p, const char *at)
{
    size_t n = strcspn(at, "=, ");
    bool is_every = n == strlen(every.name) && memcmp(at, every.name, n) == 0 && at[n] == '=';
    return p->kind->text_is_rest && !p->text && !is_every && !find_param(p->kind, at, n);
}

static int parse_params(const char *spec, const char *params, struct pipeline *p, struct err *e)
{
    for (;;) {
        if (begins_rest(p, params))
            return set_text(p, params, strlen(params), e);
        size_t n = strcspn(params, ",");
        int rc = parse_param(spec, params, n, p, e);
        if (rc < 0 || !params[n])
            return rc;
        params += n + 1;
    }
}

static int parse_spec(const char *spec, struct pipeline *p, struct err *e)
{
    size_t name_len = strcspn(spec, "=");
    if (!spec[name_len])
        return refuse(e, spec, NULL, "no '=' between name and kind");
    int rc = check_name(spec, name_len, e);
    if (rc < 0)
        return rc;

    const char *kind_name = spec + name_len + 1;
    size_t kind_len = strcspn(kind_name, ":");
    const struct pipeline_kind *kind = find_kind(kind_name, kind_len);
    if (!kind)
        return refuse(e, spec, NULL, "unknown kind '%.*s'", (int)(kind_len < 60 ? kind_len : 60),
                      kind_name);
    pipeline_default(p, kind);
    memcpy(p->name, spec, name_len);
    if (kind == &pipeline_chain)
        rc = set_text(p, kind_name, kind_len, e);
    if (rc < 0)
        return rc;
    rc = kind_name[kind_len] ? parse_params(spec, kind_name + kind_len + 1, p, e) : 0;
    if (rc == 0 && kind->text_is_rest && (!p->text || !*p->text))
        return refuse(e, spec, kind, "%s is missing", kind->text);
    return rc;
}

static void close_pipeline(struct pipeline *p)
{
    if (p->instance && p->kind->close)
        p->kind->close(p);
    free(p->text);
    *p = (struct pipeline){.kind = p->kind};
}

/* Its place for good: what is opened may point into it. Takes what hangs on p. */
static struct pipeline *put(struct pipeline_set *set, const struct pipeline *p)
{
    size_t i = 0;
    while (i < set->n && strcmp(set->item[i].name, p->name) != 0)
        i++;
    if (i < set->n)
        close_pipeline(&set->item[i]);
    else
        set->n++;
    set->item[i] = *p;
    set->item[i].set = set;
    return &set->item[i];
}

static int open_pipeline(struct pipeline *p, struct err *e)
{
    if (!p->text && p->kind->text_default)
        p->text = strdup(p->kind->text_default);
    int rc = p->kind->open ? p->kind->open(p, e) : 0;
    if (rc < 0 && e)
        make_printable(e->text);
    return rc;
}

/* Under its own name, as far as it works without being told anything. */
static void put_kind(struct pipeline_set *set, const struct pipeline_kind *kind)
{
    struct pipeline p;
    if (kind->text_is_rest)
        return;
    pipeline_default(&p, kind);
    snprintf(p.name, sizeof p.name, "%s", kind->name);
    struct pipeline *placed = put(set, &p);
    if (open_pipeline(placed, NULL) == 0)
        return;
    close_pipeline(placed); /* it is the last */
    set->n--;
}

static int put_spec(struct pipeline_set *set, const char *spec, struct err *e)
{
    struct pipeline p = {.kind = NULL};
    int rc = parse_spec(spec, &p, e);
    if (rc == 0)
        return open_pipeline(put(set, &p), e);
    free(p.text);
    return rc;
}

int pipeline_set_init(struct pipeline_set *set, const char *const *specs, size_t n, struct err *e)
{
    size_t n_kinds = 0;
    while (pipeline_kinds[n_kinds])
        n_kinds++;
    *set = (struct pipeline_set){.item = calloc(n_kinds + n, sizeof *set->item)};
    if (!set->item)
        return err_set(e, EXIT_FAILED, "out of memory for %zu pipelines", n_kinds + n);
    for (size_t i = 0; i < n_kinds; i++)
        put_kind(set, pipeline_kinds[i]);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put_spec(set, specs[i], e);
    return rc;
}

void pipeline_set_deinit(struct pipeline_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        close_pipeline(&set->item[i]);
    free(set->item);
    *set = (struct pipeline_set){0};
}

bool pipeline_is_uneven(const struct pipeline *p)
{
    return p->every > 1 || (p->kind->waits && p->kind->waits(p));
}

struct pipeline_health pipeline_health_of(const struct pipeline *p)
{
    struct pipeline_health h = {0};
    if (p->kind->health)
        p->kind->health(p, &h);
    return h;
}

struct pipeline_about pipeline_about(const struct pipeline *p)
{
    struct pipeline_about a = {.version = VERSION,
                               .licence = "MIT",
                               .format = p->kind->format ? p->kind->format : "jpeg",
                               .source = "built-in"};
    if (p->kind->about)
        p->kind->about(p, &a);
    return a;
}

const struct pipeline *pipeline_find(const struct pipeline_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (!strcmp(set->item[i].name, name))
            return &set->item[i];
    return NULL;
}

static void add_about(struct json *j, const struct pipeline *p)
{
    struct pipeline_about a = pipeline_about(p);
    const struct {
        const char *key, *value;
    } known[] = {{"model", a.model},
                 {"version", a.version},
                 {"licence", a.licence},
                 {"format", a.format},
                 {"source", a.source}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].value[0])
            json_str(j, known[i].key, known[i].value);
}

static const char *state_of(const struct pipeline *p)
{
    return pipeline_health_of(p).degraded ? "degraded" : "ready";
}

void pipeline_set_json(const struct pipeline_set *set, struct text *out)
{
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    json_array_begin(&j, "pipelines");
    for (size_t i = 0; i < set->n; i++) {
        const struct pipeline *p = &set->item[i];
        json_object_begin(&j, NULL);
        json_str(&j, "name", p->name);
        json_str(&j, "kind", p->kind->name);
        json_str(&j, "summary", p->kind->summary);
        add_about(&j, p);
        json_object_begin(&j, "params");
        for (size_t k = 0; k < p->kind->n_params; k++)
            json_num(&j, p->kind->params[k].name, p->param[k], 6);
        json_object_end(&j);
        if (p->every > 1)
            json_u64(&j, "every", p->every);
        if (p->text)
            json_str(&j, p->kind->text, p->text);
        json_str(&j, "state", state_of(p));
        json_object_end(&j);
    }
    json_array_end(&j);
    json_object_end(&j);
}

void pipeline_set_table(const struct pipeline_set *set, struct text *out)
{
    text_addf(out, "%-16s %-9s %-8s %-6s %-8s %s\n", "NAME", "KIND", "VERSION", "FORMAT", "STATE",
              "WHAT IT DOES");
    for (size_t i = 0; i < set->n; i++) {
        const struct pipeline *p = &set->item[i];
        struct pipeline_about a = pipeline_about(p);
        text_addf(out, "%-16s %-9s %-8s %-6s %-8s %s\n", p->name, p->kind->name, a.version,
                  a.format, state_of(p), p->kind->summary);
    }
}
