#include "server/pipeline.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/opt.h"

const struct pipeline_kind *const pipeline_kinds[] = {
    &pipeline_null, &pipeline_delay, &pipeline_spin, &pipeline_inspect, &pipeline_motion, NULL,
};

static void add_known_kinds(struct text *t)
{
    text_add(t, "expected NAME=KIND[:key=value,...], KIND one of");
    for (size_t i = 0; pipeline_kinds[i]; i++)
        text_addf(t, "%s %s", i ? "," : "", pipeline_kinds[i]->name);
}

static void add_known_params(struct text *t, const struct pipeline_kind *kind)
{
    if (!kind->n_params) {
        text_addf(t, "%s takes no parameters", kind->name);
        return;
    }
    text_addf(t, "%s takes", kind->name);
    for (size_t i = 0; i < kind->n_params; i++) {
        const struct pipeline_param *p = &kind->params[i];
        text_addf(t, "%s %s (%g to %g)", i ? "," : "", p->name, p->min, p->max);
    }
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
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
    for (size_t i = 0; i < t.len; i++)
        if (is_control(sentence[i])) /* the sentence goes to a terminal or a log */
            sentence[i] = '?';
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

/* pair is "key=value", n bytes of spec. */
static int parse_param(const char *spec, const char *pair, size_t n, struct pipeline *p,
                       struct err *e)
{
    char key[64], value[64];
    const char *equals = memchr(pair, '=', n);
    size_t key_len = equals ? (size_t)(equals - pair) : n;
    if (!equals || key_len >= sizeof key || n - key_len > sizeof value)
        return refuse(e, spec, p->kind, "'%.*s' is not key=value", (int)(n < 60 ? n : 60), pair);
    snprintf(key, sizeof key, "%.*s", (int)key_len, pair);
    snprintf(value, sizeof value, "%.*s", (int)(n - key_len - 1), equals + 1);

    size_t i = 0;
    while (i < p->kind->n_params && strcmp(p->kind->params[i].name, key) != 0)
        i++;
    if (i == p->kind->n_params)
        return refuse(e, spec, p->kind, "unknown key '%s'", key);
    const struct pipeline_param *param = &p->kind->params[i];
    double number;
    if (opt_parse_real(value, &number, NULL) < 0)
        return refuse(e, spec, p->kind, "%s: '%s' is not a number", key, value);
    if (!(number >= param->min && number <= param->max)) /* so that NaN is out of range */
        return refuse(e, spec, p->kind, "%s: %s is out of range", key, value);
    p->param[i] = number;
    return 0;
}

static int parse_params(const char *spec, const char *params, struct pipeline *p, struct err *e)
{
    for (;;) {
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
    return kind_name[kind_len] ? parse_params(spec, kind_name + kind_len + 1, p, e) : 0;
}

static void put(struct pipeline_set *set, const struct pipeline *p)
{
    size_t i = 0;
    while (i < set->n && strcmp(set->item[i].name, p->name) != 0)
        i++;
    set->item[i] = *p;
    if (i == set->n)
        set->n++;
}

int pipeline_set_init(struct pipeline_set *set, const char *const *specs, size_t n, struct err *e)
{
    size_t n_kinds = 0;
    while (pipeline_kinds[n_kinds])
        n_kinds++;
    *set = (struct pipeline_set){.item = calloc(n_kinds + n, sizeof *set->item)};
    if (!set->item)
        return err_set(e, EXIT_FAILED, "out of memory for %zu pipelines", n_kinds + n);

    struct pipeline p;
    for (size_t i = 0; i < n_kinds; i++) {
        pipeline_default(&p, pipeline_kinds[i]);
        snprintf(p.name, sizeof p.name, "%s", p.kind->name);
        put(set, &p);
    }
    for (size_t i = 0; i < n; i++) {
        int rc = parse_spec(specs[i], &p, e);
        if (rc < 0)
            return rc;
        put(set, &p);
    }
    return 0;
}

void pipeline_set_deinit(struct pipeline_set *set)
{
    free(set->item);
    *set = (struct pipeline_set){0};
}

const struct pipeline *pipeline_find(const struct pipeline_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (!strcmp(set->item[i].name, name))
            return &set->item[i];
    return NULL;
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
        json_object_begin(&j, "params");
        for (size_t k = 0; k < p->kind->n_params; k++)
            json_num(&j, p->kind->params[k].name, p->param[k], 6);
        json_object_end(&j);
        json_object_end(&j);
    }
    json_array_end(&j);
    json_object_end(&j);
}
