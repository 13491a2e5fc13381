#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <turbojpeg.h>

#include "server/decode.h"
#include "server/pipeline.h"

#define N(array)     (sizeof(array) / sizeof((array)[0]))
#define LONGEST_NAME "012345678901234567890123456789012345678901234567890123456789012"

static void refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *says, *and_knows;
    } rows[] = {
        {"", "no '='", "motion"},
        {"door", "no '='", "null, delay, spin, inspect, motion"},
        {"=delay", "name is empty", "NAME=KIND"},
        {LONGEST_NAME "3=null", "longer than 63 bytes", "NAME=KIND"},
        {"a\nb=null", "control character", "NAME=KIND"},
        {"a\x7f=null", "control character", "NAME=KIND"},
        {"door=", "unknown kind ''", "motion"},
        {"door=motio", "unknown kind 'motio'", "motion"},
        {"door=motion2:threshold=3", "unknown kind 'motion2'", "motion"},
        {"door=motion:", "is not key=value", "min_area (0 to 1)"},
        {"door=motion:threshold", "'threshold' is not key=value", "threshold (1 to 254)"},
        {"door=motion:threshold=20,", "is not key=value", "threshold (1 to 254)"},
        {"slow=delay:s=1", "unknown key 's'", "ms (0 to 60000), jitter_ms (0 to 60000)"},
        {"slow=delay:ms2=1", "unknown key 'ms2'", "ms (0 to 60000)"},
        {"slow=delay:=1", "unknown key ''", "ms (0 to 60000)"},
        {"slow=delay:ms=", "ms: '' is not a number", "ms (0 to 60000)"},
        {"slow=delay:ms=abc", "ms: 'abc' is not a number", "ms (0 to 60000)"},
        {"slow=delay:ms=1x", "ms: '1x' is not a number", "ms (0 to 60000)"},
        {"slow=delay:ms=nan", "ms: ", "ms (0 to 60000)"},
        {"slow=delay:ms=-1", "ms: ", "ms (0 to 60000)"},
        {"slow=delay:ms=60001", "60001 is out of range", "ms (0 to 60000)"},
        {"slow=delay:ms=1,jitter_ms=1e9", "jitter_ms: ", "jitter_ms (0 to 60000)"},
        {"slow=delay:slow_share=1.01", "slow_share: ", "slow_share (0 to 1)"},
        {"slow=delay:slow_share=-0.1", "slow_share: ", "slow_share (0 to 1)"},
        {"slow=delay:first_ms=60001", "first_ms: ", "first_ms (0 to 60000)"},
        {"slow=delay:slow_ms=x", "slow_ms: 'x' is not a number", "slow_ms (0 to 60000)"},
        {"none=null:ms=1", "unknown key 'ms'", "null takes no parameters"},
        {"all=null+a\nb\x1b[1m", "no pipeline 'a?b?[1m'", ""},
        {"all=null+inspect+", "no pipeline ''", "parts come before the whole"},
        {"all=null+inspect:motion", "'motion' is not key=value", "chain takes parts"},
        {"all=null+inspect:parts=motion", "unknown key 'parts'", "chain takes parts"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct pipeline_set set;
        struct err e = {.text = ""};
        int rc = pipeline_set_init(&set, &rows[i].spec, 1, &e);
        if (rc != -EXIT_USAGE || !strstr(e.text, rows[i].says) ||
            !strstr(e.text, rows[i].and_knows) || strpbrk(e.text, "\n\x1b\x7f"))
            fail_msg("'%s' gave %d: %s", rows[i].spec, rc, e.text);
        pipeline_set_deinit(&set);
    }
}

static void names_the_text_it_refuses(void **state)
{
    (void)state;
    const char *specs[] = {"good=null", "door=gate"};
    struct pipeline_set set;
    struct err e;
    assert_int_equal(pipeline_set_init(&set, specs, N(specs), &e), -EXIT_USAGE);
    assert_non_null(strstr(e.text, "'door=gate'"));
    pipeline_set_deinit(&set);
}

static void has_every_kind_under_its_own_name_with_its_defaults(void **state)
{
    (void)state;
    struct pipeline_set set;
    assert_int_equal(pipeline_set_init(&set, NULL, 0, NULL), 0);
    for (size_t i = 0; pipeline_kinds[i]; i++) {
        const struct pipeline *p = pipeline_find(&set, pipeline_kinds[i]->name);
        if (!p) { /* it has to be told something, or a file of its is not installed */
            assert_true(pipeline_kinds[i]->text_is_rest || pipeline_kinds[i]->text_default);
            continue;
        }
        assert_ptr_equal(p->kind, pipeline_kinds[i]);
        for (size_t k = 0; k < p->kind->n_params; k++)
            assert_true(p->param[k] == p->kind->params[k].def);
    }
    assert_null(pipeline_find(&set, "door"));
    assert_null(pipeline_find(&set, ""));
    pipeline_set_deinit(&set);
}

static void sets_the_parameters_asked_for_and_no_others(void **state)
{
    (void)state;
    const char *specs[] = {
        "a=delay:ms=40,jitter_ms=2.5", "c=delay:slow_share=0.05,first_ms=40,slow_ms=60",
        "b=motion:min_area=0.01",      "caf\xc3\xa9 2=spin:ms=3",
        LONGEST_NAME "=null",
    };
    struct pipeline_set set;
    assert_int_equal(pipeline_set_init(&set, specs, N(specs), NULL), 0);
    const struct pipeline *a = pipeline_find(&set, "a");
    assert_ptr_equal(a->kind, &pipeline_delay);
    assert_true(a->param[0] == 40 && a->param[1] == 2.5);
    const struct pipeline *c = pipeline_find(&set, "c"); /* ms, jitter_ms, first_ms, ... */
    assert_true(c->param[0] == 10 && c->param[1] == 0 && c->param[2] == 40);
    assert_true(c->param[3] == 60 && c->param[4] == 0.05);
    const struct pipeline *b = pipeline_find(&set, "b");
    assert_true(b->param[0] == 20 && b->param[1] == 0.01);
    assert_true(pipeline_find(&set, "caf\xc3\xa9 2")->param[0] == 3);
    assert_non_null(pipeline_find(&set, LONGEST_NAME));
    pipeline_set_deinit(&set);
}

static void lets_a_later_pipeline_replace_an_earlier_one_of_its_name(void **state)
{
    (void)state;
    const char *specs[] = {"null=delay:ms=1", "x=null", "x=delay:ms=7"};
    struct pipeline_set set;
    assert_int_equal(pipeline_set_init(&set, specs, N(specs), NULL), 0);
    assert_ptr_equal(pipeline_find(&set, "null")->kind, &pipeline_delay);
    assert_true(pipeline_find(&set, "x")->param[0] == 7);
    size_t n_found = 0;
    for (size_t i = 0; i < set.n; i++)
        n_found += !strcmp(set.item[i].name, "null") || !strcmp(set.item[i].name, "x");
    assert_int_equal(n_found, 2);
    pipeline_set_deinit(&set);
}

static void those_that_wait_or_leave_frames_out_are_uneven(void **state)
{
    (void)state;
    const char *specs[] = {"quick=null",       "seldom=motion:every=2", "other=unix:/nonexistent",
                           "mixed=null+other", "pauses=null+seldom",    "plain=motion+null"};
    const bool uneven[] = {false, true, true, true, true, false};
    struct pipeline_set set;
    assert_int_equal(pipeline_set_init(&set, specs, N(specs), NULL), 0);
    for (size_t i = 0; i < N(specs); i++) {
        const struct pipeline *p = &set.item[set.n - N(specs) + i];
        if (pipeline_is_uneven(p) != uneven[i])
            fail_msg("%s", specs[i]);
    }
    pipeline_set_deinit(&set);
}

static const char *str_of(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static void lists_name_kind_summary_and_parameters_as_json(void **state)
{
    (void)state;
    const char *specs[] = {"the \"door\"=motion:min_area=0.0125"};
    struct pipeline_set set;
    struct text out = text_heap(65536);
    assert_int_equal(pipeline_set_init(&set, specs, N(specs), NULL), 0);
    pipeline_set_json(&set, &out);
    cJSON *root = cJSON_Parse(text_str(&out));
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "pipelines");
    assert_int_equal(cJSON_GetArraySize(list), set.n);
    const cJSON *null = cJSON_GetArrayItem(list, 0);
    assert_string_equal(str_of(null, "name"), "null");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(null, "params")), 0);
    const cJSON *door = cJSON_GetArrayItem(list, (int)set.n - 1);
    assert_string_equal(str_of(door, "name"), "the \"door\"");
    assert_string_equal(str_of(door, "kind"), "motion");
    assert_string_equal(str_of(door, "summary"), pipeline_motion.summary);
    assert_string_equal(str_of(door, "format"), "gray");
    assert_string_equal(str_of(door, "source"), "built-in");
    assert_string_equal(str_of(door, "state"), "ready");
    assert_null(cJSON_GetObjectItem(door, "model"));
    const cJSON *params = cJSON_GetObjectItem(door, "params");
    assert_true(cJSON_GetObjectItem(params, "threshold")->valuedouble == 20);
    assert_true(cJSON_GetObjectItem(params, "min_area")->valuedouble == 0.0125);
    cJSON_Delete(root);
    text_deinit(&out);
    pipeline_set_deinit(&set);
}

/* Runs one frame through a new session of spec; the result's text goes into out. */
static int run_once(const char *spec, const uint8_t *jpeg, size_t n_bytes, struct text *out)
{
    struct pipeline_set set;
    assert_int_equal(pipeline_set_init(&set, &spec, 1, NULL), 0);
    const struct pipeline *p = pipeline_find(&set, "x");
    void *session = p->kind->session_new ? p->kind->session_new(p) : NULL;
    struct json j = json_to(out);
    json_object_begin(&j, NULL);
    int rc = p->kind->process(p, session,
                              &(struct pipeline_frame){.jpeg = jpeg, .jpeg_bytes = n_bytes}, &j);
    json_object_end(&j);
    if (p->kind->session_free)
        p->kind->session_free(session);
    pipeline_set_deinit(&set);
    return rc;
}

static const uint8_t shortest[] = {0xff, 0xd8, 0xff, 0xd9};

static void null_delay_and_spin_add_nothing_to_the_result(void **state)
{
    (void)state;
    static const char *const specs[] = {"x=null", "x=delay:ms=0", "x=delay:ms=0,jitter_ms=0.1",
                                        "x=spin:ms=0"};
    for (size_t i = 0; i < N(specs); i++) {
        struct text out = text_heap(1024);
        assert_int_equal(run_once(specs[i], shortest, sizeof shortest, &out), 0);
        assert_string_equal(text_str(&out), "{}");
        text_deinit(&out);
    }
}

static double read_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Only the lower bound holds on every machine. */
static void delay_takes_at_least_its_time_and_spin_its_cpu(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        clockid_t clock;
    } rows[] = {{"x=delay:ms=2", CLOCK_MONOTONIC}, {"x=spin:ms=2", CLOCK_THREAD_CPUTIME_ID}};
    for (size_t i = 0; i < N(rows); i++) {
        struct text out = text_heap(1024);
        double before_ms = read_ms(rows[i].clock);
        assert_int_equal(run_once(rows[i].spec, shortest, sizeof shortest, &out), 0);
        assert_true(read_ms(rows[i].clock) - before_ms >= 2);
        text_deinit(&out);
    }
}

/* Runs frames of one session of spec from frame_index `first` on; what the fastest of them
 * took. What is asked for on top is far more than any machine needs for nothing. */
static double fastest_ms(const char *spec, uint64_t first, unsigned n_frames)
{
    struct pipeline_set set;
    struct text out = text_heap(1024);
    struct json j = json_to(&out);
    double fastest = 1e9;
    assert_int_equal(pipeline_set_init(&set, &spec, 1, NULL), 0);
    const struct pipeline *p = pipeline_find(&set, "x");
    void *session = p->kind->session_new(p);
    for (uint64_t index = first; index < first + n_frames; index++) {
        struct pipeline_frame frame = {
            .jpeg = shortest, .jpeg_bytes = sizeof shortest, .index = index};
        double before_ms = read_ms(CLOCK_MONOTONIC);
        assert_int_equal(p->kind->process(p, session, &frame, &j), 0);
        double took_ms = read_ms(CLOCK_MONOTONIC) - before_ms;
        fastest = took_ms < fastest ? took_ms : fastest;
    }
    p->kind->session_free(session);
    text_deinit(&out);
    pipeline_set_deinit(&set);
    return fastest;
}

static void delay_can_be_slow_first_or_now_and_then(void **state)
{
    (void)state;
    assert_true(fastest_ms("x=delay:ms=0,first_ms=20", 0, 1) >= 20);
    assert_true(fastest_ms("x=delay:ms=0,first_ms=20", 1, 50) < 20);
    assert_true(fastest_ms("x=delay:ms=1,first_ms=2,slow_ms=3,slow_share=1", 0, 1) >= 6);
    assert_true(fastest_ms("x=delay:ms=0,slow_ms=4,slow_share=1", 0, 5) >= 4);
    assert_true(fastest_ms("x=delay:ms=0,slow_ms=20,slow_share=0", 0, 50) < 20);
    assert_true(fastest_ms("x=delay:ms=0,slow_ms=20,slow_share=0.05", 0, 50) < 20);
}

/* A sixteenth of 4000 frames: 250, give or take 15. */
static void delay_is_slow_for_the_share_that_was_asked_for(void **state)
{
    (void)state;
    const char *spec = "x=delay:ms=0,slow_ms=0.2,slow_share=0.0625";
    struct pipeline_set set;
    struct text out = text_heap(1024);
    struct json j = json_to(&out);
    unsigned n_slow = 0;
    assert_int_equal(pipeline_set_init(&set, &spec, 1, NULL), 0);
    const struct pipeline *p = pipeline_find(&set, "x");
    void *session = p->kind->session_new(p);
    struct pipeline_frame frame = {.jpeg = shortest, .jpeg_bytes = sizeof shortest};
    for (frame.index = 0; frame.index < 4000; frame.index++) {
        double before_ms = read_ms(CLOCK_MONOTONIC);
        p->kind->process(p, session, &frame, &j);
        n_slow += read_ms(CLOCK_MONOTONIC) - before_ms >= 0.2;
    }
    p->kind->session_free(session);
    text_deinit(&out);
    pipeline_set_deinit(&set);
    assert_in_range(n_slow, 250 - 6 * 15, 4000); /* a busy machine only adds to them */
}

static void inspect_tells_what_the_headers_say(void **state)
{
    (void)state;
    static const struct {
        int width, height, subsampling, flags;
        const char *result;
    } rows[] = {
        {48, 32, TJSAMP_422, 0,
         "{\"width\":48,\"height\":32,\"components\":3,\"subsampling\":\"4:2:2\","
         "\"progressive\":false,\"restart_interval\":0,\"bytes\":"},
        {17, 33, TJSAMP_420, TJFLAG_PROGRESSIVE,
         "{\"width\":17,\"height\":33,\"components\":3,\"subsampling\":\"4:2:0\","
         "\"progressive\":true,\"restart_interval\":0,\"bytes\":"},
        {8, 8, TJSAMP_GRAY, 0,
         "{\"width\":8,\"height\":8,\"components\":1,\"subsampling\":\"grey\","
         "\"progressive\":false,\"restart_interval\":0,\"bytes\":"},
    };
    static const uint8_t pixels[48 * 48 * 3];
    tjhandle encoder = tjInitCompress();
    for (size_t i = 0; i < N(rows); i++) {
        unsigned char *jpeg = NULL;
        unsigned long n_bytes = 0;
        assert_int_equal(tjCompress2(encoder, pixels, rows[i].width, 0, rows[i].height, TJPF_RGB,
                                     &jpeg, &n_bytes, rows[i].subsampling, 80, rows[i].flags),
                         0);
        struct text out = text_heap(1024), want = text_heap(1024);
        assert_int_equal(run_once("x=inspect", jpeg, n_bytes, &out), 0);
        text_addf(&want, "%s%lu}", rows[i].result, n_bytes);
        assert_string_equal(text_str(&out), text_str(&want));
        text_deinit(&out);
        text_deinit(&want);
        tjFree(jpeg);
    }
    tjDestroy(encoder);
}

static void inspect_fails_on_a_picture_without_a_header(void **state)
{
    (void)state;
    struct text out = text_heap(1024);
    assert_int_equal(run_once("x=inspect", shortest, sizeof shortest, &out), -1);
    text_deinit(&out);
}

/* How often a frame is decoded by the pipeline x of these. */
static unsigned n_decoded(const char *const *specs, size_t n)
{
    static uint8_t pixels[640 * 480];
    struct pipeline_set set;
    struct text out = text_heap(65536);
    struct json j = json_to(&out);
    struct decode decode = {0};
    unsigned char *jpeg = NULL;
    unsigned long n_bytes = 0;
    void *session;
    tjhandle encoder = tjInitCompress();
    assert_int_equal(
        tjCompress2(encoder, pixels, 640, 0, 480, TJPF_GRAY, &jpeg, &n_bytes, TJSAMP_GRAY, 80, 0),
        0);
    tjDestroy(encoder);
    assert_int_equal(pipeline_set_init(&set, specs, n, NULL), 0);
    const struct pipeline *p = pipeline_find(&set, "x");
    assert_int_equal(pipeline_session_new(p, &session), 0);
    decode_begin(&decode, jpeg, n_bytes, 0);
    struct pipeline_frame f = {.jpeg = jpeg, .jpeg_bytes = n_bytes, .decode = &decode};
    assert_int_equal(pipeline_process(p, session, &f, &j), 0);
    unsigned found = decode.n_decoded;
    pipeline_session_free(p, session);
    pipeline_set_deinit(&set);
    decode_deinit(&decode);
    text_deinit(&out);
    tjFree(jpeg);
    return found;
}

static void parts_of_a_chain_share_the_picture(void **state)
{
    (void)state;
    const char *alike[] = {"a=motion", "b=motion:threshold=40", "x=a+inspect+b+motion"};
    assert_int_equal(n_decoded(alike, N(alike)), 1);
    const char *none[] = {"x=inspect+null"};
    assert_int_equal(n_decoded(none, N(none)), 0);
#ifdef HAVE_APRILTAG
    const char *unlike[] = {"x=motion+apriltag"};
    assert_int_equal(n_decoded(unlike, N(unlike)), 2);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_it_does_not_understand),
        cmocka_unit_test(names_the_text_it_refuses),
        cmocka_unit_test(has_every_kind_under_its_own_name_with_its_defaults),
        cmocka_unit_test(sets_the_parameters_asked_for_and_no_others),
        cmocka_unit_test(lets_a_later_pipeline_replace_an_earlier_one_of_its_name),
        cmocka_unit_test(those_that_wait_or_leave_frames_out_are_uneven),
        cmocka_unit_test(lists_name_kind_summary_and_parameters_as_json),
        cmocka_unit_test(null_delay_and_spin_add_nothing_to_the_result),
        cmocka_unit_test(delay_takes_at_least_its_time_and_spin_its_cpu),
        cmocka_unit_test(delay_can_be_slow_first_or_now_and_then),
        cmocka_unit_test(delay_is_slow_for_the_share_that_was_asked_for),
        cmocka_unit_test(inspect_tells_what_the_headers_say),
        cmocka_unit_test(inspect_fails_on_a_picture_without_a_header),
        cmocka_unit_test(parts_of_a_chain_share_the_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
