#include "loadgen/samples.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_in_place(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    if (n % 2)
        return x[n / 2];
    double low = x[n / 2 - 1], high = x[n / 2];
    return isinf(high) ? high : (low + high) / 2.0;
}

double samples_median(const double *x, size_t n)
{
    double copy[SAMPLES_MAX];
    assert(n && n <= SAMPLES_MAX);
    memcpy(copy, x, n * sizeof *x);
    return median_in_place(copy, n);
}

static double difference(double b, double a)
{
    return isinf(a) && isinf(b) ? 0.0 : b - a;
}

double samples_spread(const double *x, size_t n)
{
    double far[SAMPLES_MAX], middle = samples_median(x, n);
    for (size_t i = 0; i < n; i++)
        far[i] = fabs(difference(x[i], middle));
    return 1.4826 * median_in_place(far, n);
}

double samples_shift(const double *a, size_t n_a, const double *b, size_t n_b)
{
    double *d = malloc(n_a * n_b * sizeof *d);
    size_t n = 0;
    if (!d) /* the difference of the medians is an estimate too */
        return difference(samples_median(b, n_b), samples_median(a, n_a));
    for (size_t i = 0; i < n_a; i++)
        for (size_t k = 0; k < n_b; k++)
            d[n++] = difference(b[k], a[i]);
    double shift = median_in_place(d, n);
    free(d);
    return shift;
}

/* How many pairs have b above a; ties count half, and the half is lost. */
static size_t wins(const double *a, size_t n_a, const double *b, size_t n_b)
{
    size_t twice = 0;
    for (size_t i = 0; i < n_a; i++)
        for (size_t k = 0; k < n_b; k++)
            twice += b[k] > a[i] ? 2 : b[k] < a[i] ? 0 : 1;
    return twice / 2;
}

/* The distribution of the wins when all orders are equally likely: P(n_a, n_b, u) = n_b / (n_a +
 * n_b)
 * * P(n_a, n_b - 1, u - n_a) + n_a / (n_a + n_b) * P(n_a - 1, n_b, u): the largest number is a b,
 * and wins against all a, or an a. Filled for growing n_a, one table of [n_b][u] at a time. */
double samples_p_worse(const double *a, size_t n_a, const double *b, size_t n_b)
{
    size_t u = wins(a, n_a, b, n_b), width = n_a * n_b + 1;
    double *p = calloc((n_b + 1) * width, sizeof *p), sum = 0.0;
    if (!p)
        return 1.0;
    for (size_t k = 0; k <= n_b; k++)
        p[k * width] = 1.0; /* no a: no wins */
    for (size_t i = 1; i <= n_a; i++) {
        for (size_t k = 1; k <= n_b; k++) {
            double b_last = (double)k / (double)(i + k);
            for (size_t v = i * k + 1; v-- > 0;) {
                double with_b = v >= i ? p[(k - 1) * width + v - i] : 0.0;
                p[k * width + v] = b_last * with_b + (1.0 - b_last) * p[k * width + v];
            }
        }
    }
    for (size_t v = u; v < width; v++)
        sum += p[n_b * width + v];
    free(p);
    return sum > 1.0 ? 1.0 : sum;
}

void samples_holm(double *p, size_t n)
{
    double least = 0.0;
    bool done[SAMPLES_MAX] = {false};
    assert(n <= SAMPLES_MAX);
    for (size_t rank = 0; rank < n; rank++) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!done[i] && (best == n || p[i] < p[best]))
                best = i;
        double adjusted = p[best] * (double)(n - rank);
        least = adjusted > least ? adjusted : least;
        p[best] = least > 1.0 ? 1.0 : least;
        done[best] = true;
    }
}
