#include "cli/devices.h"

#include <stdio.h>

#include "cli/v4l2/find.h"
#include "cli/v4l2/modes.h"
#include "common/json.h"

#define LINE_MAX_BYTES (1024u * 1024u)

static bool same_size(const struct mode *a, const struct mode *b)
{
    return a->fourcc == b->fourcc && a->width_min == b->width_min && a->width_max == b->width_max &&
           a->height_min == b->height_min && a->height_max == b->height_max;
}

/* --- for people --- */

static void print_size(const struct mode *r)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%ux%u", r->width_min, r->height_min);
    if (r->width_min != r->width_max || r->height_min != r->height_max)
        snprintf(text + n, sizeof text - (size_t)n, " to %ux%u", r->width_max, r->height_max);
    printf("%-24s", text);
}

static void print_modes(const struct modes *m)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct mode *r = &m->row[i], *before = i ? r - 1 : NULL;
        if (before && same_size(r, before)) {
            printf(", ");
        } else {
            bool same_format = before && before->fourcc == r->fourcc;
            const char *note = modes_is_usable(r->fourcc) ? "" : " (--libv4l2)";
            printf("%s    %-4s%s ", i ? "\n" : "", same_format ? "" : fourcc_text(r->fourcc).text,
                   same_format ? "" : note);
            print_size(r);
        }
        if (r->rates == 'd')
            printf("%.4g", r->fps_max);
        else if (r->rates != '?')
            printf("%.4g to %.4g", r->fps_min, r->fps_max);
    }
    printf(" fps\n");
}

static void print_device(const struct device *d, const struct modes *m)
{
    printf("%s  %s  bus %s%s%s\n", d->path, d->card, d->bus, d->serial[0] ? "  serial " : "",
           d->serial);
    print_modes(m);
}

/* --- for programs --- */

static void add_rates(struct json *j, const struct mode *r, const struct mode *end)
{
    json_array_begin(j, "rates");
    for (const struct mode *first = r; r < end && same_size(r, first); r++)
        if (r->rates == 'd')
            json_num(j, NULL, r->fps_max, 3);
    json_array_end(j);
}

static void add_size(struct json *j, const struct mode *r, const struct mode *end)
{
    json_object_begin(j, NULL);
    json_u64(j, "width", r->width_max);
    json_u64(j, "height", r->height_max);
    if (r->width_min != r->width_max || r->height_min != r->height_max) {
        json_u64(j, "width_min", r->width_min);
        json_u64(j, "width_step", r->width_step);
        json_u64(j, "height_min", r->height_min);
        json_u64(j, "height_step", r->height_step);
    }
    if (r->rates == 'd') {
        add_rates(j, r, end);
    } else if (r->rates != '?') {
        json_num(j, "fps_min", r->fps_min, 3);
        json_num(j, "fps_max", r->fps_max, 3);
    }
    json_object_end(j);
}

static void add_formats(struct json *j, const struct modes *m)
{
    const struct mode *end = m->row + m->n;
    json_array_begin(j, "formats");
    for (const struct mode *r = m->row; r < end;) {
        uint32_t fourcc = r->fourcc;
        json_object_begin(j, NULL);
        json_str(j, "format", fourcc_text(fourcc).text);
        json_bool(j, "usable", modes_is_usable(fourcc));
        json_array_begin(j, "sizes");
        for (; r < end && r->fourcc == fourcc; r++)
            if (r == m->row || !same_size(r, r - 1))
                add_size(j, r, end);
        json_array_end(j);
        json_object_end(j);
    }
    json_array_end(j);
}

static void print_json(const char *path, const struct device *d, const struct modes *m,
                       const struct err *why)
{
    struct text line = text_heap(LINE_MAX_BYTES);
    struct json j = json_to(&line);
    json_object_begin(&j, NULL);
    json_str(&j, "event", "device");
    json_str(&j, "device", path);
    if (d) {
        json_str(&j, "card", d->card);
        json_str(&j, "driver", d->driver);
        json_str(&j, "bus", d->bus);
        if (d->serial[0])
            json_str(&j, "serial", d->serial);
        add_formats(&j, m);
    } else {
        json_str(&j, "error", why->text);
    }
    json_object_end(&j);
    puts(text_str(&line));
    text_deinit(&line);
}

/* true: it is a camera, or may be one. */
static bool show(const struct settings *set, const char *path)
{
    struct device d;
    struct modes m = {0};
    struct err why = {{0}};
    int rc = device_open(&d, path, set->libv4l2, &why);
    if (rc == -EXIT_USAGE) /* something else: metadata, an output */
        return false;
    if (rc == 0)
        rc = modes_read(&m, &d, &why);
    if (set->json)
        print_json(path, rc == 0 ? &d : NULL, &m, &why);
    else if (rc == 0)
        print_device(&d, &m);
    else
        printf("%s\n", why.text);
    modes_deinit(&m);
    device_close(&d);
    return true;
}

int devices_run(const struct settings *set, struct err *e)
{
    char paths[FIND_MAX][32];
    size_t n_cameras = 0, n = find_nodes(paths);
    for (size_t i = 0; i < n; i++)
        n_cameras += show(set, paths[i]);
    if (n_cameras == 0 && !set->json)
        fputs("no cameras here; without one: streamctl stream test:\n", stderr);
    return fflush(stdout) == 0 ? EXIT_DONE
                               : -err_set(e, EXIT_FAILED, "standard output cannot be written");
}
