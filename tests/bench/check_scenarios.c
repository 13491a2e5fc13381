/* check_scenarios - fixed work, whose instructions bench-check counts under callgrind.
 *
 *   check_scenarios            the names of the scenarios, one a line
 *   check_scenarios made-by    compiler and C library: others take other instructions
 *   check_scenarios NAME       prepares that scenario, then does it: all of it in run_NAME, which
 *                              is what is counted; exit 77: not here
 *
 * Everything is made here, by a generator of its own and without a decoder, so that the same code
 * does the same steps on every machine. Each scenario makes sure at its end that it did its work:
 * doing nothing is not cheaper.
 */
#include <gnu/libc-version.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/raw.h"
#include "common/json.h"
#include "common/mjpeg.h"
#include "common/pattern.h"
#include "common/proto.h"
#include "loadgen/camera.h"
#include "loadgen/compare.h"
#include "loadgen/follow.h"
#include "loadgen/report_json.h"
#include "loadgen/verdict.h"
#include "common/wsframe.h"
#include "server/assembly.h"
#include "server/pipelines/face_detect.h"
#include "server/pipelines/motion_detect.h"
#include "server/pressure.h"
#include "server/turns.h"
#include "tests/sim/sample_report.h"

static struct memory no_cap;

#define NOT_HERE 77

#define N_FRAMES    10000
#define FRAME_BYTES 46000 /* 640x480 at a usual quality */
#define READ_BYTES  16384
#define BUDGET_US   37000u
#define FRAME_US    33333u /* 30 fps */

static uint32_t noise = 1;
static uint8_t jpeg[FRAME_BYTES];

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "check_scenarios: %s\n", what);
    exit(1);
}

static uint32_t next_noise(void)
{
    noise = noise * 1664525u + 1013904223u;
    return noise >> 8;
}

/* --- a JPEG: segments, then what looks like entropy-coded data --- */

static size_t put_segment(uint8_t *out, uint8_t marker, size_t length)
{
    out[0] = 0xff;
    out[1] = marker;
    out[2] = (uint8_t)(length >> 8);
    out[3] = (uint8_t)length;
    memset(out + 4, 1, length - 2);
    return length + 2;
}

static void make_jpeg(void)
{
    static const struct {
        uint8_t marker;
        size_t length;
    } segments[] = {{0xe0, 16}, {0xdb, 132}, {0xc0, 17}, {0xc4, 418}, {0xda, 12}};
    size_t n = 2;
    memcpy(jpeg, "\xff\xd8", 2);
    for (size_t i = 0; i < sizeof segments / sizeof segments[0]; i++)
        n += put_segment(jpeg + n, segments[i].marker, segments[i].length);
    for (; n < FRAME_BYTES - 2; n++)
        jpeg[n] = jpeg[n - 1] == 0xff ? 0 : (uint8_t)next_noise(); /* stuffed: T.81, B.1.1.5 */
    memcpy(jpeg + n - 1, "\0\xff\xd9", 3);
}

/* --- frames: what streamd does with one until it is answered or dropped, without socket and
 * threads; one worker, and half as much again as it can do --- */

#define N_SEATS 8
#define WORK_US 6250u /* all cameras together send every 4.2 ms */

static struct server {
    struct pool pool;
    struct turns turns;
    struct camera_end {
        struct seat seat;
        struct assembly assembly;
        struct pressure pressure;
        uint64_t n_frames;
    } camera[N_SEATS];
    struct frame *in_work;
    struct camera_end *whose;
    uint64_t now_us, done_us;
    unsigned n_answered, n_dropped, n_slow_downs;
} server;

static void prepare_frames(void)
{
    make_jpeg();
    server.pool = pool_make(&no_cap, 64u << 20);
    server.turns.rule = (struct admit_rule){.policy = POLICY_LATEST, .budget_us = BUDGET_US};
    server.turns.n_free = 1;
}

static struct frame *receive(struct server *s, struct camera_end *c)
{
    struct assembly_limits limits = assembly_limits(10, 16, false);
    enum assembly_outcome outcome = ASSEMBLY_MORE;
    struct complaint why;
    for (size_t at = 0; at < FRAME_BYTES; at += READ_BYTES) {
        size_t left = FRAME_BYTES - at, n = left < READ_BYTES ? left : READ_BYTES;
        struct assembly_piece p = {
            .bytes = jpeg + at, .n = n, .announced = left - n, .final = n == left, .binary = true};
        outcome = assembly_add(&c->assembly, &s->pool, &limits, &p, &why);
    }
    must(outcome == ASSEMBLY_FRAME, "a good frame was refused");
    struct frame *f = assembly_take(&c->assembly);
    f->arrived_us = s->now_us;
    f->started_us = f->finished_us = 0;
    f->index = c->n_frames++;
    return f;
}

static void settle(struct server *s, struct camera_end *c, struct frame *f)
{
    static const struct pressure_limits limits = {0.10, 0.30, 5000000};
    bool dropped = f->fate == FRAME_DROPPED;
    s->n_slow_downs += pressure_add(&c->pressure, &limits, dropped, s->now_us).slow_down;
    *(dropped ? &s->n_dropped : &s->n_answered) += 1;
    pool_put(&s->pool, f);
}

static void take(struct server *s)
{
    struct seat *seat = NULL;
    while ((s->in_work = turns_take(&s->turns, s->now_us, &seat)) != NULL) {
        s->whose = (struct camera_end *)((char *)seat - offsetof(struct camera_end, seat));
        if (s->in_work->fate != FRAME_DROPPED)
            break;
        settle(s, s->whose, s->in_work);
    }
    s->turns.n_free = s->in_work == NULL;
    if (s->in_work)
        s->in_work->started_us = s->now_us;
    s->done_us = s->now_us + WORK_US;
}

static void finish(struct server *s)
{
    struct frame *f = s->in_work;
    struct camera_end *whose = s->whose;
    s->now_us = f->finished_us = s->done_us;
    turns_finish(&s->turns, &whose->seat, f);
    take(s);
    settle(s, whose, f);
}

static void run_frames(void)
{
    struct server *s = &server;
    for (unsigned i = 0; i < N_FRAMES; i++) {
        struct camera_end *c = &s->camera[i % N_SEATS];
        uint64_t at_us = 1000000 + (uint64_t)i * FRAME_US / N_SEATS;
        while (s->in_work && s->done_us <= at_us)
            finish(s);
        s->now_us = at_us;
        struct turns_outcome out = turns_submit(&s->turns, &c->seat, receive(s, c));
        if (out.dropped)
            settle(s, c, out.dropped);
        if (!s->in_work)
            take(s);
    }
    must(s->n_answered > N_FRAMES / 2 && s->n_dropped > N_FRAMES / 10 && s->n_slow_downs > 0,
         "frames: not the mix of answers and drops it should be");
}

/* --- answers: a result as the pipeline motion writes it, and the messages --- */

static void write_result(struct text *out)
{
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    json_array_begin(&j, "detections");
    json_object_begin(&j, NULL);
    json_u64(&j, "x", 320);
    json_u64(&j, "y", 72);
    json_str(&j, "label", "motion");
    json_num(&j, "score", 0.8125, 3);
    json_object_end(&j);
    json_array_end(&j);
    json_num(&j, "motion", 0.01734, 4);
    json_object_end(&j);
}

static void run_answers(void)
{
    struct text result = text_heap(RESULT_BYTES_MAX), message = text_heap(RESULT_BYTES_MAX);
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < N_FRAMES; i++) {
        struct proto_timing timing = {.wait_us = i % 9000, .pipeline_us = 5120, .server_us = 9015};
        struct proto_reply r = {.frame_index = i, .frame_id = &i, .timing = &timing};
        text_clear(&result);
        text_clear(&message);
        write_result(&result);
        if (i % 10 == 9)
            proto_write_drop(&message, &r, drop_reason_name(DROP_REPLACED));
        else
            proto_write_result(&message, &r, text_str(&result), result.len);
        n_bytes += message.len;
    }
    must(!result.cut && !message.cut && n_bytes > (size_t)N_FRAMES * 150, "answers: too short");
    text_deinit(&result);
    text_deinit(&message);
}

/* --- split: the same pictures with and without their lengths, in reads as a socket gives --- */

#define N_PARTS  20
#define N_ROUNDS 25

static struct splitting {
    uint8_t stream[N_PARTS * (FRAME_BYTES + 128)];
    size_t n, n_pictures;
} splitting;

static void prepare_split(const char *length)
{
    struct splitting *s = &splitting;
    for (unsigned i = 0; i < N_PARTS; i++) {
        s->n += (size_t)sprintf((char *)s->stream + s->n,
                                "\r\n--frame\r\nContent-Type: image/jpeg\r\n%s\r\n", length);
        make_jpeg();
        memcpy(s->stream + s->n, jpeg, FRAME_BYTES);
        s->n += FRAME_BYTES;
    }
}

static void prepare_split_plain(void)
{
    prepare_split("");
}

static void prepare_split_lengths(void)
{
    prepare_split("Content-Length: 46000\r\n");
}

static void on_picture(void *ctx, const uint8_t *bytes, size_t n, bool mended)
{
    struct splitting *s = ctx;
    (void)bytes;
    s->n_pictures += n == FRAME_BYTES && !mended;
}

static void on_broken(void *ctx, const char *why)
{
    (void)ctx;
    must(false, why);
}

static void split(unsigned n_rounds)
{
    struct splitting *s = &splitting;
    struct mjpeg_sink sink = {s, on_picture, on_broken};
    struct mjpeg *m = mjpeg_new(1u << 20, &sink);
    must(m != NULL, "out of memory");
    mjpeg_set_boundary(m, "frame");
    for (unsigned round = 0; round < n_rounds; round++)
        for (size_t at = 0; at < s->n; at += READ_BYTES)
            mjpeg_feed(m, s->stream + at, s->n - at < READ_BYTES ? s->n - at : READ_BYTES);
    mjpeg_end(m);
    mjpeg_free(m);
    must(s->n_pictures == (size_t)n_rounds * N_PARTS, "split: not all pictures came out whole");
}

static void run_split_plain(void)
{
    split(N_ROUNDS);
}

static void run_split_lengths(void)
{
    split(2 * N_ROUNDS);
}

/* --- replies: what streamload reads --- */

static const char result_text[] =
    "{\"frame_index\":1041,\"result\":{\"detections\":[{\"x\":320,\"y\":72,\"w\":64,\"h\":96,"
    "\"label\":\"motion\",\"score\":0.813}],\"motion\":0.0173},\"frame_id\":1041,"
    "\"timing\":{\"wait_us\":812,\"pipeline_us\":5120,\"server_us\":6015}}";
static const char drop_text[] = "{\"frame_index\":1042,\"dropped\":true,\"reason\":\"replaced\"}";
static const char slow_text[] = "{\"warning\":\"slow_down\"}";

static void run_replies(void)
{
    unsigned n_of[PROTO_UNKNOWN + 1] = {0};
    for (unsigned i = 0; i < N_FRAMES; i++) {
        const char *text = i % 100 == 99 ? slow_text : i % 10 == 9 ? drop_text : result_text;
        struct proto_message m;
        must(proto_skim_message(text, strlen(text), &m) == 0, "a good reply was refused");
        n_of[m.kind]++;
    }
    must(n_of[PROTO_RESULT] == N_FRAMES * 9 / 10 && n_of[PROTO_SLOW_DOWN] == N_FRAMES / 100,
         "replies: not what they are");
}

/* --- judge: what streamload writes down of each frame --- */

#define N_CAMERAS 8

static const struct profile profile = {.name = "bench", .fps_milli = 30000, .size_bytes = 46000};

/* One in ten is dropped, one in a hundred has no word at all. */
static void hear(struct camera *c, struct book *b, uint64_t index, uint64_t sent_us)
{
    uint64_t took_us = 3000 + next_noise() % 40000;
    struct camera_frame f;
    struct proto_message m = {.kind = index % 10 == 9 ? PROTO_DROP : PROTO_RESULT,
                              .frame_index = index,
                              .has_timing = true,
                              .timing = {.wait_us = took_us / 4,
                                         .pipeline_us = took_us / 2,
                                         .server_us = took_us * 3 / 4},
                              .name = "late"};
    if (index % 100 == 50)
        return;
    must(camera_on_answer(c, b, &m, sent_us + took_us, &f), "an answer about no frame");
}

static void run_judge(void)
{
    static struct book b;
    struct camera camera[N_CAMERAS];
    must(book_init(&b, 1, 1000000, BUDGET_US) == 0, "out of memory");
    for (uint32_t k = 0; k < N_CAMERAS; k++)
        camera_init(&camera[k], k, 0, &profile, k * FRAME_US / N_CAMERAS);
    for (uint64_t i = 0; i < N_FRAMES; i++) {
        struct camera *c = &camera[i % N_CAMERAS];
        uint64_t due_us = camera_next_due_us(c);
        camera_expire(c, &b, 1000000, due_us);
        camera_queue(c, &b, due_us + 100);
        camera_on_sent(c, &b, FRAME_BYTES, due_us + 300);
        hear(c, &b, i / N_CAMERAS, due_us + 300);
    }
    for (uint32_t k = 0; k < N_CAMERAS; k++) {
        camera_on_disconnect(&camera[k], &b, 60000000);
        camera_finish(&camera[k], &b);
        camera_deinit(&camera[k]);
    }
    const uint64_t *count = b.record.part[0].count;
    must(!b.out_of_memory && count[RECORD_ANSWERED] > N_FRAMES * 8 / 10 &&
             count[RECORD_UNANSWERED] > 0 && count[RECORD_DUE] == count[RECORD_SENT],
         "judge: the record is not right");
    book_deinit(&b);
}

/* --- verdict: how a run ends: gates, a comparison of ten runs with ten, the file --- */

static struct report report;

static void prepare_verdict(void)
{
    sample_report(&report, 7, 20, 12);
}

static void compare_runs(void)
{
    struct compare_limits limits;
    struct compare_verdict v[COMPARE_LIMITS_MAX];
    double before[10], now[10];
    must(compare_parse_limits(&limits, compare_default_limits(10, 10), NULL) == 0,
         "the default limits are not understood");
    for (size_t i = 0; i < limits.n; i++) {
        for (size_t k = 0; k < 10; k++) {
            before[k] = 20000 + next_noise() % 900;
            now[k] = 30000 + next_noise() % 900;
        }
        compare_judge(&limits.item[i], before, 10, now, 10, &v[i]);
    }
    must(compare_conclude(v, limits.n), "verdict: what is half as slow again is not seen");
}

static void run_verdict(void)
{
    struct text t = text_heap((size_t)64 << 20);
    for (unsigned i = 0; i < 20; i++)
        must(verdict_of(&report) == EXIT_GATE, "verdict: not that of the sample");
    compare_runs();
    report_json_write(&t, &report);
    must(!t.cut && t.len > 10000, "verdict: the report is not whole");
    text_deinit(&t);
}

/* --- governor: with its pace, beside a server that does 20 of 30 frames a second --- */

static void run_governor(void)
{
    struct follow f;
    uint64_t now_us = 1000000, free_us = 0;
    unsigned n_taken = 0, n_dropped = 0;
    follow_init(&f, 30000, BUDGET_US);
    for (unsigned i = 0; i < N_FRAMES; i++, now_us += FRAME_US) {
        struct proto_message m = {.kind = PROTO_RESULT, .has_timing = true};
        if (!follow_takes(&f, now_us))
            continue;
        n_taken++;
        uint64_t begin_us = free_us > now_us ? free_us : now_us;
        m.timing.wait_us = begin_us - now_us;
        if (m.timing.wait_us > BUDGET_US) {
            m.kind = PROTO_DROP;
            n_dropped++;
        } else {
            free_us = begin_us + 50000;
        }
        m.timing.server_us = m.timing.wait_us + 50000;
        follow_on_answer(&f, &m, now_us, now_us, now_us + m.timing.server_us);
    }
    must(n_taken > N_FRAMES / 2 && n_taken < N_FRAMES * 8 / 10 && n_dropped < n_taken / 5,
         "governor: it does not follow");
}

/* --- motion, face: grey pictures, decoded already --- */

#define GRID_W     80
#define GRID_H     60
#define N_PICTURES 64

static uint8_t grid[N_PICTURES][GRID_H * GRID_W];

static void prepare_motion(void)
{
    for (unsigned n = 0; n < N_PICTURES; n++) {
        for (unsigned i = 0; i < GRID_W * GRID_H; i++)
            grid[n][i] = (uint8_t)(60 + i % GRID_W + next_noise() % 8);
        for (unsigned y = 0; y < 12; y++) /* two that walk */
            memset(grid[n] + (10 + y) * GRID_W + n, 220, 8);
        for (unsigned y = 0; y < 9; y++)
            memset(grid[n] + (40 + y) * GRID_W + 70 - n, 20, 6);
    }
}

static void run_motion(void)
{
    static const struct motion_tuning usual = {.threshold = 20, .min_area = 0.001};
    struct motion_model *m = motion_model_new(GRID_W, GRID_H);
    struct motion_seen seen;
    size_t n_boxes = 0;
    must(m != NULL, "out of memory");
    for (unsigned n = 0; n < 100; n++) {
        motion_model_see(m, grid[n % N_PICTURES], &usual, &seen);
        n_boxes += seen.n_boxes;
    }
    motion_model_free(m);
    must(n_boxes > 150, "motion: what walks is not seen");
}

#define FACE_W 320
#define FACE_H 240

static struct cascade *cascade;
static struct pattern picture;

static void prepare_face(void)
{
    static const char path[] = "/usr/share/opencv4/lbpcascades/lbpcascade_frontalface_improved.xml";
    static char xml[1 << 20];
    static uint8_t planes[2 * FACE_W * FACE_H];
    FILE *file = fopen(path, "rbe");
    if (!file) {
        fprintf(stderr, "no %s here (Debian: apt-get install opencv-data)\n", path);
        exit(NOT_HERE);
    }
    size_t n = fread(xml, 1, sizeof xml, file);
    fclose(file);
    must(cascade_load(&cascade, xml, n, NULL) == 0, "face: the cascade cannot be read");
    picture = pattern_over(planes, FACE_W, FACE_H);
    pattern_draw_background(&picture);
    for (unsigned i = 0; i < FACE_W * FACE_H; i++)
        picture.plane[0][i] = (uint8_t)(picture.plane[0][i] / 2 + next_noise() % 64);
}

static void run_face(void)
{
    static const struct face_tuning usual = {.step = FACE_STEP_USUAL,
                                             .min_neighbours = FACE_NEIGHBOURS_USUAL};
    struct face_finder *f = face_finder_new(cascade, FACE_W * FACE_H);
    struct face_picture p = {picture.plane[0], FACE_W, FACE_H, (size_t)picture.stride[0]};
    struct face_seen seen;
    must(f != NULL, "out of memory");
    for (unsigned i = 0; i < 2; i++)
        must(face_finder_see(f, &p, &usual, &seen, NULL) == 0, "face: the picture is refused");
    face_finder_free(f);
}

/* --- mask: a frame as streamload sends it; raw: a camera's pixels before they are encoded --- */

static void run_mask(void)
{
    static uint8_t out[FRAME_BYTES + 64];
    uint32_t key = 0x5eed1234;
    for (unsigned i = 0; i < 200; i++)
        must(wsframe_write(out, jpeg, FRAME_BYTES, 0, &key) > FRAME_BYTES, "mask: too short");
    must((out[8] ^ jpeg[0]) == 0x34, "mask: not with the key");
}

#define RAW_W 640
#define RAW_H 480

static uint8_t yuyv[2 * RAW_W * RAW_H];

static void prepare_raw(void)
{
    for (size_t i = 0; i < sizeof yuyv; i++)
        yuyv[i] = (uint8_t)next_noise();
}

static void run_raw(void)
{
    struct raw_scratch scratch = {0};
    struct raw_planes planes;
    struct raw raw;
    struct raw_memory m = {.fourcc = V4L2_PIX_FMT_YUYV,
                           .width = RAW_W,
                           .height = RAW_H,
                           .n = 1,
                           .at = {yuyv},
                           .n_bytes = {2 * RAW_W * RAW_H}};
    must(raw_lay_out(&raw, &m), "raw: the picture is refused");
    for (unsigned i = 0; i < 10; i++)
        must(raw_to_planes(&raw, 0, &scratch, &planes), "out of memory");
    must(planes.width == RAW_W && planes.height == RAW_H, "raw: another size");
    raw_scratch_deinit(&scratch);
}

/* --- which --- */

static const struct scenario {
    const char *name;
    void (*prepare)(void); /* not counted */
    void (*run)(void);     /* run_NAME */
} scenarios[] = {
    {"frames", prepare_frames, run_frames},
    {"answers", NULL, run_answers},
    {"split_plain", prepare_split_plain, run_split_plain},
    {"split_lengths", prepare_split_lengths, run_split_lengths},
    {"replies", NULL, run_replies},
    {"judge", NULL, run_judge},
    {"verdict", prepare_verdict, run_verdict},
    {"governor", NULL, run_governor},
    {"motion", prepare_motion, run_motion},
    {"face", prepare_face, run_face},
    {"mask", make_jpeg, run_mask},
    {"raw", prepare_raw, run_raw},
};

#define N_SCENARIOS (sizeof scenarios / sizeof scenarios[0])

int main(int argc, char **argv)
{
    for (size_t i = 0; i < N_SCENARIOS; i++) {
        if (argc < 2) {
            puts(scenarios[i].name);
        } else if (strcmp(argv[1], scenarios[i].name) == 0) {
            if (scenarios[i].prepare)
                scenarios[i].prepare();
            scenarios[i].run();
            return 0;
        }
    }
    if (argc == 2 && strcmp(argv[1], "made-by") == 0)
        printf("compiler %s, libc %s\n", __VERSION__, gnu_get_libc_version());
    else if (argc > 1)
        return 2;
    return 0;
}
