#include "loadgen/corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/jpeg.h"

/* A decoder takes it without a warning, and it has that size. */
static void assert_decodes(const struct corpus_frame *f, int width, int height)
{
    int w, h, sampling, colours;
    tjhandle d = tjInitDecompress();
    uint8_t *pixels = malloc((size_t)width * (size_t)height * 3);
    assert_int_equal(jpeg_check(f->bytes, f->n_bytes), JPEG_ENDS_OK);
    assert_int_equal(tjDecompressHeader3(d, f->bytes, f->n_bytes, &w, &h, &sampling, &colours), 0);
    assert_int_equal(w, width);
    assert_int_equal(h, height);
    assert_int_equal(
        tjDecompress2(d, f->bytes, f->n_bytes, pixels, w, 0, h, TJPF_RGB, TJFLAG_STOPONWARNING), 0);
    free(pixels);
    tjDestroy(d);
}

static void made_frames_have_the_size_and_decode(void **state)
{
    static const struct {
        unsigned width, height;
        size_t bytes;
    } rows[] = {{640, 480, 46000}, {640, 480, 20000}, {1280, 720, 250001}, {64, 48, 200003}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct corpus c;
        struct err e;
        assert_int_equal(corpus_make(&c, rows[i].width, rows[i].height, rows[i].bytes, &e), 0);
        assert_int_equal(c.bytes_max, rows[i].bytes);
        assert_int_equal(c.bytes_mean, rows[i].bytes);
        for (size_t k = 0; k < c.n; k++) {
            assert_int_equal(c.frame[k].n_bytes, rows[i].bytes);
            assert_decodes(&c.frame[k], (int)rows[i].width, (int)rows[i].height);
        }
        assert_memory_not_equal(c.frame[0].bytes, c.frame[1].bytes, rows[i].bytes);
        corpus_free(&c);
    }
}

static void too_small_a_size_is_refused(void **state)
{
    struct corpus c;
    struct err e = {0};
    (void)state;
    assert_int_equal(corpus_make(&c, 1920, 1080, 2000, &e), -EXIT_USAGE);
    assert_non_null(strstr(e.text, "--size"));
    corpus_free(&c);
}

static void frames_come_from_files_in_order(void **state)
{
    char folder[] = "/tmp/corpus.XXXXXX", path[64];
    struct corpus made, read;
    struct err e;
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(corpus_make(&made, 64, 48, 4000, &e), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%d.jpg", folder, i * 5); /* 0, 5, 10: as numbers */
        FILE *f = fopen(path, "w");
        fwrite(made.frame[i].bytes, 1, made.frame[i].n_bytes, f);
        fclose(f);
    }
    assert_int_equal(corpus_load(&read, folder, &e), 0);
    assert_int_equal(read.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(read.frame[i].bytes, made.frame[i].bytes, 4000);
    corpus_free(&read);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%d.jpg", folder, i * 5);
        unlink(path);
    }
    assert_int_equal(corpus_load(&read, folder, &e), -EXIT_USAGE);
    corpus_free(&read);
    rmdir(folder);
    assert_int_equal(corpus_load(&read, folder, &e), -EXIT_UNREACHABLE);
    assert_non_null(strstr(e.text, folder));
    corpus_free(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_frames_have_the_size_and_decode),
        cmocka_unit_test(too_small_a_size_is_refused),
        cmocka_unit_test(frames_come_from_files_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
