#include "common/opt_private.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NANO 1000000000U

struct unit {
    const char *name;
    uint64_t scale;
};

/* Smallest first, ended by a NULL name. */
static const struct unit time_units[] = {{"us", 1},       {"ms", 1000},       {"s", 1000000},
                                         {"m", 60000000}, {"h", 3600000000U}, {NULL, 0}};

static const struct unit byte_units[] = {{"B", 1},          {"KB", 1000},      {"KiB", 1U << 10},
                                         {"MB", 1000000},   {"MiB", 1U << 20}, {"GB", 1000000000},
                                         {"GiB", 1U << 30}, {NULL, 0}};

/* "1.5" as 1 and 500000000: decimals stay exact, as they would not in a double. */
struct quantity {
    uint64_t whole;
    uint64_t nano;
    bool too_large;
};

static const char *read_whole(const char *s, struct quantity *q)
{
    for (; isdigit((unsigned char)*s); s++) {
        q->too_large |= __builtin_mul_overflow(q->whole, 10, &q->whole);
        q->too_large |= __builtin_add_overflow(q->whole, (uint64_t)(*s - '0'), &q->whole);
    }
    return s;
}

/* The end of the number that text begins with, or NULL when it does not. */
static const char *read_quantity(const char *text, struct quantity *q)
{
    *q = (struct quantity){0};
    const char *s = read_whole(text, q);
    if (*s != '.')
        return s > text ? s : NULL;
    const char *first = ++s;
    for (uint64_t place = NANO / 10; isdigit((unsigned char)*s); s++, place /= 10) {
        if (place == 0)
            return NULL; /* more than 9 decimals */
        q->nano += place * (uint64_t)(*s - '0');
    }
    return s > first ? s : NULL;
}

static int refuse_unit(const char *text, const char *unit, const struct unit *units, struct err *e)
{
    char buf[64];
    struct text known = text_fixed(buf, sizeof buf);
    for (const struct unit *u = units; u->name; u++)
        text_addf(&known, "%s%s", u == units ? "" : (u[1].name ? ", " : " or "), u->name);
    return err_set(e, EXIT_USAGE, "'%.80s' has the unknown unit '%.20s'; use %s", text, unit,
                   text_str(&known));
}

static int scale_quantity(const char *text, const struct quantity *q, uint64_t scale, uint64_t *out,
                          struct err *e)
{
    uint64_t part = (q->nano * scale + NANO / 2) / NANO;
    uint64_t value;
    if (q->too_large || __builtin_mul_overflow(q->whole, scale, &value) ||
        __builtin_add_overflow(value, part, &value))
        return err_set(e, EXIT_USAGE, "'%.80s' is too large", text);
    if (value == 0 && q->nano > 0)
        return err_set(e, EXIT_USAGE, "'%.80s' is too small", text);
    *out = value;
    return 0;
}

static int parse_with_unit(const char *text, const char *unit, const struct unit *units,
                           const struct quantity *q, uint64_t *out, struct err *e)
{
    for (const struct unit *u = units; u->name; u++)
        if (strcmp(unit, u->name) == 0)
            return scale_quantity(text, q, u->scale, out, e);
    return refuse_unit(text, unit, units, e);
}

int opt_parse_time_us(const char *text, uint64_t *out, struct err *e)
{
    struct quantity q;
    const char *unit = read_quantity(text, &q);
    if (!unit)
        return err_set(e, EXIT_USAGE, "'%.80s' is not a time; write it like 37ms or 1.5s", text);
    if (*unit == '\0' && (q.whole || q.nano || q.too_large))
        return err_set(e, EXIT_USAGE, "'%.80s' has no unit; add a unit, for example %.80sms", text,
                       text);
    if (*unit == '\0')
        return *out = 0, 0;
    return parse_with_unit(text, unit, time_units, &q, out, e);
}

int opt_parse_bytes(const char *text, uint64_t *out, struct err *e)
{
    struct quantity q;
    const char *unit = read_quantity(text, &q);
    if (!unit)
        return err_set(e, EXIT_USAGE, "'%.80s' is not a size; write it like 4096, 64KiB or 5MiB",
                       text);
    return parse_with_unit(text, *unit ? unit : "B", byte_units, &q, out, e);
}

int opt_parse_count(const char *text, uint64_t *out, struct err *e)
{
    struct quantity q = {0};
    const char *end = read_whole(text, &q);
    if (end == text || *end != '\0')
        return err_set(e, EXIT_USAGE, "'%.80s' is not a whole number", text);
    if (q.too_large)
        return err_set(e, EXIT_USAGE, "'%.80s' is too large", text);
    *out = q.whole;
    return 0;
}

int opt_parse_two(const char *text, char between, uint64_t *a, uint64_t *b, struct err *e)
{
    char first[32];
    const char *at = strchr(text, between);
    if (!at || (size_t)(at - text) >= sizeof first)
        return err_set(e, EXIT_USAGE, "'%.80s' is not two whole numbers with a '%c'", text,
                       between);
    memcpy(first, text, (size_t)(at - text));
    first[at - text] = '\0';
    int rc = opt_parse_count(first, a, e);
    return rc < 0 ? rc : opt_parse_count(at + 1, b, e);
}

int opt_parse_real(const char *text, double *out, struct err *e)
{
    /* strtod also takes blanks, "inf", "nan" and hexadecimal: nothing people mean. */
    char *end = NULL;
    bool plain = *text != '\0' && text[strspn(text, "0123456789.eE+-")] == '\0';
    double value = plain ? strtod(text, &end) : 0;
    if (!plain || *end != '\0')
        return err_set(e, EXIT_USAGE, "'%.80s' is not a number", text);
    if (!isfinite(value))
        return err_set(e, EXIT_USAGE, "'%.80s' is too large", text);
    *out = value;
    return 0;
}

static int parse_flag(const char *text, bool *out, struct err *e)
{
    static const char *const no_yes[][2] = {{"0", "1"}, {"false", "true"}, {"no", "yes"}};
    for (size_t i = 0; i < sizeof no_yes / sizeof no_yes[0]; i++)
        for (int yes = 0; yes < 2; yes++)
            if (strcmp(text, no_yes[i][yes]) == 0)
                return *out = yes, 0;
    return err_set(e, EXIT_USAGE, "'%.80s' is neither yes nor no; use 1, true, yes, 0, false or no",
                   text);
}

static int parse_choice(const struct opt *o, const char *text, int *out, struct err *e)
{
    char buf[256];
    struct text known = text_fixed(buf, sizeof buf);
    for (int i = 0; o->choices[i]; i++) {
        if (strcmp(text, o->choices[i]) == 0)
            return *out = i, 0;
        text_addf(&known, "%s%s", i == 0 ? "" : (o->choices[i + 1] ? ", " : " or "), o->choices[i]);
    }
    return err_set(e, EXIT_USAGE, "'%.80s' is not one of the choices; use %s", text,
                   text_str(&known));
}

static void add_in_unit(double value, const struct unit *units, struct text *out)
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name; u++)
        if (value > 0 && fmod(value, (double)u->scale) == 0)
            best = u;
    text_addf(out, "%.0f%s", value / (double)best->scale, value > 0 ? best->name : "");
}

static void add_number(enum opt_kind kind, double value, struct text *out)
{
    if (kind == OPT_TIME_US)
        add_in_unit(value, time_units, out);
    else if (kind == OPT_BYTES)
        add_in_unit(value, byte_units, out);
    else
        text_addf(out, "%.15g", value);
}

static int check_range(const struct opt *o, const char *text, double value, struct err *e)
{
    bool bounded_above = o->max >= o->min && isfinite(o->max);
    bool no_limit = o->min == 0 && o->max == 0;
    if (no_limit || (value >= o->min && (!bounded_above || value <= o->max)))
        return 0;
    char buf[128];
    struct text range = text_fixed(buf, sizeof buf);
    text_add(&range, bounded_above ? "from " : "at least ");
    add_number(o->kind, o->min, &range);
    if (bounded_above) {
        text_add(&range, " to ");
        add_number(o->kind, o->max, &range);
    }
    return err_set(e, EXIT_USAGE, "'%.80s' is out of range; accepted is %s", text,
                   text_str(&range));
}

static int set_u64(const struct opt *o, const char *text, void *at, struct err *e)
{
    uint64_t value = 0;
    int rc = o->kind == OPT_COUNT   ? opt_parse_count(text, &value, e)
             : o->kind == OPT_BYTES ? opt_parse_bytes(text, &value, e)
                                    : opt_parse_time_us(text, &value, e);
    if (rc == 0)
        rc = check_range(o, text, (double)value, e);
    if (rc == 0)
        memcpy(at, &value, sizeof value);
    return rc;
}

static int set_real(const struct opt *o, const char *text, void *at, struct err *e)
{
    double value = 0;
    int rc = opt_parse_real(text, &value, e);
    if (rc == 0)
        rc = check_range(o, text, value, e);
    if (rc == 0)
        memcpy(at, &value, sizeof value);
    return rc;
}

int opt_value_set(const struct opt *o, const char *text, void *into, struct err *e)
{
    void *at = (char *)into + o->at;
    switch (o->kind) {
    case OPT_FLAG:
        return parse_flag(text, at, e);
    case OPT_COUNT:
    case OPT_TIME_US:
    case OPT_BYTES:
        return set_u64(o, text, at, e);
    case OPT_REAL:
        return set_real(o, text, at, e);
    case OPT_CHOICE:
        return parse_choice(o, text, at, e);
    case OPT_TEXT:
        memcpy(at, &text, sizeof text);
        return 0;
    case OPT_LIST:
        break;
    }
    assert(o->kind != OPT_LIST);
    return 0;
}
