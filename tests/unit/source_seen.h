/* source_seen.h - a sink that remembers what a source told, a loop to run it in, and files.
 *
 * For the tests of sources only; to be included after cmocka.h.
 */
#pragma once

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/source.h"
#include "common/clock.h"

#define CAP_US    20000000u /* a test that waits this long has failed */
#define SEEN_MAX  64u
#define N_ROWS(a) (sizeof(a) / sizeof(a)[0])

/* ---- pictures: the smallest that are one, with a number to know them by ---- */

static const uint8_t jpeg_template[] = {
    0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0,                          /* SOI, APP0 with the number */
    0xff, 0xda, 0,    8,    1, 1, 0, 0, 63, 0, 0x12, 0x34, 0x56, /* SOS, data */
    0xff, 0xd9,
};
#define JPEG_BYTES sizeof jpeg_template

static inline void make_jpeg(uint8_t out[JPEG_BYTES], unsigned number)
{
    memcpy(out, jpeg_template, JPEG_BYTES);
    out[7] = (uint8_t)number;
}

/* ---- a sink that remembers ---- */

struct seen {
    struct loop loop;
    struct source *source;
    struct source_options options;
    unsigned n_pictures, n_broken, n_notes, n_ends;
    unsigned number[SEEN_MAX];
    uint64_t captured_us[SEEN_MAX];
    char why_broken[64];
    char notes[SEEN_MAX][640];
    int rc;
    struct err why;
    char closes_on; /* 'p'icture, 'b'roken, 'n'ote, 'e'nd: that callback closes the source */
    unsigned n_after_close;
};

static inline void told(struct seen *s, char what)
{
    if (!s->source)
        s->n_after_close++;
    if (s->closes_on == what) {
        source_close(s->source);
        s->source = NULL;
    }
}

static inline void on_picture(void *ctx, struct picture *p)
{
    struct seen *s = ctx;
    assert_int_equal(p->index, s->n_pictures);
    assert_true(p->n_bytes >= JPEG_BYTES);
    assert_true(p->captured_wall_s > 0);
    s->number[s->n_pictures % SEEN_MAX] = p->bytes[7];
    s->captured_us[s->n_pictures % SEEN_MAX] = p->captured_us;
    s->n_pictures++;
    picture_free(p);
    told(s, 'p');
}

static inline void on_broken(void *ctx, const char *why)
{
    struct seen *s = ctx;
    s->n_broken++;
    snprintf(s->why_broken, sizeof s->why_broken, "%s", why);
    told(s, 'b');
}

static inline void on_note(void *ctx, const char *sentence)
{
    struct seen *s = ctx;
    snprintf(s->notes[s->n_notes++ % SEEN_MAX], sizeof s->notes[0], "%s", sentence);
    told(s, 'n');
}

static inline void on_end(void *ctx, int rc, const struct err *why)
{
    struct seen *s = ctx;
    s->n_ends++;
    s->rc = rc;
    s->why = *why;
    told(s, 'e');
}

static inline int set_up(void **state)
{
    struct seen *s = calloc(1, sizeof *s);
    s->options = (struct source_options){.fps = 500, .picture_bytes_max = 1000, .poll_us = 1000};
    *state = s;
    return loop_init(&s->loop, NULL);
}

static inline int tear_down(void **state)
{
    struct seen *s = *state;
    source_close(s->source);
    bool all_gone = !s->loop.timers && !s->loop.watches;
    loop_deinit(&s->loop);
    free(s);
    return all_gone ? 0 : -1; /* a closed source leaves nothing in the loop */
}

static inline int open_source(struct seen *s, const char *spec)
{
    struct source_sink sink = {.ctx = s,
                               .on_picture = on_picture,
                               .on_broken = on_broken,
                               .on_note = on_note,
                               .on_end = on_end};
    int rc = source_open(&s->source, spec, &s->options, &s->loop, &sink, &s->why);
    assert_int_equal(s->n_pictures + s->n_broken + s->n_notes + s->n_ends, 0);
    return rc;
}

/* Runs the loop until *counter reaches n. Only the cap is a time. */
static inline void run_until(struct seen *s, const unsigned *counter, unsigned n)
{
    uint64_t give_up_us = clock_now_us() + CAP_US;
    while (*counter < n) {
        struct pollfd p = {.fd = s->loop.epoll_fd, .events = POLLIN};
        if (clock_now_us() > give_up_us)
            fail_msg("waited too long; pictures %u, broken %u, notes %u, ends %u: %s",
                     s->n_pictures, s->n_broken, s->n_notes, s->n_ends, s->why.text);
        poll(&p, 1, 1000);
        loop_turn(&s->loop);
    }
}

static inline void run_to_end(struct seen *s)
{
    run_until(s, &s->n_ends, 1);
}

/* ---- files ---- */

static char dir[64];

static inline int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/test_source.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static inline const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static inline int remove_dir(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    for (struct dirent *at; d && (at = readdir(d));)
        (void)unlink(path_of(at->d_name));
    closedir(d);
    return rmdir(dir);
}

static inline int set_up_dir(void **state)
{
    return set_up(state) || make_dir(state);
}

static inline int tear_down_dir(void **state)
{
    return tear_down(state) | remove_dir(state);
}

static inline void write_file(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static inline void write_jpeg(const char *name, unsigned number)
{
    uint8_t jpeg[JPEG_BYTES];
    make_jpeg(jpeg, number);
    write_file(name, jpeg, sizeof jpeg);
}

static inline void write_mjpeg(const char *name, unsigned n)
{
    uint8_t bytes[SEEN_MAX * JPEG_BYTES];
    for (unsigned i = 0; i < n; i++)
        make_jpeg(bytes + i * JPEG_BYTES, i + 1);
    write_file(name, bytes, n * JPEG_BYTES);
}

static inline void check_numbers(const struct seen *s, const char *numbers)
{
    char got[SEEN_MAX * 4] = "";
    for (unsigned i = 0; i < s->n_pictures && i < SEEN_MAX; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u", i ? " " : "", s->number[i]);
    assert_string_equal(got, numbers);
}

#define IN_LOOP(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
#define IN_DIR(t)  cmocka_unit_test_setup_teardown(t, set_up_dir, tear_down_dir)
