/* profile.h - kinds of cameras: how often, how large, how they behave.
 *
 * Without --profiles there is one, named "default", made of the options. A file has a line for
 * each; what a line leaves out comes from the options:
 *
 *   # NAME    key=value...
 *   1080p30   weight=3 fps=30 geometry=1920x1080 size=180KB
 *   480p10    weight=7 fps=10 geometry=640x480 size=40KB tag.site=north
 *   doorbell  burst=5s/20s
 *
 * Ownership: profiles_free frees the array; texts point into the file's bytes, which the array
 * owns, or into the settings. Threads: read only once loaded.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "loadgen/options.h"

#define PROFILES_MAX 64

struct profile {
    const char *name, *pipeline;
    const char *frames; /* NULL: made */
    uint64_t weight, fps_milli;
    uint64_t size_bytes;
    unsigned width, height;
    uint64_t fragment_bytes, slow_reader_us, in_flight;
    uint64_t burst_on_us, burst_off_us; /* sends for so long, then nothing; off 0: always */
    char tags[256];                     /* "site=north rack=4" */
};

struct profiles {
    size_t n;
    struct profile *item;
    char *bytes; /* of the file */
};

/* 0, -EXIT_USAGE with the line, or -EXIT_UNREACHABLE when the file cannot be read. profiles_free in
 * either case. */
int profiles_load(struct profiles *p, const struct settings *set, struct err *e);

/* The same from the bytes of a file (for the tests); changes them, takes them. */
int profiles_read(struct profiles *p, const struct settings *set, char *bytes, struct err *e);

void profiles_free(struct profiles *p);

/* Which profile each of n sessions has: by weight, and as mixed as can be, so that any few
 * sessions in a row are a small picture of all. */
void profiles_assign(const struct profiles *p, uint16_t *out, size_t n);

/* Is a camera of that profile sending, so long after it began? */
bool profile_is_on(const struct profile *p, uint64_t since_us);
