/* capture_bench - what encoding a camera's raw pictures costs, without camera or network.
 *
 *   capture_bench encode SECONDS      CPU us a picture, one thread: YUYV 1280x720 to JPEG, quality
 * 80 capture_bench pool N SECONDS      pictures a second through N threads of encoder.h
 *   capture_bench ppm FILE            the same picture, for tjbench
 *
 * The picture has fine structure and noise, so that the entropy coder works as on a real one.
 */
#include <linux/videodev2.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <turbojpeg.h>

#include "cli/encode.h"
#include "cli/encoder.h"
#include "common/clock.h"

#define WIDTH   1280
#define HEIGHT  720
#define QUALITY 80

static uint8_t rgb[WIDTH * HEIGHT * 3], yuyv[WIDTH * HEIGHT * 2];

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void draw(void)
{
    uint32_t noise = 1;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            noise = noise * 1664525u + 1013904223u;
            int grain = (int)(noise >> 24) % 13 - 6;
            int shape = ((x / 40 + y / 24) % 3) * 50 + (x * y / 700) % 60;
            uint8_t *p = rgb + 3 * (y * WIDTH + x);
            p[0] = (uint8_t)(60 + shape + grain);
            p[1] = (uint8_t)(40 + shape + (y / 8) % 30 + grain);
            p[2] = (uint8_t)(90 + (x / 16) % 40 + grain);
        }
}

/* As a camera gives it: limited range, packed 4:2:2. */
static void pack(void)
{
    static uint8_t planes[WIDTH * HEIGHT * 2];
    uint8_t *plane[3] = {planes, planes + WIDTH * HEIGHT, planes + WIDTH * HEIGHT * 3 / 2};
    tjhandle h = tjInitCompress();
    tjEncodeYUVPlanes(h, rgb, WIDTH, 0, HEIGHT, TJPF_RGB, plane, NULL, TJSAMP_422, 0);
    tjDestroy(h);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        yuyv[2 * i] = (uint8_t)(16 + plane[0][i] * 219 / 255);
    for (int i = 0; i < WIDTH * HEIGHT / 2; i++) {
        yuyv[4 * i + 1] = (uint8_t)(128 + (plane[1][i] - 128) * 224 / 255);
        yuyv[4 * i + 3] = (uint8_t)(128 + (plane[2][i] - 128) * 224 / 255);
    }
}

static struct picture *camera_picture(void)
{
    struct picture *p = calloc(1, sizeof *p);
    p->raw = (struct raw){.fourcc = V4L2_PIX_FMT_YUYV,
                          .width = WIDTH,
                          .height = HEIGHT,
                          .plane = {yuyv},
                          .stride = {2 * WIDTH}};
    return p;
}

static void bench_encode(double seconds)
{
    struct encode encode = {0};
    struct picture *p = camera_picture();
    picture_free(encode_picture(&encode, p, QUALITY, 0, NULL)); /* warm */
    double began = cpu_us(), now;
    uint64_t n = 0;
    do {
        picture_free(encode_picture(&encode, p, QUALITY, 0, NULL));
        n++;
        now = cpu_us();
    } while (now - began < seconds * 1e6);
    printf("%.2f\n", (now - began) / (double)n);
    picture_free(p);
    encode_deinit(&encode);
}

static void on_encoded(void *ctx, struct picture *p)
{
    ++*(uint64_t *)ctx;
    picture_free(p);
}

static void on_failed(void *ctx, const char *why)
{
    (void)ctx;
    fprintf(stderr, "capture_bench: %s\n", why);
    exit(1);
}

static void bench_pool(unsigned n_threads, double seconds)
{
    uint64_t n = 0;
    struct encoder_sink sink = {.ctx = &n, .on_encoded = on_encoded, .on_failed = on_failed};
    struct encoder *c;
    struct loop l;
    if (loop_init(&l, NULL) < 0 || encoder_open(&c, n_threads, &l, &sink, NULL) < 0)
        exit(1);
    uint64_t began_us = clock_now_us(), now_us = began_us;
    while (now_us < began_us + (uint64_t)(seconds * 1e6)) {
        while (encoder_has_room(c))
            encoder_put(c, camera_picture(), QUALITY, 0, NULL);
        struct pollfd ready = {.fd = l.epoll_fd, .events = POLLIN};
        poll(&ready, 1, -1);
        loop_turn(&l);
        now_us = clock_now_us();
    }
    printf("%.2f\n", (double)n / ((double)(now_us - began_us) / 1e6));
    encoder_close(c);
    loop_deinit(&l);
}

static void write_ppm(const char *path)
{
    FILE *f = fopen(path, "wb");
    if (!f || fprintf(f, "P6\n%d %d\n255\n", WIDTH, HEIGHT) < 0 ||
        fwrite(rgb, sizeof rgb, 1, f) != 1 || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    draw();
    pack();
    if (argc == 3 && strcmp(argv[1], "encode") == 0)
        bench_encode(strtod(argv[2], NULL));
    else if (argc == 4 && strcmp(argv[1], "pool") == 0)
        bench_pool((unsigned)strtoul(argv[2], NULL, 10), strtod(argv[3], NULL));
    else if (argc == 3 && strcmp(argv[1], "ppm") == 0)
        write_ppm(argv[2]);
    else
        return 2;
    return 0;
}
