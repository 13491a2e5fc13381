#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* While a test captures, standard error is a pipe. */
struct capture {
    int stderr_fd, pipe[2];
};

static struct capture capture_begin(void)
{
    struct capture c = {.stderr_fd = dup(STDERR_FILENO)};
    assert_int_equal(pipe2(c.pipe, O_NONBLOCK), 0);
    dup2(c.pipe[1], STDERR_FILENO);
    return c;
}

/* Gives everything that was written since; the bytes are terminated. */
static size_t capture_end(struct capture *c, char *bytes, size_t cap)
{
    dup2(c->stderr_fd, STDERR_FILENO);
    close(c->stderr_fd);
    ssize_t n = read(c->pipe[0], bytes, cap - 1);
    close(c->pipe[0]);
    close(c->pipe[1]);
    bytes[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* One line with one text in it. */
static size_t write_value(enum log_format format, const char *value, size_t value_n, char *bytes,
                          size_t cap)
{
    struct log_line l;
    struct capture c = capture_begin();
    log_setup(format, LOG_INFO);
    log_begin(&l, LOG_INFO, "test_event");
    log_str_n(&l, "key", value, value_n);
    log_end(&l);
    return capture_end(&c, bytes, cap);
}

/* What stands behind "TIME info test_event"; the time is checked and left out. */
static const char *behind_time(const char *line)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; shape[i]; i++) {
        bool is_digit = line[i] >= '0' && line[i] <= '9';
        assert_true(shape[i] == 'd' ? is_digit : line[i] == shape[i]);
    }
    return line + strlen(shape);
}

static void plain_words_stand_bare_and_others_in_quotes(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        size_t n;
        const char *text;
    } rows[] = {
        {"word", 4, "word"},
        {"127.0.0.1:8000", 14, "127.0.0.1:8000"},
        {"[::1]:8000", 10, "[::1]:8000"},
        {"a/b-c_d%e+f", 11, "a/b-c_d%e+f"},
        {"", 0, "\"\""},
        {"two words", 9, "\"two words\""},
        {"a=b", 3, "\"a=b\""},
        {"say \"hi\"", 8, "\"say \\\"hi\\\"\""},
        {"\\", 1, "\"\\\\\""},
        {"a\nb\r", 4, "\"a\\nb\\r\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\0", 1, "\"\\u0000\""},
        {"\x1b[31m", 5, "\"\\u001b[31m\""},
        {"\xc3\xa4", 2, "\"\xc3\xa4\""},
        {"\xff", 1, "\"\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char line[500], want[200];
        struct text w = text_fixed(want, sizeof want);
        text_addf(&w, "info test_event key=%s\n", rows[i].text);
        write_value(LOG_TEXT, rows[i].value, rows[i].n, line, sizeof line);
        assert_string_equal(behind_time(line), want);
    }
}

static void numbers_and_texts_make_one_line(void **state)
{
    (void)state;
    struct log_line l;
    char line[500];
    struct capture c = capture_begin();
    log_setup(LOG_TEXT, LOG_INFO);
    log_begin(&l, LOG_ERROR, "stream_disconnect");
    log_u64(&l, "frames", UINT64_MAX);
    log_num(&l, "rate", 0.25, 3);
    log_str(&l, "reason", "peer");
    log_end(&l);
    capture_end(&c, line, sizeof line);
    assert_string_equal(behind_time(line), "error stream_disconnect "
                                           "frames=18446744073709551615 rate=0.250 reason=peer\n");
}

static void a_json_line_parses_and_has_every_member(void **state)
{
    (void)state;
    struct log_line l;
    char line[1000];
    struct capture c = capture_begin();
    log_setup(LOG_JSON, LOG_INFO);
    log_begin(&l, LOG_WARN, "stream_error");
    log_str_n(&l, "detail", "a \"b\"\n\0\xff", 8);
    log_u64(&l, "frames", 42);
    log_num(&l, "rate", NAN, 3);
    log_end(&l);
    size_t n = capture_end(&c, line, sizeof line);
    assert_ptr_equal(memchr(line, '\n', n), line + n - 1);
    line[n - 1] = '\0';
    cJSON *o = cJSON_ParseWithOpts(line, NULL, 1);
    assert_non_null(o);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "level")), "warn");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "event_type")), "stream_error");
    assert_int_equal(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(o, "time"))), 24);
    assert_int_equal(cJSON_GetObjectItem(o, "frames")->valueint, 42);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "rate")));
    assert_memory_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "detail")), "a \"b\"\n", 6);
    cJSON_Delete(o);
}

static void any_bytes_make_one_json_line_that_parses(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 2000; round++) {
        char value[40], line[1000];
        for (size_t i = 0; i < sizeof value; i++) {
            random = random * 1664525u + 1013904223u;
            value[i] = (char)(random >> 24);
        }
        size_t n = write_value(LOG_JSON, value, (size_t)round % sizeof value, line, sizeof line);
        assert_ptr_equal(memchr(line, '\n', n), line + n - 1);
        cJSON *o = cJSON_ParseWithLength(line, n - 1);
        assert_true(cJSON_IsObject(o));
        cJSON_Delete(o);
    }
}

static void levels_below_the_least_are_not_written(void **state)
{
    (void)state;
    static const struct {
        enum log_level least, level;
        bool written;
    } rows[] = {
        {LOG_DEBUG, LOG_DEBUG, true}, {LOG_INFO, LOG_DEBUG, false}, {LOG_INFO, LOG_INFO, true},
        {LOG_WARN, LOG_INFO, false},  {LOG_WARN, LOG_WARN, true},   {LOG_ERROR, LOG_WARN, false},
        {LOG_ERROR, LOG_ERROR, true},
    };
    for (size_t i = 0; i < 2 * N(rows); i++) {
        struct log_line l;
        char line[500];
        struct capture c = capture_begin();
        log_setup(i % 2 ? LOG_JSON : LOG_TEXT, rows[i / 2].least);
        log_begin(&l, rows[i / 2].level, "event");
        log_str(&l, "a", "b");
        log_u64(&l, "c", 1);
        log_num(&l, "d", 1, 1);
        log_end(&l);
        assert_int_equal(capture_end(&c, line, sizeof line) > 0, rows[i / 2].written);
    }
}

/* Values of every size around the limit, each cut at another place. */
static void an_over_long_line_stays_one_line(void **state)
{
    (void)state;
    static char value[10000], line[20000];
    static const char *const kinds[] = {"x", "\n", "x\"", "x \xc3\xa4"};
    for (size_t i = 0; i < N(kinds); i++) {
        for (size_t k = 0; k < sizeof value; k++)
            value[k] = kinds[i][k % strlen(kinds[i])];
        for (size_t n = 0; n<sizeof value; n += n> 3900 && n < 4200 ? 1 : 97) {
            enum log_format format = n % 2 ? LOG_JSON : LOG_TEXT;
            size_t got = write_value(format, value, n, line, sizeof line);
            assert_in_range(got, 1, 4096);
            assert_ptr_equal(memchr(line, '\n', got), line + got - 1);
        }
    }
}

static void many_values_too_long_together_stay_one_line(void **state)
{
    (void)state;
    static char line[20000];
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        struct log_line l;
        struct capture c = capture_begin();
        log_setup((enum log_format)format, LOG_INFO);
        log_begin(&l, LOG_INFO, "event");
        for (unsigned i = 0; i < 1000; i++) {
            log_str(&l, "text", "some words of text");
            log_u64(&l, "number", i);
            log_num(&l, "real", i, 3);
        }
        log_end(&l);
        size_t n = capture_end(&c, line, sizeof line);
        assert_in_range(n, 4000, 4096);
        assert_ptr_equal(memchr(line, '\n', n), line + n - 1);
    }
}

#define N_THREADS 4
#define N_LINES   30 /* of 300 bytes each: the pipe has room for all of them */

static void *write_lines(void *letter)
{
    char word[251] = "";
    memset(word, *(char *)letter, sizeof word - 1);
    for (int i = 0; i < N_LINES; i++) {
        struct log_line l;
        log_begin(&l, LOG_INFO, "event");
        log_str(&l, "word", word);
        log_end(&l);
    }
    return NULL;
}

static void lines_of_several_threads_never_mix(void **state)
{
    (void)state;
    static char bytes[65536];
    char letters[] = "abcd";
    pthread_t thread[N_THREADS];
    unsigned n_lines = 0;
    log_setup(LOG_TEXT, LOG_INFO);
    struct capture c = capture_begin();
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, write_lines, &letters[i]), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(thread[i], NULL);
    capture_end(&c, bytes, sizeof bytes);
    for (char *line = strtok(bytes, "\n"); line; line = strtok(NULL, "\n"), n_lines++) {
        const char *word = strstr(behind_time(line), "word=") + 5;
        assert_int_equal(strlen(word), 250);
        assert_int_equal(strspn(word, (char[]){word[0], '\0'}), 250);
    }
    assert_int_equal(n_lines, N_THREADS * N_LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_words_stand_bare_and_others_in_quotes),
        cmocka_unit_test(numbers_and_texts_make_one_line),
        cmocka_unit_test(a_json_line_parses_and_has_every_member),
        cmocka_unit_test(any_bytes_make_one_json_line_that_parses),
        cmocka_unit_test(levels_below_the_least_are_not_written),
        cmocka_unit_test(an_over_long_line_stays_one_line),
        cmocka_unit_test(many_values_too_long_together_stay_one_line),
        cmocka_unit_test(lines_of_several_threads_never_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
