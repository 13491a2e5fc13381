/* svg.h - the parts of a chart, as SVG with presentation attributes only, so that it is drawn under
 * any content security policy. Text and lines take the page's own colour (currentColor), so they
 * are dark on light and light on dark.
 *
 * A chart is svg_begin, any marks, svg_end. Numbers are in the data's own units; the axes
 * turn them into pixels.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"

#define SVG_WIDTH  960
#define SVG_LEFT   64 /* room for the labels of the y axis */
#define SVG_RIGHT  16
#define SVG_TOP    12
#define SVG_BOTTOM 34

struct svg_axis {
    double low, high; /* low < high; both above 0 when log */
    bool log;
    const char *unit; /* behind the labels */
};

struct svg {
    struct text *out;
    struct svg_axis x, y;
    double height; /* of the whole picture, pixels */
};

/* The picture, its name for those who cannot see it, and both axes with their ticks. */
void svg_begin(struct svg *s, const char *label);
void svg_end(struct svg *s);

double svg_x(const struct svg *s, double x);
double svg_y(const struct svg *s, double y);

/* A line through the points whose y is not NaN; a gap where it is. */
void svg_line(struct svg *s, const double *x, const double *y, size_t n, const char *color,
              double width);

/* What is between low and high. */
void svg_band(struct svg *s, const double *x, const double *low, const double *high, size_t n,
              const char *color, double opacity);

/* From x0 to x1, from y0 up to y1; title: what a pointer that rests on it is told, or NULL. */
void svg_bar(struct svg *s, double x0, double x1, double y0, double y1, const char *color,
             const char *title);

/* Dashed, over the whole width or height, with a label. */
void svg_mark_y(struct svg *s, double y, const char *color, const char *label);
void svg_mark_x(struct svg *s, double x, const char *color, const char *label);

/* A step of 1, 2 or 5 times a power of ten that cuts the span into at most n pieces. */
double svg_step(double span, int n);
