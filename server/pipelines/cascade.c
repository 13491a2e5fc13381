#include "server/pipelines/cascade.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The trainer stores thresholds as rounded decimal text; a sum that equals one must pass. */
#define ROUNDING 1e-5

#define DEPTH_MAX    16 /* elements in elements; the schema needs 7 */
#define NUMBER_MAX   40 /* characters; the trainer writes up to 24 */
#define VALUE_MAX    1e6
#define NODE_NUMBERS 11 /* two branches, a pattern, eight words of the set */
#define CODES        256
#define N(array)     (sizeof(array) / sizeof((array)[0]))
#define TREES_OF_ONE "only trees of one node are supported"

/* Where in the document we are. Places from FIRST_VALUE on hold text, the others elements. */
enum place {
    OUTSIDE,
    STORAGE,
    CASCADE,
    PARAMS,
    STAGES,
    STAGE,
    WEAKS,
    WEAK,
    RECTS,
    RECT_ITEM,
    IGNORED, /* and all that is in it */
    FIRST_VALUE,
    STAGE_TYPE = FIRST_VALUE,
    FEATURE_TYPE,
    HEIGHT,
    WIDTH,
    N_CODES,
    N_STAGES,
    N_WEAKS,
    THRESHOLD,
    NODE,
    LEAVES,
    RECT,
};

static const struct {
    const char *name;
    enum place in, is;
} schema[] = {
    {"opencv_storage", OUTSIDE, STORAGE},
    {"cascade", STORAGE, CASCADE},
    {"stageType", CASCADE, STAGE_TYPE},
    {"featureType", CASCADE, FEATURE_TYPE},
    {"height", CASCADE, HEIGHT},
    {"width", CASCADE, WIDTH},
    {"featureParams", CASCADE, PARAMS},
    {"maxCatCount", PARAMS, N_CODES},
    {"stageNum", CASCADE, N_STAGES},
    {"stages", CASCADE, STAGES},
    {"_", STAGES, STAGE},
    {"maxWeakCount", STAGE, N_WEAKS},
    {"stageThreshold", STAGE, THRESHOLD},
    {"weakClassifiers", STAGE, WEAKS},
    {"_", WEAKS, WEAK},
    {"internalNodes", WEAK, NODE},
    {"leafValues", WEAK, LEAVES},
    {"features", CASCADE, RECTS},
    {"_", RECTS, RECT_ITEM},
    {"rect", RECT_ITEM, RECT},
};

struct span {
    const char *at, *end;
};

struct weak_draft {
    struct cascade_weak weak;
    size_t rect; /* patterns come after the tests in the file */
    bool has_node, has_leaves;
};

struct stage_draft {
    struct cascade_stage stage;
    size_t n_weaks_told;
    bool has_threshold;
};

/* Everything on the way from text to cascade, as large as it may get. */
struct draft {
    struct span rest;
    const char *begin;
    const char *text; /* what follows the last tag */
    struct err *e;

    size_t depth;
    enum place place[DEPTH_MAX];
    struct span name[DEPTH_MAX];

    bool is_boost, is_lbp, is_over;
    unsigned w, h;
    size_t n_codes, n_stages_told;
    size_t n_stages, n_weaks, n_rects;
    struct stage_draft stage[CASCADE_STAGES_MAX];
    struct weak_draft weak[CASCADE_WEAKS_MAX];
    struct cascade_cell rect[CASCADE_RECTS_MAX];
    bool has_rect[CASCADE_RECTS_MAX];
};

static int refuse(struct draft *d, const char *what)
{
    size_t line = 1;
    for (const char *p = d->begin; p < d->rest.at; p++)
        line += *p == '\n';
    (void)err_set(d->e, EXIT_USAGE, "cascade, line %zu: %s", line, what);
    return -EXIT_USAGE;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct span trim(struct span s)
{
    while (s.at < s.end && is_space(*s.at))
        s.at++;
    while (s.at < s.end && is_space(s.end[-1]))
        s.end--;
    return s;
}

static bool is_text(struct span s, const char *text)
{
    size_t n = (size_t)(s.end - s.at);
    return n == strlen(text) && !memcmp(s.at, text, n);
}

/* Takes the next number off s. Decimal only: no hex, no inf, no nan. */
static bool next_number(struct span *s, double *number)
{
    char text[NUMBER_MAX + 1];
    size_t n = 0;
    *s = trim(*s);
    while (s->at < s->end && !is_space(*s->at)) {
        if (n == NUMBER_MAX || !*s->at || !strchr("+-.0123456789eE", *s->at))
            return false;
        text[n++] = *s->at++;
    }
    text[n] = '\0';
    char *end;
    *number = strtod(text, &end);
    return n && end == text + n && isfinite(*number);
}

static bool read_numbers(struct span s, double *number, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!next_number(&s, &number[i]))
            return false;
    s = trim(s);
    return s.at == s.end;
}

static bool is_whole(double v, double min, double max)
{
    return v >= min && v <= max && floor(v) == v;
}

static int read_count(struct draft *d, struct span s, size_t max, size_t *count)
{
    double v;
    if (!read_numbers(s, &v, 1) || !is_whole(v, 1, (double)max))
        return refuse(d, "a count or size is no whole number, zero or too large");
    *count = (size_t)v;
    return 0;
}

static int read_side(struct draft *d, struct span s, unsigned *side)
{
    size_t count = 0;
    int rc = read_count(d, s, CASCADE_SIDE_MAX, &count);
    if (rc == 0)
        *side = (unsigned)count;
    return rc;
}

static int read_threshold(struct draft *d, struct span s)
{
    struct stage_draft *stage = &d->stage[d->n_stages - 1];
    double v;
    if (!read_numbers(s, &v, 1) || fabs(v) > VALUE_MAX)
        return refuse(d, "stageThreshold is not one number of plausible size");
    stage->stage.threshold = v - ROUNDING;
    stage->has_threshold = true;
    return 0;
}

/* A branch that is not positive is a leaf: 0 the first, -1 the second. */
static int read_node(struct draft *d, struct span s)
{
    struct weak_draft *weak = &d->weak[d->n_weaks - 1];
    double v[NODE_NUMBERS];
    if (!read_numbers(s, v, NODE_NUMBERS))
        return refuse(d, "internalNodes does not hold 11 numbers: " TREES_OF_ONE);
    if (v[0] < 0 || v[0] > 0 || !is_whole(v[1], -1, -1))
        return refuse(d, "internalNodes does not begin with 0 -1: " TREES_OF_ONE);
    if (!is_whole(v[2], 0, CASCADE_RECTS_MAX - 1))
        return refuse(d, "internalNodes names a feature that cannot be");
    weak->rect = (size_t)v[2];
    for (size_t i = 0; i < N(weak->weak.set); i++) {
        if (!is_whole(v[3 + i], INT32_MIN, INT32_MAX))
            return refuse(d, "internalNodes has a set that is not of 32-bit numbers");
        weak->weak.set[i] = (uint32_t)(int32_t)v[3 + i];
    }
    weak->has_node = true;
    return 0;
}

static int read_leaves(struct draft *d, struct span s)
{
    struct weak_draft *weak = &d->weak[d->n_weaks - 1];
    double v[2];
    if (!read_numbers(s, v, 2) || fabs(v[0]) > VALUE_MAX || fabs(v[1]) > VALUE_MAX)
        return refuse(d, "leafValues is not two numbers of plausible size: " TREES_OF_ONE);
    weak->weak.value[1] = (float)v[0]; /* the first leaf is for codes in the set */
    weak->weak.value[0] = (float)v[1];
    weak->has_leaves = true;
    return 0;
}

/* Whether it fits the window is checked at the end, when the window is known. */
static int read_rect(struct draft *d, struct span s)
{
    double v[4];
    if (!read_numbers(s, v, 4))
        return refuse(d, "rect is not four numbers");
    for (size_t i = 0; i < 4; i++)
        if (!is_whole(v[i], i < 2 ? 0 : 1, CASCADE_SIDE_MAX))
            return refuse(d, "rect lies outside any window or is empty");
    d->rect[d->n_rects - 1] =
        (struct cascade_cell){(uint8_t)v[0], (uint8_t)v[1], (uint8_t)v[2], (uint8_t)v[3]};
    d->has_rect[d->n_rects - 1] = true;
    return 0;
}

/* Takes the text of an element that has ended. */
static int read_value(struct draft *d, enum place place, struct span s)
{
    switch (place) {
    case STAGE_TYPE:
        d->is_boost = is_text(trim(s), "BOOST");
        return d->is_boost ? 0 : refuse(d, "stageType is not BOOST");
    case FEATURE_TYPE:
        d->is_lbp = is_text(trim(s), "LBP");
        return d->is_lbp ? 0 : refuse(d, "featureType is not LBP: no other is supported");
    case HEIGHT:
        return read_side(d, s, &d->h);
    case WIDTH:
        return read_side(d, s, &d->w);
    case N_CODES:
        return read_count(d, s, CODES, &d->n_codes);
    case N_STAGES:
        return read_count(d, s, CASCADE_STAGES_MAX, &d->n_stages_told);
    case N_WEAKS:
        return read_count(d, s, CASCADE_WEAKS_MAX, &d->stage[d->n_stages - 1].n_weaks_told);
    case THRESHOLD:
        return read_threshold(d, s);
    case NODE:
        return read_node(d, s);
    case LEAVES:
        return read_leaves(d, s);
    case RECT:
        return read_rect(d, s);
    default:
        return 0;
    }
}

static enum place place_of(enum place in, struct span name)
{
    for (size_t i = 0; i < N(schema); i++)
        if (schema[i].in == in && is_text(name, schema[i].name))
            return schema[i].is;
    return IGNORED;
}

/* Items that are told by their place alone get their room when they begin. */
static int begin_item(struct draft *d, enum place place)
{
    if ((place == STAGE && d->n_stages == CASCADE_STAGES_MAX) ||
        (place == WEAK && d->n_weaks == CASCADE_WEAKS_MAX) ||
        (place == RECT_ITEM && d->n_rects == CASCADE_RECTS_MAX))
        return refuse(d, "more stages, trees or features than supported");
    d->n_stages += place == STAGE;
    d->n_weaks += place == WEAK;
    d->n_rects += place == RECT_ITEM;
    if (place == WEAK)
        d->stage[d->n_stages - 1].stage.n_weaks++;
    return 0;
}

static int open_element(struct draft *d, struct span name)
{
    enum place in = d->depth ? d->place[d->depth - 1] : OUTSIDE;
    enum place place = place_of(in, name);
    if (d->is_over || d->depth == DEPTH_MAX)
        return refuse(d, d->is_over ? "more than one document" : "elements too deep");
    if (in >= FIRST_VALUE)
        return refuse(d, "an element where a value should be");
    if (in == OUTSIDE && place == IGNORED)
        return refuse(d, "the document is not an opencv_storage");
    d->name[d->depth] = name;
    d->place[d->depth++] = place;
    return begin_item(d, place);
}

static int close_element(struct draft *d, struct span name, struct span text)
{
    if (!d->depth)
        return refuse(d, "an end without its beginning");
    struct span open = d->name[d->depth - 1];
    size_t n = (size_t)(open.end - open.at);
    if (n != (size_t)(name.end - name.at) || memcmp(open.at, name.at, n) != 0)
        return refuse(d, "an element ends that is not the last that began");
    enum place place = d->place[--d->depth];
    d->is_over = d->depth == 0;
    return place >= FIRST_VALUE ? read_value(d, place, text) : 0;
}

/* Moves behind the next occurrence of mark. */
static bool skip_past(struct draft *d, const char *mark)
{
    size_t left = (size_t)(d->rest.end - d->rest.at);
    const char *found = memmem(d->rest.at, left, mark, strlen(mark));
    if (found)
        d->rest.at = found + strlen(mark);
    return found;
}

/* Moves behind the > that ends a tag; attributes may have one in quotes. */
static bool skip_tag(struct draft *d)
{
    char quote = '\0';
    for (; d->rest.at < d->rest.end; d->rest.at++) {
        char c = *d->rest.at;
        if (!quote && c == '>') {
            d->rest.at++;
            return true;
        }
        if (!quote && c == '<')
            return false;
        if (!quote && (c == '"' || c == '\''))
            quote = c;
        else if (c == quote)
            quote = '\0';
    }
    return false;
}

static bool is_in_name(char c)
{
    return c && !is_space(c) && !strchr("/<>&\"'=", c);
}

static struct span name_at(const char *at, const char *end)
{
    struct span name = {at, at};
    while (name.end < end && is_in_name(*name.end))
        name.end++;
    return name;
}

/* At a <: an element begins or ends. */
static int read_tag(struct draft *d)
{
    struct span text = {d->text, d->rest.at};
    bool ends = d->rest.end - d->rest.at > 1 && d->rest.at[1] == '/';
    struct span name = name_at(d->rest.at + 1 + ends, d->rest.end);
    d->rest.at = name.end;
    if (name.at == name.end || !skip_tag(d))
        return refuse(d, "a tag that is damaged or does not end");
    d->text = d->rest.at;
    if (ends)
        return close_element(d, name, text);
    int rc = open_element(d, name);
    if (rc == 0 && d->rest.at[-2] == '/')
        rc = close_element(d, name, (struct span){d->rest.at, d->rest.at});
    return rc;
}

static bool is_next(const struct draft *d, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(d->rest.end - d->rest.at) >= n && !memcmp(d->rest.at, text, n);
}

static int read_document(struct draft *d)
{
    while (d->rest.at < d->rest.end) {
        enum place in = d->depth ? d->place[d->depth - 1] : OUTSIDE;
        int rc = 0;
        if (is_next(d, "<?") || is_next(d, "<!--")) {
            if (!skip_past(d, is_next(d, "<?") ? "?>" : "-->"))
                return refuse(d, "a comment does not end");
        } else if (*d->rest.at == '<') {
            rc = read_tag(d);
        } else if (is_space(*d->rest.at) || in >= IGNORED) {
            d->rest.at++;
        } else {
            return refuse(d, "text where an element should be");
        }
        if (rc < 0)
            return rc;
    }
    return d->is_over ? 0 : refuse(d, "the document ends too early");
}

static int check_header(struct draft *d)
{
    if (!d->is_boost || !d->is_lbp)
        return refuse(d, "stageType or featureType is missing");
    if (d->w < 3 || d->h < 3)
        return refuse(d, "the window's width or height is missing or below 3");
    if (d->n_codes != CODES)
        return refuse(d, "maxCatCount is not 256");
    if (!d->n_stages || d->n_stages != d->n_stages_told)
        return refuse(d, "stageNum is not the number of stages");
    return 0;
}

static int check_parts(struct draft *d)
{
    for (size_t i = 0; i < d->n_stages; i++) {
        const struct stage_draft *s = &d->stage[i];
        if (!s->has_threshold || !s->stage.n_weaks || s->stage.n_weaks != s->n_weaks_told)
            return refuse(d, "a stage without threshold, or maxWeakCount is not its trees");
    }
    for (size_t i = 0; i < d->n_weaks; i++)
        if (!d->weak[i].has_node || !d->weak[i].has_leaves || d->weak[i].rect >= d->n_rects)
            return refuse(d, "a tree without node, leaves or an existing feature");
    for (size_t i = 0; i < d->n_rects; i++) {
        struct cascade_cell r = d->rect[i];
        if (!d->has_rect[i] || r.x + 3U * r.w > d->w || r.y + 3U * r.h > d->h)
            return refuse(d, "a feature without rect, or one that leaves the window");
    }
    return 0;
}

static struct cascade *build(const struct draft *d)
{
    struct cascade *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->w = d->w;
    c->h = d->h;
    c->stage = calloc(d->n_stages, sizeof *c->stage);
    c->weak = calloc(d->n_weaks, sizeof *c->weak);
    if (!c->stage || !c->weak) {
        cascade_free(c);
        return NULL;
    }
    for (; c->n_stages < d->n_stages; c->n_stages++)
        c->stage[c->n_stages] = d->stage[c->n_stages].stage;
    for (; c->n_weaks < d->n_weaks; c->n_weaks++) {
        c->weak[c->n_weaks] = d->weak[c->n_weaks].weak;
        c->weak[c->n_weaks].cell = d->rect[d->weak[c->n_weaks].rect];
    }
    return c;
}

int cascade_load(struct cascade **out, const void *xml, size_t n_bytes, struct err *e)
{
    if (!n_bytes)
        return err_set(e, EXIT_USAGE, "cascade: no bytes");
    struct draft *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, EXIT_FAILED, "cascade: out of memory");
    d->begin = d->text = xml;
    d->rest = (struct span){d->begin, d->begin + n_bytes};
    d->e = e;
    int rc = read_document(d);
    if (rc == 0)
        rc = check_header(d);
    if (rc == 0)
        rc = check_parts(d);
    struct cascade *c = rc == 0 ? build(d) : NULL;
    free(d);
    if (rc < 0)
        return rc;
    if (!c)
        return err_set(e, EXIT_FAILED, "cascade: out of memory");
    *out = c;
    return 0;
}

void cascade_free(struct cascade *c)
{
    if (!c)
        return;
    free(c->stage);
    free(c->weak);
    free(c);
}

/* The sums of three cells side by side: what lies between rows a and b of the integral. */
static inline void sum_cells(uint32_t cell[3], const uint32_t *a, const uint32_t *b, size_t w)
{
    uint32_t c0 = b[0] - a[0];
    uint32_t c1 = b[w] - a[w];
    uint32_t c2 = b[2 * w] - a[2 * w];
    uint32_t c3 = b[3 * w] - a[3 * w];
    cell[0] = c1 - c0;
    cell[1] = c2 - c1;
    cell[2] = c3 - c2;
}

static inline unsigned pattern_code(struct cascade_cell r, const uint32_t *sum, size_t stride)
{
    const uint32_t *row = sum + r.y * stride + r.x;
    size_t down = r.h * stride;
    uint32_t top[3], mid[3], low[3];
    sum_cells(top, row, row + down, r.w);
    sum_cells(mid, row + down, row + 2 * down, r.w);
    sum_cells(low, row + 2 * down, row + 3 * down, r.w);
    return (unsigned)(top[0] >= mid[1]) << 7 | (unsigned)(top[1] >= mid[1]) << 6 |
           (unsigned)(top[2] >= mid[1]) << 5 | (unsigned)(mid[2] >= mid[1]) << 4 |
           (unsigned)(low[2] >= mid[1]) << 3 | (unsigned)(low[1] >= mid[1]) << 2 |
           (unsigned)(low[0] >= mid[1]) << 1 | (unsigned)(mid[0] >= mid[1]);
}

size_t cascade_run(const struct cascade *c, const uint32_t *sum, size_t stride)
{
    const struct cascade_weak *weak = c->weak;
    for (size_t i = 0; i < c->n_stages; i++) {
        const struct cascade_weak *end = weak + c->stage[i].n_weaks;
        double total = 0;
        for (; weak < end; weak++) {
            unsigned code = pattern_code(weak->cell, sum, stride);
            total += (double)weak->value[weak->set[code / 32] >> code % 32 & 1];
        }
        if (total < c->stage[i].threshold)
            return i;
    }
    return c->n_stages;
}
