#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "cli/source_file.h"
#include "tests/unit/source_seen.h"

/* ---- matching ---- */

static void text_finds_its_kind(void **state)
{
    static const struct {
        const char *spec;
        const struct source_kind *kind;
    } rows[] = {
        {"http://cam/", &source_http},
        {"HTTPS://cam/", &source_http},
        {"test:", &source_test},
        {"test:640x480@30", &source_test},
        {"-", &source_stdin},
        {"missing.jpg", &source_file},
        {"missing.JPEG", &source_file},
        {"missing.mjpeg", &source_file},
        {"./missing", &source_file},
        {"/", &source_file},
        {"foo:bar", NULL},
        {"rtsp://cam/x.jpg", NULL},
        {"missing", NULL},
        {"", NULL},
        {"--", NULL},
        {".jpg", NULL},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        const struct source_kind *const *k = source_kinds;
        while (*k && !(*k)->matches(rows[i].spec))
            k++;
        if (*k != rows[i].kind)
            fail_msg("\"%s\" is taken by %s", rows[i].spec, *k ? (*k)->name : "nobody");
    }
}

static void text_that_no_kind_takes_is_refused_with_what_is_possible(void **state)
{
    struct seen *s = *state;
    assert_int_equal(open_source(s, "foo:bar"), -EXIT_USAGE);
    assert_null(s->source);
    for (const struct source_kind *const *k = source_kinds; *k; k++)
        assert_non_null(strstr(s->why.text, (*k)->spec));
    assert_non_null(strstr(s->why.text, "foo:bar"));
    assert_int_equal(open_source(s, "rtsp://user:secret@cam/"), -EXIT_USAGE);
    assert_null(strstr(s->why.text, "secret"));
}

static void display_hides_credentials_and_nothing_else(void **state)
{
    static const struct {
        const char *spec, *shown;
    } rows[] = {
        {"http://cam/video", "http://cam/video"},
        {"http://user:pass@cam/", "http://***@cam/"},
        {"https://user@cam:8443/x", "https://***@cam:8443/x"},
        {"http://u:p%40ss@cam/", "http://***@cam/"},
        {"http://u:p@ss@cam/", "http://***@cam/"},
        {"http://u:p/ss@cam/", "http://***@cam/"},
        {"http://u:p?ss#@cam/", "http://***@cam/"},
        {"http://u:a@b/c@cam/", "http://***@cam/"},
        {"http://u:p:@:@cam/", "http://***@cam/"},
        {"http://:@cam/", "http://***@cam/"},
        {"http://user:pass@[::1]:80/", "http://***@[::1]:80/"},
        {"rtsp://user:pass@cam/", "rtsp://***@cam/"},
        {"user:pass@cam/video", "***@cam/video"},
        {"http://cam/mail/a@b", "http://cam/mail/a@b"},
        {"http://cam/?to=a@b", "http://cam/?to=a@b"},
        {"http://cam:80/x", "http://cam:80/x"},
        {"http://cam/?action=stream", "http://cam/?action=stream"},
        {"http://cam/v?loginuse=a&loginpas=b&c=d", "http://cam/v?loginuse=a&loginpas=***&c=d"},
        {"http://cam/?PWD=x#frag", "http://cam/?PWD=***#frag"},
        {"http://cam/?access_token=x", "http://cam/?access_token=***"},
        {"/tmp/a:b@c.jpg", "/tmp/a:b@c.jpg"},
        {"./a:b@c?key=1.jpg", "./a:b@c?key=1.jpg"},
        {"test:64x48", "test:64x48"},
        {"test:64x48@30", "test:64x48@30"},
        {"bad\nname\x1b[1m", "bad?name?[1m"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char shown[128];
        source_display(rows[i].spec, shown, sizeof shown);
        assert_string_equal(shown, rows[i].shown);
    }
    char tiny[12];
    source_display("http://user:pass@cam/", tiny, sizeof tiny);
    assert_string_equal(tiny, "http://***@");
}

static void hiding_overwrites_credentials_in_place(void **state)
{
    static const struct {
        const char *spec, *hidden;
    } rows[] = {
        {"http://user:pass@cam/v?c=d", "http://*********@cam/v?c=d"},
        {"http://u:p@ss@cam/", "http://******@cam/"},
        {"http://cam/v?loginpas=bee&c=d", "http://cam/v?loginpas=***&c=d"},
        {"http://cam/v?a&pwd=x#pwd=yy", "http://cam/v?a&pwd=*#pwd=**"},
        {"user:pass@cam/video", "*********@cam/video"},
        {"http://cam:80/x?", "http://cam:80/x?"},
        {"test:64x48@30", "test:64x48@30"},
        {"/tmp/a:b@c.jpg", "/tmp/a:b@c.jpg"},
        {"-", "-"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char spec[128];
        snprintf(spec, sizeof spec, "%s", rows[i].spec);
        source_hide(spec);
        assert_string_equal(spec, rows[i].hidden);
    }
}

static void names_are_ordered_as_people_count(void **state)
{
    static const struct {
        const char *a, *b;
        int order;
    } rows[] = {
        {"img2.jpg", "img10.jpg", -1},
        {"img10.jpg", "img2.jpg", 1},
        {"img010.jpg", "img9.jpg", 1},
        {"img02.jpg", "img2.jpg", -1},
        {"img02b.jpg", "img2a.jpg", 1},
        {"a", "a", 0},
        {"a", "ab", -1},
        {"a1b2", "a1b10", -1},
        {"a1b2c", "a01b2d", -1},
        {"0", "00", -1},
        {"99999999999999999999999", "100000000000000000000000", -1},
        {"\xc3\xa4", "z", 1},
        {"x", "1", 1},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        int order = source_file_compare(rows[i].a, rows[i].b);
        order = (order > 0) - (order < 0);
        int back = source_file_compare(rows[i].b, rows[i].a);
        if (order != rows[i].order || (back > 0) - (back < 0) != -order)
            fail_msg("%s and %s: %d", rows[i].a, rows[i].b, order);
    }
}

/* ---- files, directories ---- */

static void directory_is_given_in_order_and_then_over(void **state)
{
    struct seen *s = *state;
    write_jpeg("img10.jpg", 10);
    write_jpeg("img2.jpeg", 2);
    write_jpeg("IMG1.JPG", 1);
    write_jpeg("img3.jpg.bak", 99);
    write_jpeg("._img4.jpg", 99);
    assert_int_equal(open_source(s, dir), 0);
    run_to_end(s);
    check_numbers(s, "1 2 10");
    assert_int_equal(s->rc, 0);
    assert_int_equal(s->n_broken, 0);
}

static void files_that_are_no_jpeg_are_broken_and_the_rest_is_given(void **state)
{
    struct seen *s = *state;
    uint8_t big[1001] = {0xff, 0xd8};
    write_jpeg("1.jpg", 1);
    write_file("2.jpg", "text", 4);
    write_file("3.jpg", jpeg_template, JPEG_BYTES - 1);
    write_file("4.jpg", "", 0);
    write_jpeg("6.jpg", 6);
    assert_int_equal(mkfifo(path_of("5.jpg"), 0600), 0);
    assert_int_equal(open_source(s, dir), 0);
    run_to_end(s);
    check_numbers(s, "1 6");
    assert_int_equal(s->n_broken, 4);
    assert_int_equal(s->rc, 0);
    source_close(s->source);
    memcpy(big + 999, "\xff\xd9", 2);
    write_file("7.jpg", big, sizeof big);
    s->n_pictures = s->n_broken = s->n_ends = 0;
    assert_int_equal(open_source(s, path_of("7.jpg")), 0);
    run_to_end(s);
    assert_string_equal(s->why_broken, "too large");
    assert_int_equal(s->rc, -EXIT_UNREACHABLE);
}

static void directory_is_repeated_with_loop_until_closed(void **state)
{
    struct seen *s = *state;
    s->options.loop = true;
    write_jpeg("1.jpg", 1);
    write_jpeg("2.jpg", 2);
    assert_int_equal(open_source(s, dir), 0);
    run_until(s, &s->n_pictures, 7);
    s->n_pictures = 7;
    check_numbers(s, "1 2 1 2 1 2 1");
    assert_int_equal(s->n_ends, 0);
}

static void loop_over_nothing_but_broken_files_ends(void **state)
{
    struct seen *s = *state;
    s->options.loop = true;
    write_file("1.jpg", "text", 4);
    assert_int_equal(open_source(s, dir), 0);
    run_to_end(s);
    assert_int_equal(s->n_broken, 1);
    assert_int_equal(s->rc, -EXIT_UNREACHABLE);
}

static void single_jpeg_is_given_once(void **state)
{
    struct seen *s = *state;
    write_jpeg("one.jpg", 7);
    assert_int_equal(open_source(s, path_of("one.jpg")), 0);
    run_to_end(s);
    check_numbers(s, "7");
    assert_int_equal(s->rc, 0);
}

static void single_jpeg_is_repeated_with_loop(void **state)
{
    struct seen *s = *state;
    s->options.loop = true;
    write_jpeg("one.jpg", 7);
    assert_int_equal(open_source(s, path_of("one.jpg")), 0);
    run_until(s, &s->n_pictures, 3);
    check_numbers(s, "7 7 7");
}

static void mjpeg_file_is_given_picture_by_picture_and_never_early(void **state)
{
    struct seen *s = *state;
    s->options.fps = 300;
    write_mjpeg("many.mjpeg", 20);
    assert_int_equal(open_source(s, path_of("many.mjpeg")), 0);
    run_to_end(s);
    assert_int_equal(s->n_pictures, 20);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(s->number[i], i + 1);
        if (i) /* 3333.3 us apart, or late: then a new schedule may have begun */
            assert_true(s->captured_us[i] > s->captured_us[i - 1]);
    }
    assert_true(s->captured_us[19] - s->captured_us[0] >= 19 * 10000 / 3);
    assert_int_equal(s->rc, 0);
}

static void mjpeg_file_is_repeated_with_loop(void **state)
{
    struct seen *s = *state;
    s->options.loop = true;
    write_mjpeg("two.mjpeg", 2);
    assert_int_equal(open_source(s, path_of("two.mjpeg")), 0);
    run_until(s, &s->n_pictures, 5);
    check_numbers(s, "1 2 1 2 1");
}

static void file_without_pictures_is_not_a_source(void **state)
{
    struct seen *s = *state;
    char zeros[4096] = {0};
    write_file("film.mp4", zeros, sizeof zeros);
    assert_int_equal(open_source(s, path_of("film.mp4")), 0);
    run_to_end(s);
    assert_int_equal(s->rc, -EXIT_UNREACHABLE);
    assert_non_null(strstr(s->why.text, "ffmpeg"));
}

static void what_is_not_there_is_told_when_opening(void **state)
{
    static const char *const names[] = {"missing.jpg", "missing/", "file.jpg/x.jpg", "fifo", ""};
    struct seen *s = *state;
    write_jpeg("file.jpg", 1);
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(unlink(path_of("file.jpg")), 0);
    write_file("file.txt", "x", 1);
    for (size_t i = 0; i < N_ROWS(names); i++) {
        assert_int_equal(open_source(s, path_of(names[i])), -EXIT_UNREACHABLE);
        assert_null(s->source);
        assert_non_null(strstr(s->why.text, dir));
    }
    assert_non_null(strstr(s->why.text, "no pictures")); /* the directory itself */
}

/* ---- standard input ---- */

/* Puts fd, which is taken, in the place of standard input; gives the old one. */
static int replace_stdin(int fd)
{
    int old = dup(STDIN_FILENO);
    assert_true(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    close(fd);
    return old;
}

static void restore_stdin(int old)
{
    dup2(old, STDIN_FILENO);
    close(old);
}

static void pipe_is_read_as_it_comes_and_left_as_it_was(void **state)
{
    struct seen *s = *state;
    uint8_t jpeg[JPEG_BYTES];
    int fd[2];
    s->options.fps = 0.001; /* means nothing here */
    assert_int_equal(pipe(fd), 0);
    int old = replace_stdin(fd[0]);
    assert_int_equal(open_source(s, "-"), 0);
    assert_true(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK);
    for (unsigned i = 1; i <= 3; i++) {
        make_jpeg(jpeg, i);
        assert_int_equal(write(fd[1], jpeg, 10), 10);
        loop_turn(&s->loop);
        assert_int_equal(write(fd[1], jpeg + 10, JPEG_BYTES - 10), JPEG_BYTES - 10);
        run_until(s, &s->n_pictures, i); /* each at once, not with the next */
    }
    close(fd[1]);
    run_to_end(s);
    check_numbers(s, "1 2 3");
    assert_int_equal(s->rc, 0);
    source_close(s->source);
    s->source = NULL;
    assert_false(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK);
    restore_stdin(old);
}

static void redirected_file_is_paced_like_any_file(void **state)
{
    struct seen *s = *state;
    s->options.fps = 300;
    write_mjpeg("in.mjpeg", 10);
    int old = replace_stdin(open(path_of("in.mjpeg"), O_RDONLY));
    assert_int_equal(open_source(s, "-"), 0);
    run_to_end(s);
    assert_int_equal(s->n_pictures, 10);
    assert_int_equal(s->rc, 0);
    assert_true(s->captured_us[9] - s->captured_us[0] >= 9 * 10000 / 3);
    source_close(s->source);
    s->source = NULL;
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* standard input itself stays open */
    restore_stdin(old);
}

static void empty_input_is_not_a_source(void **state)
{
    struct seen *s = *state;
    int old = replace_stdin(open("/dev/null", O_RDONLY));
    assert_int_equal(open_source(s, "-"), 0);
    run_to_end(s);
    assert_int_equal(s->rc, -EXIT_UNREACHABLE);
    restore_stdin(old);
}

static void closed_input_is_told_when_opening(void **state)
{
    struct seen *s = *state;
    int old = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    int rc = open_source(s, "-");
    restore_stdin(old);
    assert_int_equal(rc, -EXIT_UNREACHABLE);
}

/* ---- closing from inside ---- */

static void files_too_may_be_closed_by_any_callback(void **state)
{
    struct seen *s = *state;
    write_mjpeg("two.mjpeg", 2);
    write_file("bad.jpg", "text", 4);
    s->closes_on = 'p';
    assert_int_equal(open_source(s, path_of("two.mjpeg")), 0);
    run_until(s, &s->n_pictures, 1);
    s->n_pictures = 0;
    s->closes_on = 'b';
    assert_int_equal(open_source(s, path_of("bad.jpg")), 0);
    run_until(s, &s->n_broken, 1);
    s->n_broken = 0;
    s->closes_on = 'e';
    assert_int_equal(open_source(s, path_of("two.mjpeg")), 0);
    run_to_end(s);
    assert_int_equal(s->n_after_close, 0);
    s->n_pictures = s->n_ends = 0;
    s->closes_on = 'p';
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    int old = replace_stdin(fd[0]);
    assert_int_equal(open_source(s, "-"), 0);
    assert_int_equal(write(fd[1], jpeg_template, JPEG_BYTES), JPEG_BYTES);
    assert_int_equal(write(fd[1], jpeg_template, JPEG_BYTES), JPEG_BYTES);
    run_until(s, &s->n_pictures, 1);
    close(fd[1]);
    restore_stdin(old);
    assert_int_equal(s->n_pictures, 1);
    assert_int_equal(s->n_after_close, 0);
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    source_close(NULL);
    picture_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_finds_its_kind),
        IN_LOOP(text_that_no_kind_takes_is_refused_with_what_is_possible),
        cmocka_unit_test(display_hides_credentials_and_nothing_else),
        cmocka_unit_test(hiding_overwrites_credentials_in_place),
        cmocka_unit_test(names_are_ordered_as_people_count),
        IN_DIR(directory_is_given_in_order_and_then_over),
        IN_DIR(files_that_are_no_jpeg_are_broken_and_the_rest_is_given),
        IN_DIR(directory_is_repeated_with_loop_until_closed),
        IN_DIR(loop_over_nothing_but_broken_files_ends),
        IN_DIR(single_jpeg_is_given_once),
        IN_DIR(single_jpeg_is_repeated_with_loop),
        IN_DIR(mjpeg_file_is_given_picture_by_picture_and_never_early),
        IN_DIR(mjpeg_file_is_repeated_with_loop),
        IN_DIR(file_without_pictures_is_not_a_source),
        IN_DIR(what_is_not_there_is_told_when_opening),
        IN_LOOP(pipe_is_read_as_it_comes_and_left_as_it_was),
        IN_DIR(redirected_file_is_paced_like_any_file),
        IN_LOOP(empty_input_is_not_a_source),
        IN_LOOP(closed_input_is_told_when_opening),
        IN_DIR(files_too_may_be_closed_by_any_callback),
        cmocka_unit_test(closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
