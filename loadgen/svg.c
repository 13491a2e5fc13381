#include "loadgen/svg.h"

#include <math.h>
#include <stdio.h>

#include "loadgen/outputs.h"

#define TICKS 6

static double place(const struct svg_axis *a, double v)
{
    double at =
        a->log ? log(v / a->low) / log(a->high / a->low) : (v - a->low) / (a->high - a->low);
    return at < 0.0 ? 0.0 : at > 1.0 ? 1.0 : at;
}

double svg_x(const struct svg *s, double x)
{
    return SVG_LEFT + place(&s->x, x) * (SVG_WIDTH - SVG_LEFT - SVG_RIGHT);
}

double svg_y(const struct svg *s, double y)
{
    return s->height - SVG_BOTTOM - place(&s->y, y) * (s->height - SVG_BOTTOM - SVG_TOP);
}

double svg_step(double span, int n)
{
    double rough = span / n, power = pow(10.0, floor(log10(rough)));
    double part = rough / power;
    return power * (part <= 1.0 ? 1.0 : part <= 2.0 ? 2.0 : part <= 5.0 ? 5.0 : 10.0);
}

/* --- axes --- */

static void add_text(struct svg *s, double x, double y, const char *anchor, const char *text)
{
    text_addf(
        s->out,
        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"12\" fill=\"currentColor\" "
        "fill-opacity=\"0.75\">",
        x, y, anchor);
    junit_add_text(s->out, text);
    text_add(s->out, "</text>\n");
}

static void add_rule(struct svg *s, double x0, double y0, double x1, double y1, double opacity)
{
    text_addf(s->out,
              "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"currentColor\" "
              "stroke-opacity=\"%.2f\"/>\n",
              x0, y0, x1, y1, opacity);
}

static void add_tick(struct svg *s, bool is_y, double value)
{
    char label[48];
    const struct svg_axis *a = is_y ? &s->y : &s->x;
    snprintf(label, sizeof label, "%g%s", value, a->unit);
    if (is_y) {
        double y = svg_y(s, value);
        add_rule(s, SVG_LEFT, y, SVG_WIDTH - SVG_RIGHT, y, 0.12);
        add_text(s, SVG_LEFT - 8, y + 4, "end", label);
    } else {
        double x = svg_x(s, value);
        add_rule(s, x, s->height - SVG_BOTTOM, x, s->height - SVG_BOTTOM + 4, 0.4);
        add_text(s, x, s->height - SVG_BOTTOM + 18, "middle", label);
    }
}

/* Powers of ten; between them 2 and 5 where there are few. */
static void add_log_ticks(struct svg *s, bool is_y, const struct svg_axis *a)
{
    static const double parts[] = {1, 2, 5};
    bool few = log10(a->high / a->low) < 2.5;
    int first = (int)floor(log10(a->low)), last = (int)floor(log10(a->high));
    for (int power = first; power <= last; power++) {
        for (size_t i = 0; i < (few ? 3u : 1u); i++) {
            double v = pow(10.0, power) * parts[i];
            if (v >= a->low * 0.999 && v <= a->high * 1.001)
                add_tick(s, is_y, v);
        }
    }
}

static void add_ticks(struct svg *s, bool is_y)
{
    const struct svg_axis *a = is_y ? &s->y : &s->x;
    if (a->log) {
        add_log_ticks(s, is_y, a);
        return;
    }
    double step = svg_step(a->high - a->low, is_y ? TICKS : 2 * TICKS);
    int first = (int)ceil(a->low / step), last = (int)floor(a->high / step * 1.0001);
    for (int k = first; k <= last; k++)
        add_tick(s, is_y, k * step);
}

void svg_begin(struct svg *s, const char *label)
{
    text_addf(s->out,
              "<svg viewBox=\"0 0 %d %.0f\" width=\"100%%\" role=\"img\" font-family=\"system-ui, "
              "sans-serif\" aria-label=\"",
              SVG_WIDTH, s->height);
    junit_add_text(s->out, label);
    text_add(s->out, "\">\n");
    add_ticks(s, true);
    add_ticks(s, false);
    double base = s->height - SVG_BOTTOM;
    add_rule(s, SVG_LEFT, base, SVG_WIDTH - SVG_RIGHT, base, 0.4);
}

void svg_end(struct svg *s)
{
    text_add(s->out, "</svg>\n");
}

/* --- marks --- */

void svg_line(struct svg *s, const double *x, const double *y, size_t n, const char *color,
              double width)
{
    bool down = false;
    text_add(s->out, "<path d=\"");
    for (size_t i = 0; i < n; i++) {
        if (isnan(y[i])) {
            down = false;
            continue;
        }
        text_addf(s->out, "%c%.1f %.1f", down ? 'L' : 'M', svg_x(s, x[i]), svg_y(s, y[i]));
        if (!down && (i + 1 == n || isnan(y[i + 1])))
            text_add(s->out, "h2"); /* a single point would not be seen */
        down = true;
    }
    text_addf(s->out,
              "\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" stroke-linejoin=\"round\"/>\n",
              color, width);
}

/* One closed path for each run of points without a gap. */
static size_t add_patch(struct svg *s, const double *x, const double *low, const double *high,
                        size_t n)
{
    size_t m = 0;
    while (m < n && !isnan(low[m]) && !isnan(high[m]))
        m++;
    for (size_t i = 0; i < m; i++)
        text_addf(s->out, "%c%.1f %.1f", i ? 'L' : 'M', svg_x(s, x[i]), svg_y(s, high[i]));
    for (size_t i = m; i-- > 0;)
        text_addf(s->out, "L%.1f %.1f", svg_x(s, x[i]), svg_y(s, low[i]));
    if (m)
        text_add_char(s->out, 'Z');
    return m ? m : 1;
}

void svg_band(struct svg *s, const double *x, const double *low, const double *high, size_t n,
              const char *color, double opacity)
{
    text_add(s->out, "<path d=\"");
    for (size_t i = 0; i < n;)
        i += add_patch(s, x + i, low + i, high + i, n - i);
    text_addf(s->out, "\" fill=\"%s\" fill-opacity=\"%.2f\"/>\n", color, opacity);
}

void svg_bar(struct svg *s, double x0, double x1, double y0, double y1, const char *color,
             const char *title)
{
    double left = svg_x(s, x0), right = svg_x(s, x1), top = svg_y(s, y1), bottom = svg_y(s, y0);
    double gap = right - left > 6.0 ? 0.5 : 0.0;
    text_addf(s->out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"",
              left + gap, top, right - left - 2 * gap, bottom - top, color);
    if (!title) {
        text_add(s->out, "/>\n");
        return;
    }
    text_add(s->out, "><title>");
    junit_add_text(s->out, title);
    text_add(s->out, "</title></rect>\n");
}

static void add_dashes(struct svg *s, double x0, double y0, double x1, double y1, const char *color)
{
    text_addf(s->out,
              "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
              "stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>\n",
              x0, y0, x1, y1, color);
}

static void add_colored(struct svg *s, double x, double y, const char *anchor, const char *color,
                        const char *label)
{
    text_addf(s->out,
              "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"12\" font-weight=\"600\" "
              "fill=\"%s\">",
              x, y, anchor, color);
    junit_add_text(s->out, label);
    text_add(s->out, "</text>\n");
}

void svg_mark_y(struct svg *s, double y, const char *color, const char *label)
{
    double at = svg_y(s, y);
    add_dashes(s, SVG_LEFT, at, SVG_WIDTH - SVG_RIGHT, at, color);
    add_colored(s, SVG_WIDTH - SVG_RIGHT - 4, at - 5, "end", color, label);
}

void svg_mark_x(struct svg *s, double x, const char *color, const char *label)
{
    double at = svg_x(s, x);
    bool right_half = at > SVG_WIDTH / 2.0;
    add_dashes(s, at, SVG_TOP, at, s->height - SVG_BOTTOM, color);
    add_colored(s, at + (right_half ? -6 : 6), SVG_TOP + 12, right_half ? "end" : "start", color,
                label);
}
