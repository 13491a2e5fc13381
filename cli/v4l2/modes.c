#include "cli/v4l2/modes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "cli/raw.h"

#define ROWS_MAX     4096
#define ENTRIES_MAX  256 /* of one list: a driver that never ends is broken */
#define SIDE_MAX     65536u
#define USUAL_WIDTH  640
#define USUAL_HEIGHT 480
#define USUAL_FPS    30.0

void modes_deinit(struct modes *m)
{
    free(m->row);
    *m = (struct modes){0};
}

static int add(struct modes *m, const struct mode *row)
{
    if (m->n == ROWS_MAX)
        return -1;
    if ((m->n & (m->n - 1)) == 0) { /* doubles at each power of two */
        struct mode *more = realloc(m->row, (m->n ? 2 * m->n : 1) * sizeof *more);
        if (!more)
            return -1;
        m->row = more;
    }
    m->row[m->n++] = *row;
    return 0;
}

/* --- reading --- */

static double per_second(const struct v4l2_fract *interval)
{
    return interval->numerator ? (double)interval->denominator / interval->numerator : 0.0;
}

/* Intervals are asked at one size: the largest of a range. */
static int add_rates(struct modes *m, const struct device *d, struct mode row)
{
    struct v4l2_frmivalenum f = {
        .pixel_format = row.fourcc, .width = row.width_max, .height = row.height_max};
    for (; f.index < ENTRIES_MAX && device_ioctl(d, VIDIOC_ENUM_FRAMEINTERVALS, &f) == 0;
         f.index++) {
        bool one = f.type == V4L2_FRMIVAL_TYPE_DISCRETE;
        row.fps_max = per_second(one ? &f.discrete : &f.stepwise.min);
        row.fps_min = per_second(one ? &f.discrete : &f.stepwise.max);
        row.rates = one ? 'd' : f.type == V4L2_FRMIVAL_TYPE_CONTINUOUS ? 'c' : 's';
        if (add(m, &row) < 0)
            return -1;
        if (!one)
            return 0;
    }
    if (f.index)
        return 0;
    row.rates = '?';
    return add(m, &row);
}

static int add_sizes(struct modes *m, const struct device *d, uint32_t fourcc)
{
    struct v4l2_frmsizeenum f = {.pixel_format = fourcc};
    struct mode row = {.fourcc = fourcc};
    for (; f.index < ENTRIES_MAX && device_ioctl(d, VIDIOC_ENUM_FRAMESIZES, &f) == 0; f.index++) {
        bool one = f.type == V4L2_FRMSIZE_TYPE_DISCRETE;
        row.width_min = one ? f.discrete.width : f.stepwise.min_width;
        row.width_max = one ? f.discrete.width : f.stepwise.max_width;
        row.width_step = one ? 1 : f.stepwise.step_width;
        row.height_min = one ? f.discrete.height : f.stepwise.min_height;
        row.height_max = one ? f.discrete.height : f.stepwise.max_height;
        row.height_step = one ? 1 : f.stepwise.step_height;
        if (add_rates(m, d, row) < 0)
            return -1;
        if (!one)
            return 0;
    }
    if (f.index)
        return 0;
    struct mode any = {.fourcc = fourcc,
                       .width_min = 1,
                       .width_max = SIDE_MAX,
                       .height_min = 1,
                       .height_max = SIDE_MAX,
                       .rates = '?'};
    return add(m, &any);
}

int modes_read(struct modes *m, const struct device *d, struct err *e)
{
    struct v4l2_fmtdesc f = {.type = d->buf_type};
    *m = (struct modes){0};
    for (; f.index < ENTRIES_MAX && device_ioctl(d, VIDIOC_ENUM_FMT, &f) == 0; f.index++)
        if (add_sizes(m, d, f.pixelformat) < 0)
            return err_set(e, EXIT_FAILED, "%s: its list of formats does not end", d->path);
    if (m->n)
        return 0;
    return f.index || errno == EINVAL
               ? err_set(e, EXIT_UNREACHABLE, "%s: the camera offers no format at all", d->path)
               : device_explain(d->path, "list the formats of", e);
}

/* --- choosing --- */

bool modes_is_mjpeg(uint32_t fourcc)
{
    return fourcc == V4L2_PIX_FMT_MJPEG || fourcc == V4L2_PIX_FMT_JPEG;
}

bool modes_is_usable(uint32_t fourcc)
{
    return modes_is_mjpeg(fourcc) || raw_cost(fourcc) > 0;
}

/* The value of min, min + step, ... max next to `wanted`. */
static unsigned nearest(unsigned min, unsigned max, unsigned step, unsigned wanted)
{
    if (wanted <= min)
        return min;
    if (wanted >= max)
        return max;
    return step > 1 ? min + (wanted - min + step / 2) / step * step : wanted;
}

static unsigned difference(unsigned a, unsigned b)
{
    return a > b ? a - b : b - a;
}

/* How far a row is from the wish, the most important first; smaller is better. */
struct distance {
    double by[5];
};

static bool is_nearer(const struct distance *a, const struct distance *b)
{
    for (size_t i = 0; i < sizeof a->by / sizeof a->by[0]; i++) {
        if (a->by[i] < b->by[i])
            return true;
        if (a->by[i] > b->by[i])
            return false;
    }
    return false;
}

static struct mode_choice make_definite(const struct mode *m, const struct mode_wish *w)
{
    double fps = w->fps > 0 ? w->fps : USUAL_FPS;
    return (struct mode_choice){
        .fourcc = m->fourcc,
        .width =
            nearest(m->width_min, m->width_max, m->width_step, w->width ? w->width : USUAL_WIDTH),
        .height = nearest(m->height_min, m->height_max, m->height_step,
                          w->height ? w->height : USUAL_HEIGHT),
        .fps = m->rates == '?' ? 0.0 : fmin(fmax(fps, m->fps_min), m->fps_max),
    };
}

static struct distance measure(const struct mode_choice *c, const struct mode_wish *w)
{
    double fps = w->fps > 0 ? w->fps : USUAL_FPS;
    double size = difference(c->width, w->width ? w->width : USUAL_WIDTH) +
                  difference(c->height, w->height ? w->height : USUAL_HEIGHT);
    double too_slow = c->fps > 0 && c->fps < fps ? fps - c->fps : 0.0;
    double too_fast = c->fps > fps ? c->fps - fps : 0.0;
    return (struct distance){{w->width ? size : 0.0, modes_is_mjpeg(c->fourcc) ? 0.0 : 1.0,
                              size + 1000.0 * too_slow, too_fast,
                              modes_is_mjpeg(c->fourcc) ? 0.0 : raw_cost(c->fourcc)}};
}

bool modes_choose(const struct mode *row, size_t n, const struct mode_wish *wish,
                  struct mode_choice *out)
{
    struct distance best = {{0}};
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        if (!modes_is_usable(row[i].fourcc) || (wish->fourcc && row[i].fourcc != wish->fourcc))
            continue;
        struct mode_choice c = make_definite(&row[i], wish);
        struct distance d = measure(&c, wish);
        if (found && !is_nearer(&d, &best))
            continue;
        best = d;
        *out = c;
        found = true;
    }
    return found;
}

/* --- telling --- */

static void list_size(const struct mode *m, struct text *out)
{
    text_addf(out, "%ux%u", m->width_max, m->height_max);
    if (m->width_min != m->width_max || m->height_min != m->height_max)
        text_addf(out, " and less");
}

static void list_rate(const struct mode *m, struct text *out)
{
    if (m->rates == 'd')
        text_addf(out, "%.4g", m->fps_max);
    else if (m->rates != '?')
        text_addf(out, "%.4g-%.4g", m->fps_min, m->fps_max);
}

void modes_list(const struct modes *m, struct text *out)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct mode *r = &m->row[i], *before = i ? r - 1 : NULL;
        bool same_format = before && before->fourcc == r->fourcc;
        bool same_size =
            same_format && before->width_max == r->width_max && before->height_max == r->height_max;
        if (same_size) {
            text_add(out, ", ");
        } else {
            text_add(out, i ? "; " : "");
            if (!same_format)
                text_addf(out, "%s ", fourcc_text(r->fourcc).text);
            list_size(r, out);
            text_add(out, r->rates == '?' ? "" : "@");
        }
        list_rate(r, out);
    }
}
