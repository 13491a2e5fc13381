/* opt_demo.h - a program of options for the tests of common/opt, and ways to run it. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/opt.h"

#define ARGS_MAX 32

struct demo {
    bool quiet;
    uint64_t sessions, count, max_age_us, frame_bytes;
    double rate;
    const char *listen, *netrc;
    int log_format, shape;
    struct opt_list pipelines;
};

enum { STREAM, PROBE };

static const char *const formats[] = {"text", "json", NULL};
static const char *const shapes[] = {"wide", "tall", NULL};

static const struct opt demo_opts[] = {
    {.kind = OPT_TEXT,
     .letter = 'l',
     .name = "listen",
     .arg = "ADDR",
     .def = "localhost:8000",
     OPT_AT(demo, listen),
     .help = "listen on ADDR. May be given as 127.0.0.1:0"},
    {.kind = OPT_TIME_US,
     .letter = 'a',
     .name = "max-age",
     .arg = "TIME",
     .def = "250ms",
     .min = 1000,
     .max = 60000000,
     OPT_AT(demo, max_age_us),
     .help = "drop frames older than TIME, which is counted from the moment in which the last byte "
             "of a frame arrived"},
    {.kind = OPT_COUNT,
     .name = "max-sessions",
     .arg = "N",
     .def = "10",
     .min = 1,
     .max = 1000,
     .env = "PUBLISHED_SESSIONS",
     OPT_AT(demo, sessions),
     .help = "refuse more than N sessions"},
    {.kind = OPT_BYTES,
     .name = "frame-bytes",
     .arg = "SIZE",
     .def = "5MiB",
     .min = 4096,
     .max = 1073741824,
     OPT_AT(demo, frame_bytes),
     .help = "refuse larger frames"},
    {.kind = OPT_REAL,
     .name = "rate",
     .arg = "R",
     .def = "0.10",
     .min = 0,
     .max = 1,
     OPT_AT(demo, rate),
     .help = "warn above the drop rate R"},
    {.kind = OPT_CHOICE,
     .name = "log-format",
     .choices = formats,
     .def = "text",
     OPT_AT(demo, log_format),
     .help = "write logs like this"},
    {.kind = OPT_CHOICE,
     .name = "shape",
     .choices = shapes,
     OPT_AT(demo, shape),
     .help = ".dotted 'quoted' back\\slash, see --log-format"},
    {.kind = OPT_LIST,
     .letter = 'p',
     .name = "pipeline",
     .arg = "NAME=KIND",
     OPT_AT(demo, pipelines),
     .help = "add a pipeline"},
    {.kind = OPT_FLAG,
     .letter = 'q',
     .name = "quiet",
     OPT_AT(demo, quiet),
     .help = "say less",
     .commands = 1U << STREAM | 1U << PROBE},
    {.kind = OPT_TEXT,
     .name = "netrc",
     .arg = "FILE",
     OPT_AT(demo, netrc),
     .help = "read credentials",
     .commands = 1U << STREAM},
    {.kind = OPT_COUNT,
     .letter = 'n',
     .name = "count",
     .arg = "N",
     .def = "0",
     OPT_AT(demo, count),
     .help = "end after N frames",
     .commands = 1U << STREAM},
    {.kind = OPT_COUNT,
     .letter = 'n',
     .name = "count",
     .arg = "N",
     .def = "20",
     .min = 1,
     .max = 100,
     OPT_AT(demo, count),
     .help = "ask N times",
     .commands = 1U << PROBE},
};

static const struct opt_command demo_commands[] = {
    {"stream", "SOURCE [URL]", "send frames", 1, 2},
    {"probe", "[URL]", "measure the way there and back", 0, 1},
    {"pipelines", NULL, "list what the server has", 0, 0},
};

#define N(a) (sizeof(a) / sizeof(a)[0])

static const struct opt_program demo = {
    .name = "demo",
    .summary = "does as it is told",
    .version = "0.1.0",
    .opts = demo_opts,
    .n_opts = N(demo_opts),
    .commands = demo_commands,
    .n_commands = N(demo_commands),
    .epilog = "Example:\n  demo stream test:",
};

/* The same options without commands. */
static const struct opt_program plain = {
    .name = "plain",
    .summary = "has no commands",
    .version = "0.1.0",
    .opts = demo_opts,
    .n_opts = 8,
};

/* One call of opt_parse with words as a shell splits them, and all it gives. */
struct run {
    char words[512];
    char *argv[ARGS_MAX + 1];
    int argc;
    struct demo got;
    struct opt_values v;
    struct err e;
    int rc;
};

static inline void run_words(struct run *r, const struct opt_program *p, const char *words)
{
    memset(r, 0, sizeof *r);
    snprintf(r->words, sizeof r->words, "%s %s", p->name, words);
    for (char *w = strtok(r->words, " "); w && r->argc < ARGS_MAX; w = strtok(NULL, " "))
        r->argv[r->argc++] = w;
    r->rc = opt_parse(p, r->argc, r->argv, &r->got, sizeof r->got, &r->v, &r->e);
}

static inline void run_ok(struct run *r, const struct opt_program *p, const char *words)
{
    run_words(r, p, words);
    if (r->rc != 0)
        fail_msg("'%s' was refused: %s", words, r->e.text);
}

static inline void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text ? text : "nothing");
}

static inline void assert_refused(const struct opt_program *p, const char *words, const char *says)
{
    struct run r;
    run_words(&r, p, words);
    assert_int_equal(r.rc, -EXIT_USAGE);
    assert_has(r.e.text, says);
    opt_values_deinit(&r.v);
}

/* A file of this test, gone with the process's folder. */
static char folder[] = "/tmp/test_opt.XXXXXX";

static inline const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static inline void write_file(const char *name, const char *content)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

/* What opt_parse writes to standard output. The caller frees. */
static inline char *output_of(const struct opt_program *p, const char *words)
{
    struct run r;
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    FILE *f = tmpfile();
    assert_non_null(f);
    dup2(fileno(f), STDOUT_FILENO);
    run_words(&r, p, words);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    if (r.rc != 0)
        fail_msg("'%s' was refused: %s", words, r.e.text);
    assert_true(r.v.done);
    opt_values_deinit(&r.v);
    char *out = calloc(1, 32768);
    rewind(f);
    assert_true(fread(out, 1, 32767, f) > 0);
    fclose(f);
    return out;
}

static inline int clear_environment(void **state)
{
    (void)state;
    clearenv();
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
    return 0;
}

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"rank",   "list",  "good",   "bad",      "zero",
                                        "origin", "again", "demo.1", "demo.bash"};
    for (size_t i = 0; i < N(names); i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

#define T(f) cmocka_unit_test_setup(f, clear_environment)
