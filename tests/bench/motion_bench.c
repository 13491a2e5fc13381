/* motion_bench - what the motion pipeline costs besides decoding, and what vector code gives.
 *
 *   motion_bench [ROUNDS]
 *
 * Prints, by size of the picture, the microseconds a frame of decoding and of motion_detect.c as it
 * is built, and of the same file built without the compiler's vectoriser: medians of the rounds,
 * which are interleaved. The pictures move and have a camera's noise.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <turbojpeg.h>

#include "common/pattern.h"
#include "server/decode.h"
#include "server/pipelines/motion_detect.h"

#define N_FRAMES   24
#define N_LOOPS    8 /* of the film: the first 16 frames of a session are not like the rest */
#define SCALE      8
#define ROUNDS_MAX 101

/* motion_detect.c once more: see the Makefile. */
struct motion_model *plain_model_new(unsigned w, unsigned h);
void plain_model_free(struct motion_model *m);
void plain_model_see(struct motion_model *m, const uint8_t *grey, const struct motion_tuning *t,
                     struct motion_seen *seen);

enum { DECODE, VECTOR, PLAIN, N_COSTS };

struct film {
    unsigned w, h; /* cells */
    unsigned char *jpeg[N_FRAMES];
    unsigned long n_bytes[N_FRAMES];
    uint8_t *grey[N_FRAMES];
};

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void add_noise(struct pattern *p, uint32_t *random)
{
    for (size_t i = 0; i < (size_t)p->stride[0] * p->height; i++) {
        *random = *random * 1664525u + 1013904223u;
        p->plane[0][i] = (uint8_t)(p->plane[0][i] * 7 / 8 + (int)(*random >> 24) % 17);
    }
}

static void shoot(struct film *f, unsigned width, unsigned height)
{
    struct pattern still = pattern_over(malloc(pattern_bytes(width, height)), width, height);
    struct pattern p = pattern_over(malloc(pattern_bytes(width, height)), width, height);
    const unsigned char *planes[3] = {p.plane[0], p.plane[1], p.plane[2]};
    uint32_t random = 1;
    tjhandle encoder = tjInitCompress();
    *f = (struct film){.w = (width + SCALE - 1) / SCALE, .h = (height + SCALE - 1) / SCALE};
    pattern_draw_background(&still);
    for (unsigned i = 0; i < N_FRAMES; i++) {
        pattern_draw_frame(&p, &still, i);
        add_noise(&p, &random);
        tjCompressFromYUVPlanes(encoder, planes, (int)width, p.stride, (int)height, TJSAMP_420,
                                &f->jpeg[i], &f->n_bytes[i], 80, 0);
        f->grey[i] = malloc((size_t)f->w * f->h);
    }
    tjDestroy(encoder);
    free(still.plane[0]);
    free(p.plane[0]);
}

static void decode_all(const struct film *f)
{
    struct decode d = {0};
    struct decoded out;
    for (unsigned i = 0; i < N_FRAMES; i++) {
        decode_begin(&d, f->jpeg[i], f->n_bytes[i], 0);
        if (decode_picture(&d, DECODE_GREY, SCALE, &out) < 0)
            exit(1);
        memcpy(f->grey[i], out.pixels, (size_t)f->w * f->h);
    }
    decode_deinit(&d);
}

#define SEE_ALL(prefix, f)                                                                         \
    do {                                                                                           \
        struct motion_model *m = prefix##_model_new((f)->w, (f)->h);                               \
        for (unsigned i = 0; i < N_FRAMES * N_LOOPS; i++)                                          \
            prefix##_model_see(m, (f)->grey[i % N_FRAMES], &usual, &seen);                         \
        prefix##_model_free(m);                                                                    \
    } while (0)

static double cost_us(const struct film *f, int what)
{
    static const struct motion_tuning usual = {.threshold = 20, .min_area = 0.001};
    struct motion_seen seen;
    double begin_us = cpu_us();
    if (what == DECODE)
        decode_all(f);
    else if (what == VECTOR)
        SEE_ALL(motion, f);
    else
        SEE_ALL(plain, f);
    return (cpu_us() - begin_us) / (what == DECODE ? N_FRAMES : N_FRAMES * N_LOOPS);
}

static int by_value(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

static void compare(unsigned width, unsigned height, unsigned n_rounds)
{
    struct film f;
    double us[N_COSTS][ROUNDS_MAX], median[N_COSTS];
    shoot(&f, width, height);
    for (unsigned round = 0; round < n_rounds; round++)
        for (int what = 0; what < N_COSTS; what++)
            us[what][round] = cost_us(&f, what);
    for (int what = 0; what < N_COSTS; what++) {
        qsort(us[what], n_rounds, sizeof us[what][0], by_value);
        median[what] = us[what][n_rounds / 2];
    }
    printf("%4ux%-4u %8.1f %8.1f %8.1f %8.2f %8.1f %%\n", width, height, median[DECODE],
           median[VECTOR], median[PLAIN], median[PLAIN] / median[VECTOR],
           100 * median[VECTOR] / (median[VECTOR] + median[DECODE]));
    for (unsigned i = 0; i < N_FRAMES; i++) {
        tjFree(f.jpeg[i]);
        free(f.grey[i]);
    }
}

int main(int argc, char **argv)
{
    static const unsigned sizes[][2] = {{640, 480}, {1280, 720}, {1920, 1080}};
    int n_rounds = argc > 1 ? atoi(argv[1]) : 15;
    if (n_rounds < 1 || n_rounds > ROUNDS_MAX)
        return 2;
    printf("us a frame  decode   motion  without    ratio    share\n");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        compare(sizes[i][0], sizes[i][1], (unsigned)n_rounds);
    return 0;
}
