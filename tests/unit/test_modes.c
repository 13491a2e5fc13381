/* Which mode of a camera is taken, and the texts that ask for one. */
#include "cli/v4l2/modes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <linux/videodev2.h>
#include <string.h>

#include "cli/v4l2/camera.h"
#include "cli/v4l2/spec.h"

#define N(a)  (sizeof(a) / sizeof(a)[0])
#define MJPG  V4L2_PIX_FMT_MJPEG
#define YUYV  V4L2_PIX_FMT_YUYV
#define NV12  V4L2_PIX_FMT_NV12
#define GREY  V4L2_PIX_FMT_GREY
#define BAYER V4L2_PIX_FMT_SBGGR8

#define ONE(fourcc, w, h, fps)                                                                     \
    {                                                                                              \
        fourcc, w, w, 1, h, h, 1, fps, fps, 'd'                                                    \
    }
#define RANGE(fourcc, w0, w1, ws, h0, h1, hs, f0, f1)                                              \
    {                                                                                              \
        fourcc, w0, w1, ws, h0, h1, hs, f0, f1, 's'                                                \
    }

/* A usual webcam: raw only small and slow. */
static const struct mode webcam[] = {
    ONE(YUYV, 640, 480, 30),   ONE(YUYV, 640, 480, 15),  ONE(YUYV, 1280, 720, 10),
    ONE(MJPG, 640, 480, 30),   ONE(MJPG, 1280, 720, 60), ONE(MJPG, 1280, 720, 30),
    ONE(MJPG, 1920, 1080, 30),
};

static const struct mode raw_only[] = {
    ONE(BAYER, 640, 480, 60), ONE(GREY, 640, 480, 60), ONE(GREY, 640, 480, 30),
    ONE(YUYV, 640, 480, 30),  ONE(NV12, 640, 480, 30), ONE(NV12, 640, 480, 15),
};

static const struct mode stepwise[] = {
    RANGE(YUYV, 48, 1920, 16, 32, 1080, 8, 1, 60),
};

static const struct mode silent[] = {
    {YUYV, 1, 65536, 0, 1, 65536, 0, 0, 0, '?'},
};

static void the_nearest_mode_is_taken(void **state)
{
    static const struct {
        const struct mode *row;
        size_t n;
        struct mode_wish wish;
        struct mode_choice choice;
    } rows[] = {
#define ALL(a) a, N(a)
        {ALL(webcam), {0}, {MJPG, 640, 480, 30}},
        {ALL(webcam), {0, 1280, 720, 0}, {MJPG, 1280, 720, 30}},
        {ALL(webcam), {0, 1280, 720, 60}, {MJPG, 1280, 720, 60}},
        {ALL(webcam), {0, 1900, 1000, 0}, {MJPG, 1920, 1080, 30}},
        {ALL(webcam), {0, 0, 0, 60}, {MJPG, 1280, 720, 60}},
        {ALL(webcam), {YUYV, 0, 0, 0}, {YUYV, 640, 480, 30}},
        {ALL(webcam), {YUYV, 1280, 720, 30}, {YUYV, 1280, 720, 10}},
        {ALL(webcam), {YUYV, 0, 0, 15}, {YUYV, 640, 480, 15}},
        /* of raw ones what costs least at the rate; grey loses the colours */
        {ALL(raw_only), {0}, {NV12, 640, 480, 30}},
        {ALL(raw_only), {0, 0, 0, 60}, {GREY, 640, 480, 60}},
        {ALL(raw_only), {0, 0, 0, 15}, {NV12, 640, 480, 15}},
        {ALL(stepwise), {0, 1000, 700, 24.5}, {YUYV, 1008, 704, 24.5}},
        {ALL(stepwise), {0, 9999, 1, 100}, {YUYV, 1920, 32, 60}},
        {ALL(stepwise), {0}, {YUYV, 640, 480, 30}},
        {ALL(silent), {0, 800, 600, 20}, {YUYV, 800, 600, 0}},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct mode_choice c;
        assert_true(modes_choose(rows[i].row, rows[i].n, &rows[i].wish, &c));
        assert_string_equal(fourcc_text(c.fourcc).text, fourcc_text(rows[i].choice.fourcc).text);
        assert_int_equal(c.width, rows[i].choice.width);
        assert_int_equal(c.height, rows[i].choice.height);
        assert_true(c.fps == rows[i].choice.fps);
    }
}

static void what_cannot_be_sent_is_not_taken(void **state)
{
    struct mode_choice c;
    struct mode_wish no_wish = {0}, mjpg = {.fourcc = MJPG};
    (void)state;
    assert_false(modes_choose(raw_only, 1, &no_wish, &c)); /* Bayer */
    assert_false(modes_choose(raw_only, N(raw_only), &mjpg, &c));
    assert_false(modes_choose(NULL, 0, &no_wish, &c));
}

static void modes_are_listed_in_one_line(void **state)
{
    char bytes[200];
    struct text t = text_fixed(bytes, sizeof bytes);
    struct modes m = {(struct mode *)webcam, 4};
    (void)state;
    modes_list(&m, &t);
    assert_string_equal(bytes, "YUYV 640x480@30, 15; 1280x720@10; MJPG 640x480@30");
    text_clear(&t);
    m = (struct modes){(struct mode *)stepwise, 1};
    modes_list(&m, &t);
    assert_string_equal(bytes, "YUYV 1920x1080 and less@1-60");
}

static void cameras_are_named_in_many_ways(void **state)
{
    static const struct {
        const char *text;
        enum camera_by by;
        const char *name;
        struct mode_wish wish;
        int input;
    } rows[] = {
        {"/dev/video0", CAMERA_BY_PATH, "/dev/video0", {0}, -1},
        {"/dev/video2,size=1280x720,fps=29.97,format=mjpg,input=1",
         CAMERA_BY_PATH,
         "/dev/video2",
         {MJPG, 1280, 720, 29.97},
         1},
        {"/dev/v4l/by-id/usb-A,B-index0,format=MJPEG",
         CAMERA_BY_PATH,
         "/dev/v4l/by-id/usb-A,B-index0",
         {MJPG, 0, 0, 0},
         -1},
        {"v4l2:", CAMERA_ANY, "", {0}, -1},
        {"v4l2:size=640x480,format=auto", CAMERA_ANY, "", {0, 640, 480, 0}, -1},
        {"v4l2:card=HD Cam, rear,fps=15", CAMERA_BY_CARD, "HD Cam, rear", {0, 0, 0, 15}, -1},
        {"v4l2:bus=usb-0000:00:14.0-1", CAMERA_BY_BUS, "usb-0000:00:14.0-1", {0}, -1},
        {"v4l2:serial=SN=1,format=grey", CAMERA_BY_SERIAL, "SN=1", {GREY, 0, 0, 0}, -1},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct camera_spec s;
        assert_true(camera_spec_matches(rows[i].text));
        assert_int_equal(camera_spec_parse(&s, rows[i].text, NULL), 0);
        assert_int_equal(s.by, rows[i].by);
        assert_string_equal(s.text, rows[i].name);
        assert_memory_equal(&s.wish, &rows[i].wish, sizeof s.wish);
        assert_int_equal(s.input, rows[i].input);
    }
}

static void wrong_names_are_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"v4l2:name=x", "expected v4l2:card="},
        {"v4l2:card=", "expected v4l2:card="},
        {"/dev/video0,size=0x480", "expected WIDTHxHEIGHT"},
        {"/dev/video0,size=640", "expected WIDTHxHEIGHT"},
        {"/dev/video0,size=640x70000", "expected WIDTHxHEIGHT"},
        {"/dev/video0,fps=0", "expected a rate"},
        {"/dev/video0,fps=nan", "expected a rate"},
        {"/dev/video0,format=h264", "not one of"},
        {"/dev/video0,format=", "four letters"},
        {"/dev/video0,format=toolong", "four letters"},
        {"/dev/video0,input=-1", "0 to 255"},
        {"/dev/video0,input=x", "0 to 255"},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct camera_spec s;
        struct err e;
        assert_int_equal(camera_spec_parse(&s, rows[i].text, &e), -EXIT_USAGE);
        assert_non_null(strstr(e.text, rows[i].says));
    }
    char long_text[400] = "/dev/";
    memset(long_text + 5, 'x', sizeof long_text - 6);
    struct camera_spec s;
    assert_int_equal(camera_spec_parse(&s, long_text, NULL), -EXIT_USAGE);
    assert_false(camera_spec_matches("http://dev/video0"));
    assert_false(camera_spec_matches("test:"));
}

static void what_is_not_found_leaves_no_descriptor(void **state)
{
    struct camera_spec s = {.by = CAMERA_BY_SERIAL, .text = "no such serial number", .input = -1};
    struct camera_options o = {.converts = false};
    struct camera c;
    (void)state;
    assert_int_equal(camera_open(&c, &s, &o, NULL), -EXIT_UNREACHABLE);
    assert_int_equal(c.device.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_mode_is_taken),
        cmocka_unit_test(what_cannot_be_sent_is_not_taken),
        cmocka_unit_test(modes_are_listed_in_one_line),
        cmocka_unit_test(cameras_are_named_in_many_ways),
        cmocka_unit_test(wrong_names_are_refused),
        cmocka_unit_test(what_is_not_found_leaves_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
