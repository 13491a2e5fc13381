/* split_bench - how fast the splitter finds pictures, beside what the C library needs to pass
 * over the same bytes.
 *
 *   split_bench [--json]      GB/s, and ratios to memcpy, memchr and memmem
 *
 * Distinct pictures of about 46 KB with fine structure and noise, so that their FF bytes are where
 * those of real ones are, more than a cache holds. Each round runs everything once, so that what
 * else the machine does falls on all; CPU time; medians, also of the ratios.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <turbojpeg.h>

#include "common/mjpeg.h"
#include "common/text.h"

#define ROUNDS     9
#define RUN_S      0.02
#define PICTURES   96
#define WIDTH      640
#define HEIGHT     480
#define QUALITY    82
#define BOUNDARY   "--frame-1234567890"
#define READ_BYTES 65536u /* of a socket or a pipe, see cli/source_http.c */

enum { N_STREAMS = 4, N_LIBC = 3, N_RUNS = N_STREAMS + N_LIBC };
enum { MEMCPY = N_STREAMS, MEMCHR, MEMMEM };

struct run {
    const char *name;
    const char *header; /* what precedes the length; NULL: bare pictures */
    size_t read_bytes;
    size_t (*pass)(const struct text *); /* of libc; NULL: the splitter */
    struct text bytes;
    double gb_per_s[ROUNDS];
};

struct seen {
    size_t n_pictures, n_broken;
};

/* ---- the streams ---- */

static void draw(uint8_t *rgb, uint32_t noise)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++, rgb += 3) {
            noise = noise * 1664525u + 1013904223u;
            int grain = (int)(noise >> 24) % 13 - 6;
            int shape = ((x / 40 + y / 24) % 3) * 50 + (x * y / 700) % 60;
            rgb[0] = (uint8_t)(60 + shape + grain);
            rgb[1] = (uint8_t)(40 + shape + (y / 8) % 30 + grain);
            rgb[2] = (uint8_t)(90 + (x / 16) % 40 + grain);
        }
}

static void add_part(struct text *out, const char *header, const void *jpeg, size_t n)
{
    if (header)
        text_addf(out, "\r\n" BOUNDARY "\r\nContent-Type: image/jpeg\r\n%s: %zu\r\n\r\n", header,
                  n);
    text_add_bytes(out, jpeg, n);
}

static void make_streams(struct run *runs)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    tjhandle tj = tjInitCompress();
    for (size_t r = 0; r < N_STREAMS; r++)
        runs[r].bytes = text_heap((size_t)64 << 20);
    for (uint32_t i = 0; i < PICTURES; i++) {
        unsigned char *jpeg = NULL;
        unsigned long n = 0;
        draw(rgb, i + 1);
        if (tjCompress2(tj, rgb, WIDTH, 0, HEIGHT, TJPF_RGB, &jpeg, &n, TJSAMP_422, QUALITY, 0) < 0)
            exit(1);
        for (size_t r = 0; r < N_STREAMS; r++)
            add_part(&runs[r].bytes, runs[r].header, jpeg, n);
        tjFree(jpeg);
    }
    tjDestroy(tj);
}

/* ---- what is measured ---- */

static void see_picture(void *ctx, const uint8_t *bytes, size_t n, bool mended)
{
    (void)bytes, (void)n, (void)mended;
    ((struct seen *)ctx)->n_pictures++;
}

static void see_broken(void *ctx, const char *why)
{
    (void)why;
    ((struct seen *)ctx)->n_broken++;
}

static size_t split(const struct text *in, size_t read_bytes)
{
    struct seen seen = {0};
    struct mjpeg_sink sink = {&seen, see_picture, see_broken};
    struct mjpeg *m = mjpeg_new((size_t)1 << 20, &sink);
    for (size_t at = 0; m && at < in->len; at += read_bytes) {
        size_t left = in->len - at;
        mjpeg_feed(m, (const uint8_t *)in->data + at, left < read_bytes ? left : read_bytes);
    }
    if (m)
        mjpeg_end(m);
    mjpeg_free(m);
    if (seen.n_pictures != PICTURES || seen.n_broken) {
        fprintf(stderr, "split_bench: %zu pictures found, %zu broken\n", seen.n_pictures,
                seen.n_broken);
        exit(1);
    }
    return seen.n_pictures;
}

static size_t pass_memcpy(const struct text *in)
{
    static uint8_t copy[READ_BYTES];
    size_t sum = 0;
    for (size_t at = 0; at < in->len; at += sizeof copy, sum += 1 + copy[0])
        memcpy(copy, in->data + at, in->len - at < sizeof copy ? in->len - at : sizeof copy);
    return sum;
}

static size_t pass_memchr(const struct text *in)
{
    const char *at = in->data, *end = in->data + in->len;
    size_t n = 0;
    for (; at && at < end; n++) {
        at = memchr(at, 0xff, (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    return n;
}

static size_t pass_memmem(const struct text *in)
{
    static const char sought[] = "\n" BOUNDARY;
    const char *at = in->data, *end = in->data + in->len;
    size_t n = 0;
    for (; at; n++) {
        at = memmem(at, (size_t)(end - at), sought, sizeof sought - 1);
        at = at ? at + 1 : NULL;
    }
    return n;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double measure(const struct run *r)
{
    double began_s = cpu_s(), now_s = began_s;
    size_t n_bytes = 0, sum = 0;
    while (now_s - began_s < RUN_S) {
        sum += r->pass ? r->pass(&r->bytes) : split(&r->bytes, r->read_bytes);
        n_bytes += r->bytes.len;
        now_s = cpu_s();
    }
    if (!sum) /* asked so that the compiler leaves the work in */
        exit(1);
    return (double)n_bytes / (now_s - began_s) / 1e9;
}

/* ---- what is told ---- */

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Of r's speed by that of `of` in the same round; NULL: of the speed itself. */
static double median(const struct run *r, const struct run *of)
{
    double v[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++)
        v[i] = of ? r->gb_per_s[i] / of->gb_per_s[i] : r->gb_per_s[i];
    qsort(v, ROUNDS, sizeof v[0], compare);
    return v[ROUNDS / 2];
}

static void tell(const struct run *runs, bool json)
{
    const char *row = json ? "%s{\"stream\":\"%s\",\"gb_per_s\":%.2f,\"of_memcpy\":%.3f,"
                             "\"of_memchr\":%.3f,\"of_memmem\":%.3f}"
                           : "%s%-34s %8.2f %10.2f %10.2f %10.2f\n";
    if (!json)
        printf("%-34s %8s %10s %10s %10s\n", "", "GB/s", "of memcpy", "of memchr", "of memmem");
    for (size_t i = 0; i < N_RUNS; i++)
        printf(row,
               !json ? ""
               : i   ? ",\n"
                     : "[",
               runs[i].name, median(&runs[i], NULL), median(&runs[i], &runs[MEMCPY]),
               median(&runs[i], &runs[MEMCHR]), median(&runs[i], &runs[MEMMEM]));
    if (json)
        printf("]\n");
}

int main(int argc, char **argv)
{
    struct run runs[N_RUNS] = {
        {.name = "with Content-Length", .header = "Content-Length", .read_bytes = READ_BYTES},
        {.name = "the same, reads of 16 KiB", .header = "Content-Length", .read_bytes = 16384},
        {.name = "without", .header = "X-Other-Header", .read_bytes = READ_BYTES},
        {.name = "bare pictures", .read_bytes = READ_BYTES},
        [MEMCPY] = {.name = "memcpy of each read", .pass = pass_memcpy},
        [MEMCHR] = {.name = "memchr of each FF", .pass = pass_memchr},
        [MEMMEM] = {.name = "memmem of the boundary", .pass = pass_memmem},
    };
    make_streams(runs);
    for (size_t r = N_STREAMS; r < N_RUNS; r++)
        runs[r].bytes = runs[0].bytes;
    for (size_t i = 0; i < ROUNDS; i++)
        for (size_t r = 0; r < N_RUNS; r++)
            runs[r].gb_per_s[i] = measure(&runs[r]);
    fprintf(stderr, "%d pictures, %zu bytes each on average\n", PICTURES,
            runs[3].bytes.len / PICTURES);
    tell(runs, argc > 1 && strcmp(argv[1], "--json") == 0);
    for (size_t r = 0; r < N_STREAMS; r++)
        text_deinit(&runs[r].bytes);
    return 0;
}
