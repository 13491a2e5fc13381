/* samples.h - two sets of runs: is the second one worse?
 *
 * Each run gives one number (its p99, say). Runs of the same server on the same machine differ by
 * several percent, now and then by much, and nobody knows the distribution; so the judgement uses
 * ranks:
 *
 *   samples_p_worse    the exact one-sided Mann-Whitney test: how likely is it that the new
 *                      numbers stand so high among the old ones if nothing changed? Exact for
 *                      any distribution, because then every order is as likely as any other.
 *                      (Mann and Whitney, Ann. Math. Statist. 18, 1947.)
 *   samples_shift      the Hodges-Lehmann estimate: the median of all differences new - old. One
 *                      wild run moves it little. (Hodges and Lehmann, Ann. Math. Statist.
 *                      34, 1963.)
 *
 * A t-test would want normal numbers, and a comparison of means falls for one bad run.
 *
 * Pure. Threads: any. Numbers may be infinite, but not NaN.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SAMPLES_MAX 200 /* of each side */

double samples_median(const double *x, size_t n);

/* 1.4826 times the median distance from the median: for normal numbers the standard deviation. */
double samples_spread(const double *x, size_t n);

/* Median of all b - a. */
double samples_shift(const double *a, size_t n_a, const double *b, size_t n_b);

/* P(b stands at least so high among a | nothing changed). Ties count as half, rounded so that p is
 * never too small. */
double samples_p_worse(const double *a, size_t n_a, const double *b, size_t n_b);

/* Several questions at once: each p multiplied so that the chance of any false alarm stays what
 * it is for one (Holm, Scand. J. Statist. 6, 1979). In place. */
void samples_holm(double *p, size_t n);
