#include "loadgen/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pattern.h"

#define FILE_MAX 1048576

/* --- one value --- */

static int parse_fps(const char *text, uint64_t *fps_milli, struct err *e)
{
    double fps;
    int rc = opt_parse_real(text, &fps, e);
    if (rc < 0)
        return rc;
    if (fps < 0.01 || fps > 1000)
        return err_set(e, EXIT_USAGE, "from 0.01 to 1000 frames per second");
    *fps_milli = (uint64_t)(fps * 1000.0 + 0.5);
    return 0;
}

static int parse_geometry(const char *text, struct profile *p, struct err *e)
{
    uint64_t w, h;
    bool good = opt_parse_two(text, 'x', &w, &h, NULL) == 0 && w >= PATTERN_SIDE_MIN &&
                w <= PATTERN_SIDE_MAX && h >= PATTERN_SIDE_MIN && h <= PATTERN_SIDE_MAX;
    p->width = good ? (unsigned)w : 0;
    p->height = good ? (unsigned)h : 0;
    if (good)
        return 0;
    return err_set(e, EXIT_USAGE, "WIDTHxHEIGHT, as in 640x480, each from %d to %d",
                   PATTERN_SIDE_MIN, PATTERN_SIDE_MAX);
}

static int parse_burst(const char *text, struct profile *p, struct err *e)
{
    char on[32];
    const char *slash = strchr(text, '/');
    if (!slash || (size_t)(slash - text) >= sizeof on)
        return err_set(e, EXIT_USAGE, "ON/OFF, as in 5s/20s");
    memcpy(on, text, (size_t)(slash - text));
    on[slash - text] = '\0';
    int rc = opt_parse_time_us(on, &p->burst_on_us, e);
    if (rc == 0)
        rc = opt_parse_time_us(slash + 1, &p->burst_off_us, e);
    return rc == 0 && p->burst_on_us == 0 ? err_set(e, EXIT_USAGE, "never on") : rc;
}

static int parse_size(const char *text, uint64_t *bytes, struct err *e)
{
    int rc = opt_parse_bytes(text, bytes, e);
    if (rc < 0)
        return rc;
    return *bytes >= 1024 && *bytes <= 1073741824 ? 0
                                                  : err_set(e, EXIT_USAGE, "from 1 KiB to 1 GiB");
}

static int add_tag(struct profile *p, const char *key, const char *value, struct err *e)
{
    size_t used = strlen(p->tags);
    int n = snprintf(p->tags + used, sizeof p->tags - used, "%s%s=%s", used ? " " : "", key, value);
    return (size_t)n < sizeof p->tags - used ? 0 : err_set(e, EXIT_USAGE, "too many tags");
}

static int set_text(const char **out, const char *value)
{
    *out = value;
    return 0;
}

static int set_value(struct profile *p, const char *key, const char *value, struct err *e)
{
    if (strncmp(key, "tag.", 4) == 0)
        return add_tag(p, key + 4, value, e);
    if (strcmp(key, "weight") == 0)
        return opt_parse_count(value, &p->weight, e);
    if (strcmp(key, "fps") == 0)
        return parse_fps(value, &p->fps_milli, e);
    if (strcmp(key, "size") == 0)
        return parse_size(value, &p->size_bytes, e);
    if (strcmp(key, "geometry") == 0)
        return parse_geometry(value, p, e);
    if (strcmp(key, "pipeline") == 0)
        return set_text(&p->pipeline, value);
    if (strcmp(key, "frames") == 0)
        return set_text(&p->frames, value);
    if (strcmp(key, "fragment") == 0)
        return opt_parse_bytes(value, &p->fragment_bytes, e);
    if (strcmp(key, "slow-reader") == 0)
        return opt_parse_time_us(value, &p->slow_reader_us, e);
    if (strcmp(key, "in-flight") == 0)
        return opt_parse_count(value, &p->in_flight, e);
    if (strcmp(key, "burst") == 0)
        return parse_burst(value, p, e);
    return err_set(e, EXIT_USAGE,
                   "not one of weight, fps, size, geometry, pipeline, frames, fragment, "
                   "slow-reader, in-flight, burst and tag.KEY");
}

/* --- one line, one file --- */

static int check_weight(const struct profile *p, struct err *e)
{
    return p->weight >= 1 && p->weight <= 1000000
               ? 0
               : err_set(e, EXIT_USAGE, "weight: from 1 to 1000000");
}

static int read_line(struct profile *p, char *line, struct err *e)
{
    char *rest = NULL;
    struct err why = {0};
    p->name = strtok_r(line, " \t\r", &rest);
    for (char *word = strtok_r(NULL, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
        char *equals = strchr(word, '=');
        if (!equals)
            return err_set(e, EXIT_USAGE, "'%s' is not key=value", word);
        *equals = '\0';
        if (set_value(p, word, equals + 1, &why) < 0)
            return err_set(e, EXIT_USAGE, "%.40s=%.80s: %.200s", word, equals + 1, why.text);
    }
    return check_weight(p, e);
}

static int from_options(struct profile *p, const struct settings *set, struct err *e)
{
    struct err why;
    *p = (struct profile){
        .name = "default",
        .pipeline = set->pipeline,
        .frames = set->frames,
        .weight = 1,
        .fps_milli = (uint64_t)(set->fps * 1000.0 + 0.5),
        .size_bytes = set->size_bytes,
        .fragment_bytes = set->fragment_bytes,
        .slow_reader_us = set->slow_reader_us,
        .in_flight = set->in_flight,
    };
    if (parse_geometry(set->geometry, p, &why) < 0)
        return err_set(e, EXIT_USAGE, "--geometry '%s': %s", set->geometry, why.text);
    return 0;
}

static bool has_name(const struct profiles *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->item[i].name, name) == 0)
            return true;
    return false;
}

static int add_line(struct profiles *p, const struct profile *base, char *line, struct err *e)
{
    struct profile one = *base;
    int rc = read_line(&one, line, e);
    if (rc < 0)
        return rc;
    if (has_name(p, one.name))
        return err_set(e, EXIT_USAGE, "%s is there already", one.name);
    if (p->n == PROFILES_MAX)
        return err_set(e, EXIT_USAGE, "more than %d profiles", PROFILES_MAX);
    p->item[p->n++] = one;
    return 0;
}

static int read_lines(struct profiles *p, const struct profile *base, struct err *e)
{
    unsigned number = 0;
    struct err why;
    for (char *line = p->bytes, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        number++;
        line[strcspn(line, "#")] = '\0';
        if (line[strspn(line, " \t\r")] == '\0')
            continue;
        if (add_line(p, base, line, &why) < 0)
            return err_set(e, EXIT_USAGE, "--profiles, line %u: %s", number, why.text);
    }
    return p->n ? 0 : err_set(e, EXIT_USAGE, "--profiles: no profile in the file");
}

int profiles_read(struct profiles *p, const struct settings *set, char *bytes, struct err *e)
{
    struct profile base;
    *p = (struct profiles){.bytes = bytes, .item = calloc(PROFILES_MAX, sizeof *p->item)};
    if (!p->item)
        return err_set(e, EXIT_FAILED, "out of memory");
    int rc = from_options(&base, set, e);
    if (rc < 0)
        return rc;
    if (bytes)
        return read_lines(p, &base, e);
    p->item[p->n++] = base;
    return 0;
}

static char *read_file(const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    char *bytes = f ? malloc(FILE_MAX + 1) : NULL;
    size_t n = bytes ? fread(bytes, 1, FILE_MAX + 1, f) : 0;
    bool failed = !f || !bytes || ferror(f);
    if (failed)
        err_errno(e, EXIT_UNREACHABLE, "--profiles %s", path);
    else if (n > FILE_MAX)
        err_set(e, EXIT_USAGE, "--profiles %s: larger than 1 MiB", path);
    if (f)
        fclose(f);
    if (failed || n > FILE_MAX) {
        free(bytes);
        return NULL;
    }
    bytes[n] = '\0';
    return bytes;
}

int profiles_load(struct profiles *p, const struct settings *set, struct err *e)
{
    char *bytes = NULL;
    *p = (struct profiles){0};
    if (set->profiles && !(bytes = read_file(set->profiles, e)))
        return -EXIT_UNREACHABLE;
    return profiles_read(p, set, bytes, e);
}

void profiles_free(struct profiles *p)
{
    free(p->item);
    free(p->bytes);
    *p = (struct profiles){0};
}

/* Smooth weighted round robin: everybody gains their weight, the richest is next and pays
 * what all gained. */
void profiles_assign(const struct profiles *p, uint16_t *out, size_t n)
{
    int64_t credit[PROFILES_MAX] = {0}, sum = 0;
    for (size_t i = 0; i < p->n; i++)
        sum += (int64_t)p->item[i].weight;
    for (size_t k = 0; k < n; k++) {
        size_t best = 0;
        for (size_t i = 0; i < p->n; i++) {
            credit[i] += (int64_t)p->item[i].weight;
            if (credit[i] > credit[best])
                best = i;
        }
        credit[best] -= sum;
        out[k] = (uint16_t)best;
    }
}

bool profile_is_on(const struct profile *p, uint64_t since_us)
{
    return p->burst_off_us == 0 || since_us % (p->burst_on_us + p->burst_off_us) < p->burst_on_us;
}
