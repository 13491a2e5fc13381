#include "common/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

double clock_wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void clock_iso(double wall_s, char out[32])
{
    uint64_t ms = (uint64_t)(wall_s * 1000.0 + 0.5);
    time_t s = (time_t)(ms / 1000u);
    struct tm utc;
    char day[24];
    gmtime_r(&s, &utc);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, 32, "%s.%03uZ", day, (unsigned)(ms % 1000u));
}
