#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/worker.h"

/* Real workers, each with one fault. Nothing here depends on how fast they are: what must not
 * time out has PATIENCE_US, what must has SHORT_US and a worker that waits for ever or for a file.
 */

#define N(array)    (sizeof(array) / sizeof((array)[0]))
#define PATIENCE_US 60000000u
#define SHORT_US    150000u
#define PATH_BYTES  400
#define PAYLOAD     "\xff\xd8x"

/* need, frame, say and hello of each script below. */
static const char prelude[] =
    "import json, os, signal, socket, struct, sys, time\n"
    "here = os.path.dirname(os.path.abspath(__file__)) + '/'\n"
    "fd_in, fd_out = 0, 1\n"
    "def need(n):\n"
    "    b = b''\n"
    "    while len(b) < n:\n"
    "        more = os.read(fd_in, n - len(b))\n"
    "        if not more: os._exit(0)\n"
    "        b += more\n"
    "    return b\n"
    "def frame():\n"
    "    m, n, w, h, seq, deadline = struct.unpack('<4sIIIQQ', need(32))\n"
    "    assert m == b'SPW1'\n"
    "    return seq, w, h, deadline, need(n)\n"
    "def send(b):\n"
    "    while b: b = b[os.write(fd_out, b):]\n"
    "def say(**members): send(json.dumps(members).encode() + b'\\n')\n"
    "def hello(**members): say(**dict({'protocol': 1, 'name': 'test'}, **members))\n"
    "def wait_for(name):\n"
    "    while not os.path.exists(here + name): time.sleep(0.005)\n"
    "def count(name):\n" /* of the calls of all processes */
    "    f = os.open(here + name, os.O_CREAT | os.O_APPEND | os.O_WRONLY)\n"
    "    os.write(f, b'x')\n"
    "    return os.fstat(f).st_size\n"
    "def echo():\n"
    "    while True:\n"
    "        seq, w, h, deadline, payload = frame()\n"
    "        say(seq=seq, result={'seq': seq, 'n': len(payload), 'w': w, 'h': h,\n"
    "                             'sum': sum(payload)})\n";

struct stage {
    char dir[64];
    char command[200];
    char path[PATH_BYTES];
    struct worker_options o;
    struct worker *w;
    struct text result;
};

static void path_of(const struct stage *s, const char *name, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%s", s->dir, name);
}

static void write_file(const struct stage *s, const char *name, const char *a, const char *b)
{
    char path[PATH_BYTES];
    path_of(s, name, path);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(a, f);
    fputs(b, f);
    assert_int_equal(fclose(f), 0);
}

static void remove_file(const struct stage *s, const char *name)
{
    char path[PATH_BYTES];
    path_of(s, name, path);
    unlink(path);
}

static int stage_begin(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    strcpy(s->dir, "/tmp/test_worker.XXXXXX");
    if (!mkdtemp(s->dir))
        return -1;
    s->result = text_heap(1u << 20);
    snprintf(s->command, sizeof s->command, "/usr/bin/python3 -S -E -B %s/worker.py", s->dir);
    s->o = (struct worker_options){.name = "test",
                                   .command = s->command,
                                   .start_us = PATIENCE_US,
                                   .timeout_us = PATIENCE_US,
                                   .pause_us = 1000};
    *state = s;
    return 0;
}

static int stage_end(void **state)
{
    struct stage *s = *state;
    worker_free(s->w);
    DIR *d = opendir(s->dir);
    for (struct dirent *entry; d && (entry = readdir(d));)
        remove_file(s, entry->d_name);
    if (d)
        closedir(d);
    rmdir(s->dir);
    text_deinit(&s->result);
    free(s);
    return 0;
}

static void use(struct stage *s, const char *script)
{
    struct err e = {.text = ""};
    write_file(s, "worker.py", prelude, script);
    worker_free(s->w);
    s->w = worker_new(&s->o, &e);
    if (!s->w)
        fail_msg("%s", e.text);
}

static void use_sh(struct stage *s, const char *script)
{
    snprintf(s->command, sizeof s->command, "sh %s/worker.py", s->dir);
    write_file(s, "worker.py", script, "");
    worker_free(s->w);
    s->w = worker_new(&s->o, NULL);
    assert_non_null(s->w);
}

/* A pause and an end that is not over yet are passed over, a start is not. */
static enum worker_status prepare(struct stage *s)
{
    uint64_t until_us = clock_now_us() + PATIENCE_US;
    enum worker_status st;
    while ((st = worker_prepare(s->w, PATIENCE_US)) == WORKER_RESTARTING &&
           clock_now_us() < until_us)
        usleep(1000);
    return st;
}

static enum worker_status run_until(struct stage *s, uint64_t deadline_us)
{
    struct worker_frame f = {.payload = (const uint8_t *)PAYLOAD,
                             .payload_bytes = 3,
                             .width = 640,
                             .height = 480,
                             .scale = 1,
                             .deadline_us = deadline_us,
                             .until_us = deadline_us};
    return worker_run(s->w, &f, &s->result);
}

static enum worker_status run(struct stage *s)
{
    enum worker_status st = prepare(s);
    return st == WORKER_OK ? run_until(s, 0) : st;
}

#define assert_status(expression, want)                                                            \
    assert_string_equal(worker_status_name(expression), worker_status_name(want))

static pid_t pid_of(struct stage *s)
{
    return worker_get_stats(s->w).pid;
}

static bool is_zombie(pid_t pid)
{
    char path[50], bytes[500] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool read = fgets(bytes, sizeof bytes, f) && strrchr(bytes, ')');
    fclose(f);
    return read && strncmp(strrchr(bytes, ')'), ") Z", 3) == 0;
}

/* Dead and reaped. */
static bool is_gone_soon(pid_t pid)
{
    uint64_t until_us = clock_now_us() + PATIENCE_US;
    while (kill(pid, 0) == 0 && clock_now_us() < until_us)
        usleep(2000);
    return kill(pid, 0) < 0 && errno == ESRCH;
}

/* Dead; reaping it is the business of an init that may be lazy. */
static bool is_dead_soon(pid_t pid)
{
    uint64_t until_us = clock_now_us() + PATIENCE_US;
    while (kill(pid, 0) == 0 && !is_zombie(pid) && clock_now_us() < until_us)
        usleep(2000);
    return kill(pid, 0) < 0 || is_zombie(pid);
}

static void good_worker_answers_every_frame(void **state)
{
    struct stage *s = *state;
    struct worker_hello h;
    use(s, "hello(version='1.2', in_flight=4)\necho()\n");
    assert_false(worker_get_hello(s->w, &h));
    for (unsigned i = 0; i < 50; i++) {
        char want[100];
        assert_status(i ? run_until(s, 0) : run(s), WORKER_OK);
        snprintf(want, sizeof want, "{\"seq\":%u,\"n\":3,\"w\":640,\"h\":480,\"sum\":591}", i);
        assert_string_equal(text_str(&s->result), want);
    }
    struct worker_stats stats = worker_get_stats(s->w);
    assert_int_equal(stats.by_status[WORKER_OK], 50);
    assert_int_equal(stats.n_started, 1);
    assert_int_equal(stats.n_restarts, 0);
    assert_int_equal(stats.n_failed_in_a_row, 0);
    assert_true(worker_get_hello(s->w, &h));
    assert_string_equal(h.name, "test");
    assert_string_equal(h.version, "1.2");
    assert_int_equal(h.in_flight, 4);
}

static void big_frames_and_big_answers_pass(void **state)
{
    struct stage *s = *state;
    use(s, "hello(format='rgb')\n"
           "while True:\n"
           "    seq, w, h, d, p = frame()\n"
           "    say(seq=seq, result={'sum': sum(p[::1000]), 'fill': 'x' * 900000})\n");
    assert_status(prepare(s), WORKER_OK);
    struct worker_frame f = {.payload_bytes = 3000 * 2000 * 3,
                             .width = 3000,
                             .height = 2000,
                             .format = WORKER_RGB,
                             .scale = 1};
    uint8_t *picture = malloc(f.payload_bytes);
    assert_non_null(picture);
    memset(picture, 7, f.payload_bytes);
    f.payload = picture;
    for (unsigned i = 0; i < 3; i++) {
        assert_status(worker_run(s->w, &f, &s->result), WORKER_OK);
        assert_int_equal(s->result.len, 900000 + strlen("{\"sum\":126000,\"fill\":\"\"}"));
        assert_int_equal(strncmp(text_str(&s->result), "{\"sum\":126000,", 14), 0);
    }
    free(picture);
}

static void an_error_is_of_the_frame_and_the_worker_goes_on(void **state)
{
    struct stage *s = *state;
    use(s, "hello()\n"
           "while True:\n"
           "    seq = frame()[0]\n"
           "    if seq < 7: say(seq=seq, error='no %d' % seq)\n"
           "    else: say(seq=seq, result={})\n");
    assert_status(run(s), WORKER_ERROR);
    assert_string_equal(text_str(&s->result), "no 0");
    pid_t pid = pid_of(s);
    for (unsigned i = 1; i < 7; i++)
        assert_status(run_until(s, 0), WORKER_ERROR);
    assert_false(worker_is_degraded(s->w));
    assert_status(run_until(s, 0), WORKER_OK);
    assert_string_equal(text_str(&s->result), "{}");
    assert_int_equal(pid_of(s), pid);
    assert_int_equal(worker_get_stats(s->w).by_status[WORKER_ERROR], 7);
}

static void a_result_without_room_is_an_error(void **state)
{
    struct stage *s = *state;
    char bytes[50];
    struct text small = text_fixed(bytes, sizeof bytes);
    struct worker_frame f = {
        .payload = (const uint8_t *)PAYLOAD, .payload_bytes = 3, .format = WORKER_JPEG, .scale = 1};
    use(s, "hello()\nseq = frame()[0]\nsay(seq=seq, result={'a': 'x' * 100})\nframe()\n");
    assert_status(prepare(s), WORKER_OK);
    assert_status(worker_run(s->w, &f, &small), WORKER_ERROR);
    assert_non_null(strstr(bytes, "no room"));
}

static void a_worker_that_takes_too_long_is_replaced(void **state)
{
    struct stage *s = *state;
    s->o.timeout_us = SHORT_US;
    s->o.pause_us = 10000000; /* longer than what follows takes, so that it is seen */
    use(s, "hello()\nframe()\ntime.sleep(3600)\n");
    assert_status(prepare(s), WORKER_OK);
    pid_t pid = pid_of(s);
    assert_true(pid > 0);
    assert_status(run_until(s, 0), WORKER_TIMEOUT);
    assert_string_equal(text_str(&s->result), "");
    assert_status(run_until(s, 0), WORKER_RESTARTING);
    assert_true(is_gone_soon(pid));
    assert_status(run_until(s, 0), WORKER_RESTARTING);
    struct worker_stats stats = worker_get_stats(s->w);
    assert_int_equal(stats.by_status[WORKER_TIMEOUT], 1);
    assert_int_equal(stats.by_status[WORKER_RESTARTING], 2);
    assert_int_equal(stats.n_failed_in_a_row, 1);
    assert_int_equal(stats.pid, 0);
}

static void its_replacement_counts_from_0(void **state)
{
    struct stage *s = *state;
    s->o.timeout_us = SHORT_US;
    use(s, "hello()\n"
           "if count('starts') == 1:\n"
           "    frame()\n"
           "    time.sleep(3600)\n"
           "echo()\n");
    assert_status(prepare(s), WORKER_OK);
    pid_t pid = pid_of(s);
    assert_status(run_until(s, 0), WORKER_TIMEOUT);
    enum worker_status st;
    for (unsigned i = 0; i < 100 && (st = run(s)) != WORKER_OK; i++)
        ; /* SHORT_US may be short for an honest answer too */
    assert_status(st, WORKER_OK);
    assert_non_null(strstr(text_str(&s->result), "{\"seq\":0,"));
    assert_true(pid_of(s) != pid);
    assert_true(worker_get_stats(s->w).n_restarts >= 1);
    assert_int_equal(worker_get_stats(s->w).n_failed_in_a_row, 0);
}

static void a_frames_own_deadline_does_not_end_the_worker(void **state)
{
    struct stage *s = *state;
    use(s, "hello()\n"
           "seq = frame()[0]\n"
           "wait_for('go')\n"
           "say(seq=seq, result={'late': True})\n"
           "echo()\n");
    assert_status(prepare(s), WORKER_OK);
    pid_t pid = pid_of(s);
    for (unsigned i = 0; i < 3; i++) /* the second and third wait for the first */
        assert_status(run_until(s, clock_now_us() + SHORT_US), WORKER_TIMEOUT);
    assert_int_equal(worker_get_stats(s->w).n_failed_in_a_row, 3);
    write_file(s, "go", "", "");
    assert_status(run_until(s, 0), WORKER_OK);
    assert_non_null(strstr(text_str(&s->result), "{\"seq\":1,"));
    assert_int_equal(pid_of(s), pid);
    assert_int_equal(worker_get_stats(s->w).n_late, 1);
    assert_int_equal(worker_get_stats(s->w).n_failed_in_a_row, 0);
    assert_status(run_until(s, 1), WORKER_TIMEOUT); /* too late before it began */
    assert_int_equal(worker_get_stats(s->w).n_failed_in_a_row, 0);
}

static void answers_of_earlier_frames_are_discarded(void **state)
{
    struct stage *s = *state;
    use(s, "hello()\n"
           "for i in range(3):\n"
           "    seq = frame()[0]\n"
           "    for old in range(seq): say(seq=old, result={'old': old})\n"
           "    say(seq=seq, result={'new': seq})\n"
           "    say(seq=seq, result={'again': seq})\n"
           "frame()\n");
    assert_status(run(s), WORKER_OK);
    assert_string_equal(text_str(&s->result), "{\"new\":0}");
    assert_status(run_until(s, 0), WORKER_OK);
    assert_string_equal(text_str(&s->result), "{\"new\":1}");
    assert_status(run_until(s, 0), WORKER_OK);
    assert_string_equal(text_str(&s->result), "{\"new\":2}");
    assert_int_equal(worker_get_stats(s->w).n_late, 5); /* the last "again" is not read yet */
}

static void garbage_ends_the_worker(void **state)
{
    struct stage *s = *state;
    static const char *const scripts[] = {
        "send(b'Loading...\\n')\nframe()\n",
        "send(b'\\0\\xff\\n')\nframe()\n",
        "hello(protocol=2)\nframe()\n",
        "send(b'x' * 3000000)\nframe()\n",
        "hello()\nframe()\nsend(b'hello\\n')\nframe()\n",
        "hello()\nframe()\nsay(seq=1, result={})\nframe()\n",
        "hello()\nframe()\nsay(seq=0, result=[])\nframe()\n",
        "hello()\nframe()\nsend(b'{\"seq\":0,\"result\":{\"a\":\"\\xff\"}}\\n')\nframe()\n",
        "hello()\nframe()\nsend(b'{' * 3000000)\nframe()\n",
        "hello()\nframe()\nsend(b'{\"seq\":0,\"result\":{}}' + b' ' * 1048576 + b'\\n')\nframe()\n",
    };
    for (size_t i = 0; i < N(scripts); i++) {
        use(s, scripts[i]);
        enum worker_status st = run(s);
        if (st != WORKER_GARBAGE)
            fail_msg("%s gave %s", scripts[i], worker_status_name(st));
        struct worker_stats stats = worker_get_stats(s->w);
        assert_int_equal(stats.n_failed_in_a_row, 1);
        assert_true(stats.last_failure[0]);
        assert_string_equal(text_str(&s->result), "");
        assert_true(stats.pid == 0 || is_gone_soon(stats.pid));
    }
}

static void an_answer_before_its_frame_is_garbage(void **state)
{
    struct stage *s = *state;
    use(s, "hello()\n"
           "seq = frame()[0]\n"
           "send(b'{\"seq\":0,\"result\":{}}\\n{\"seq\":1,\"result\":{}}\\n')\n"
           "frame()\n");
    assert_status(run(s), WORKER_OK);
    assert_status(run_until(s, 0), WORKER_GARBAGE);
}

static void a_crash_is_told_and_a_good_answer_forgets_it(void **state)
{
    struct stage *s = *state;
    use(s, "hello()\n"
           "frame()\n"
           "if not os.path.exists(here + 'go'): os._exit(3)\n"
           "say(seq=0, result={})\n"
           "frame()\n");
    for (unsigned i = 1; i <= WORKER_DEGRADED; i++) {
        assert_false(worker_is_degraded(s->w));
        assert_status(run(s), WORKER_CRASHED);
        assert_int_equal(worker_get_stats(s->w).n_failed_in_a_row, i);
    }
    assert_true(worker_is_degraded(s->w));
    assert_int_equal(worker_get_stats(s->w).n_started, WORKER_DEGRADED);
    write_file(s, "go", "", "");
    assert_status(run(s), WORKER_OK);
    assert_false(worker_is_degraded(s->w));
}

static void a_crash_between_frames_is_told_by_the_next(void **state)
{
    struct stage *s = *state;
    use(s, "hello()\nif count('starts') > 1: echo()\nwait_for('go')\nos._exit(1)\n");
    assert_status(prepare(s), WORKER_OK);
    pid_t pid = pid_of(s);
    write_file(s, "go", "", "");
    assert_true(is_gone_soon(pid)); /* reaped before anybody asks */
    assert_status(run_until(s, 0), WORKER_CRASHED);
    assert_status(run(s), WORKER_OK);
}

static void what_cannot_start_is_a_crash(void **state)
{
    struct stage *s = *state;
    static const char *const commands[] = {"false",      "/nowhere/worker",       "exit 3",
                                           "kill -9 $$", "sh -c 'kill -SEGV $$'", "'"};
    for (size_t i = 0; i < N(commands); i++) {
        snprintf(s->command, sizeof s->command, "%s", commands[i]);
        use(s, "");
        enum worker_status st = prepare(s);
        if (st != WORKER_CRASHED)
            fail_msg("%s gave %s", commands[i], worker_status_name(st));
        assert_true(worker_get_stats(s->w).last_failure[0]);
    }
}

static void a_worker_that_never_reads_cannot_hold_a_frame(void **state)
{
    struct stage *s = *state;
    s->o.timeout_us = SHORT_US;
    use(s, "hello(format='gray')\ntime.sleep(3600)\n");
    assert_status(prepare(s), WORKER_OK);
    pid_t pid = pid_of(s);
    struct worker_frame f = {.payload_bytes = 4000 * 2000,
                             .width = 4000,
                             .height = 2000,
                             .format = WORKER_GRAY,
                             .scale = 1};
    uint8_t *picture = calloc(1, f.payload_bytes);
    assert_non_null(picture);
    f.payload = picture;
    assert_status(worker_run(s->w, &f, &s->result), WORKER_TIMEOUT);
    free(picture);
    assert_true(is_gone_soon(pid));
}

/* That the host writes to nobody is no signal for the host. */
static void a_crash_amid_a_frame_is_told(void **state)
{
    struct stage *s = *state;
    use(s, "hello(format='gray')\nneed(1000)\nos._exit(1)\n");
    assert_status(prepare(s), WORKER_OK);
    struct worker_frame f = {.payload_bytes = 4000 * 2000,
                             .width = 4000,
                             .height = 2000,
                             .format = WORKER_GRAY,
                             .scale = 1};
    uint8_t *picture = calloc(1, f.payload_bytes);
    assert_non_null(picture);
    f.payload = picture;
    assert_status(worker_run(s->w, &f, &s->result), WORKER_CRASHED);
    free(picture);
}

static void half_a_line_is_forgotten_with_its_process(void **state)
{
    struct stage *s = *state;
    use(s, "if count('starts') == 1:\n"
           "    send(b'{\"protocol\":')\n"
           "    os._exit(1)\n"
           "hello()\n"
           "if count('starts') == 3:\n"
           "    frame()\n"
           "    send(b'{\"seq\":0,')\n"
           "    os._exit(1)\n"
           "echo()\n");
    assert_status(run(s), WORKER_CRASHED);
    assert_status(run(s), WORKER_CRASHED);
    assert_status(run(s), WORKER_OK);
}

static void a_slow_start_is_neither_waited_for_nor_a_failure(void **state)
{
    struct stage *s = *state;
    s->o.timeout_us = SHORT_US;
    use(s, "wait_for('go')\nhello()\necho()\n");
    assert_status(run_until(s, 0), WORKER_STARTING);
    assert_status(run_until(s, 0), WORKER_STARTING);
    pid_t pid = pid_of(s);
    assert_true(pid > 0);
    assert_int_equal(worker_get_stats(s->w).n_failed_in_a_row, 0);
    assert_int_equal(worker_get_stats(s->w).by_status[WORKER_STARTING], 2);
    write_file(s, "go", "", "");
    assert_status(prepare(s), WORKER_OK);
    assert_int_equal(pid_of(s), pid);
    assert_int_equal(worker_get_stats(s->w).n_started, 1);
}

static void no_hello_in_time_is_a_timeout(void **state)
{
    struct stage *s = *state;
    s->o.start_us = SHORT_US;
    use_sh(s, "sleep 3600\n");
    assert_status(run_until(s, 0), WORKER_TIMEOUT);
    assert_non_null(strstr(worker_get_stats(s->w).last_failure, "hello"));
}

static void each_process_is_warmed_up_first(void **state)
{
    struct stage *s = *state;
    s->o.n_warmup = 3;
    s->o.warmup_jpeg = (const uint8_t *)"\xff\xd8warm";
    s->o.warmup_jpeg_bytes = 6;
    s->o.warmup_width = 641;
    s->o.warmup_height = 480;
    static const char script[] = "seq, w, h, d, p = frame()\n"
                                 "say(seq=0, error='%d %d %d %d' % (w, h, len(p), p[0]))\n"
                                 "for i in range(2): say(seq=frame()[0], result={})\n"
                                 "seq = frame()[0]\n"
                                 "say(seq=seq, result={'seq': seq})\n"
                                 "frame()\n"
                                 "os._exit(0)\n";
    char all[1000];
    snprintf(all, sizeof all, "hello()\n%s", script);
    use(s, all);
    for (unsigned i = 0; i < 2; i++) { /* the second process too */
        assert_status(run(s), WORKER_OK);
        assert_string_equal(text_str(&s->result), "{\"seq\":3}");
        assert_status(run_until(s, 0), WORKER_CRASHED);
    }
    assert_int_equal(worker_get_stats(s->w).by_status[WORKER_OK], 2);
}

static void warm_up_pictures_are_as_the_hello_asks(void **state)
{
    struct stage *s = *state;
    static const struct {
        const char *format;
        unsigned scale, w, h, bytes;
    } rows[] = {{"gray", 1, 641, 479, 641 * 479},
                {"gray", 2, 321, 240, 321 * 240},
                {"rgb", 8, 81, 60, 81 * 60 * 3},
                {"rgb", 1, 641, 479, 641 * 479 * 3}};
    s->o.n_warmup = 1;
    s->o.warmup_width = 641;
    s->o.warmup_height = 479;
    for (size_t i = 0; i < N(rows); i++) {
        char script[300], want[100];
        snprintf(script, sizeof script,
                 "hello(format='%s', scale=%u)\n"
                 "seq, w, h, d, p = frame()\n"
                 "open(here + 'seen', 'w').write('%%d %%d %%d %%d' %% (w, h, len(p), p[0]))\n"
                 "say(seq=0, result={})\nframe()\n",
                 rows[i].format, rows[i].scale);
        use(s, script);
        assert_status(prepare(s), WORKER_OK);
        char path[PATH_BYTES], seen[100] = "";
        path_of(s, "seen", path);
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        assert_non_null(fgets(seen, sizeof seen, f));
        fclose(f);
        snprintf(want, sizeof want, "%u %u %u 128", rows[i].w, rows[i].h, rows[i].bytes);
        assert_string_equal(seen, want);
    }
}

static void a_slow_warm_up_is_a_slow_start(void **state)
{
    struct stage *s = *state;
    s->o.n_warmup = 1;
    s->o.warmup_width = 4000; /* more than a socket holds: sent in parts, over several calls */
    s->o.warmup_height = 2000;
    s->o.timeout_us = SHORT_US;
    use(s, "hello(format='gray')\n"
           "wait_for('go')\n"
           "seq, w, h, d, p = frame()\n"
           "assert p == b'\\x80' * len(p)\n"
           "say(seq=0, result={})\n"
           "frame()\n");
    struct worker_hello h;
    struct worker_frame f = {.payload = (const uint8_t *)PAYLOAD,
                             .payload_bytes = 3,
                             .width = 3,
                             .height = 1,
                             .format = WORKER_GRAY,
                             .scale = 1};
    for (unsigned i = 0; i < 1000 && !worker_get_hello(s->w, &h); i++)
        assert_status(worker_run(s->w, &f, &s->result), WORKER_STARTING);
    assert_status(worker_run(s->w, &f, &s->result), WORKER_STARTING);
    write_file(s, "go", "", "");
    assert_status(prepare(s), WORKER_OK);
    assert_int_equal(worker_get_stats(s->w).n_started, 1);
}

static void a_frame_for_another_hello_is_not_sent(void **state)
{
    struct stage *s = *state;
    use(s, "hello(format='gray', scale=2)\necho()\n");
    assert_status(prepare(s), WORKER_OK);
    assert_status(run_until(s, 0), WORKER_STARTING); /* a JPEG */
    struct worker_frame f = {.payload = (const uint8_t *)PAYLOAD,
                             .payload_bytes = 3,
                             .width = 3,
                             .height = 1,
                             .format = WORKER_GRAY,
                             .scale = 2};
    assert_status(worker_run(s->w, &f, &s->result), WORKER_OK);
    assert_non_null(strstr(text_str(&s->result), "{\"seq\":0,"));
}

/* ---- the process ---- */

static void the_child_is_clean(void **state)
{
    struct stage *s = *state;
    sigset_t usr1, before;
    int leak = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, &before);
    signal(SIGUSR2, SIG_IGN);
    use(s, "hello()\n"
           "seq = frame()[0]\n"
           "st = dict(l.split(':\\t') for l in open('/proc/self/status').read().splitlines()\n"
           "          if l[:3] == 'Sig')\n"
           "ignored = int(st['SigIgn'], 16) & (1 << (signal.SIGUSR2 - 1))\n"
           "fds = os.listdir('/proc/self/fd')\n"
           "say(seq=0, result={'blocked': int(st['SigBlk'], 16), 'ignored': ignored,\n"
           "                   'fds': len(fds) - 1, 'leads': os.getpgid(0) == os.getpid()})\n"
           "frame()\n");
    enum worker_status st = run(s);
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGUSR2, SIG_DFL);
    close(leak);
    assert_status(st, WORKER_OK);
    assert_string_equal(text_str(&s->result),
                        "{\"blocked\":0,\"ignored\":0,\"fds\":3,\"leads\":true}");
}

static void free_ends_the_whole_group(void **state)
{
    struct stage *s = *state;
    use(s, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
           "child = os.fork()\n"
           "if child == 0: time.sleep(3600)\n"
           "hello()\n"
           "say(seq=frame()[0], result={'child': child})\n"
           "time.sleep(3600)\n");
    assert_status(run(s), WORKER_OK);
    pid_t pid = pid_of(s);
    pid_t child = (pid_t)strtol(text_str(&s->result) + strlen("{\"child\":"), NULL, 10);
    assert_true(pid > 0 && child > 0 && kill(pid, 0) == 0 && kill(child, 0) == 0);
    worker_free(s->w);
    s->w = NULL;
    assert_int_equal(kill(pid, 0), -1); /* reaped, not only dead */
    assert_true(is_dead_soon(child));
}

static void what_a_crash_leaves_ends_too(void **state)
{
    struct stage *s = *state;
    use(s, "child = os.fork()\n"
           "if child == 0:\n"
           "    os.closerange(0, 3)\n"
           "    time.sleep(3600)\n"
           "hello()\n"
           "say(seq=frame()[0], result={'child': child})\n"
           "os._exit(1)\n");
    assert_status(run(s), WORKER_OK);
    pid_t child = (pid_t)strtol(text_str(&s->result) + strlen("{\"child\":"), NULL, 10);
    assert_true(child > 0);
    assert_true(is_dead_soon(child));
}

static void *prepare_and_leave(void *arg)
{
    struct stage *s = arg;
    return prepare(s) == WORKER_OK ? s : NULL;
}

/* PR_SET_PDEATHSIG means the thread that forked, not the process. */
static void a_worker_outlives_the_thread_that_started_it(void **state)
{
    struct stage *s = *state;
    pthread_t thread;
    use(s, "hello()\necho()\n");
    assert_int_equal(pthread_create(&thread, NULL, prepare_and_leave, s), 0);
    void *prepared = NULL;
    pthread_join(thread, &prepared);
    assert_non_null(prepared);
    pid_t pid = pid_of(s);
    usleep(20000); /* for a signal that must not come */
    assert_status(run_until(s, 0), WORKER_OK);
    assert_int_equal(pid_of(s), pid);
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static bool has_child(void)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void two_hundred_restarts_leave_nothing_behind(void **state)
{
    struct stage *s = *state;
    unsigned n_fds = count_fds();
    assert_false(has_child());
    /* a good answer, so that the pauses stay short, then the end; 35 bytes are one frame */
    use_sh(s, "echo '{\"protocol\":1,\"name\":\"sh\"}'\n"
              "head -c 35 >/dev/null\n"
              "echo '{\"seq\":0,\"result\":{}}'\n"
              "exit 1\n");
    for (unsigned i = 0; i < 200; i++) {
        assert_status(run(s), WORKER_OK);
        assert_status(run_until(s, 0), WORKER_CRASHED);
    }
    struct worker_stats stats = worker_get_stats(s->w);
    assert_int_equal(stats.n_started, 200);
    assert_int_equal(stats.n_restarts, 199);
    worker_free(s->w);
    s->w = NULL;
    assert_int_equal(count_fds(), n_fds);
    assert_false(has_child());
}

static void freed_at_any_moment(void **state)
{
    struct stage *s = *state;
    unsigned n_fds = count_fds();
    worker_free(NULL);
    for (unsigned i = 0; i < 20; i++) {
        use_sh(s, "echo '{\"protocol\":1,\"name\":\"sh\"}'\nsleep 3600\n");
        if (i)
            worker_prepare(s->w, 50u * i * i);
        worker_free(s->w);
        s->w = NULL;
        assert_int_equal(count_fds(), n_fds);
        assert_false(has_child());
    }
}

/* ---- stderr ---- */

/* fd 2 goes into a file while the worker runs; gives the file, to be closed. */
static FILE *run_with_log(struct stage *s, const char *script, enum worker_status *st)
{
    FILE *log = tmpfile();
    int before = dup(STDERR_FILENO);
    assert_non_null(log);
    dup2(fileno(log), STDERR_FILENO);
    write_file(s, "worker.py", prelude, script);
    s->w = worker_new(&s->o, NULL);
    *st = s->w ? run(s) : WORKER_CRASHED;
    worker_free(s->w);
    s->w = NULL;
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(log);
    return log;
}

static void a_chatty_worker_neither_blocks_nor_floods(void **state)
{
    struct stage *s = *state;
    enum worker_status st;
    FILE *log = run_with_log(s,
                             "for i in range(20000): os.write(2, b'noise number %d\\n' % i)\n"
                             "hello()\n"
                             "echo()\n",
                             &st);
    unsigned n_told = 0, n_suppressed = 0;
    char line[5000];
    while (fgets(line, sizeof line, log)) {
        const char *count = strstr(line, "suppressed=");
        n_told += strstr(line, "worker_stderr pipeline=test text=\"noise number ") != NULL;
        n_suppressed += count ? (unsigned)strtoul(count + 11, NULL, 10) : 0;
    }
    fclose(log);
    assert_status(st, WORKER_OK);
    assert_true(n_told >= 20);
    assert_true(n_suppressed > 0);
    assert_int_equal(n_told + n_suppressed, 20000);
}

static void last_words_reach_the_log_without_control_characters(void **state)
{
    struct stage *s = *state;
    enum worker_status st;
    FILE *log = run_with_log(s, "os.write(2, b'\\x1b[2Jred\\n\\nthe end')\nos._exit(3)\n", &st);
    bool red = false, end = false, status = false, escape = false;
    char line[5000];
    while (fgets(line, sizeof line, log)) {
        red |= strstr(line, "text=\"?[2Jred\"") != NULL;
        end |= strstr(line, "text=\"the end\"") != NULL;
        status |= strstr(line, "worker_exit") && strstr(line, "status=3");
        escape |= strchr(line, '\x1b') != NULL;
    }
    fclose(log);
    assert_status(st, WORKER_CRASHED);
    assert_true(red && end && status && !escape);
}

/* ---- unix: ---- */

static pid_t start_listener(struct stage *s, const char *script)
{
    char file[PATH_BYTES];
    char *argv[] = {"python3", "-S", "-E", "-B", file, NULL};
    pid_t pid;
    path_of(s, "listener.py", file);
    write_file(s, "listener.py", prelude, script);
    assert_int_equal(posix_spawn(&pid, "/usr/bin/python3", NULL, NULL, argv, environ), 0);
    return pid;
}

static void a_running_worker_is_connected_to_again_and_again(void **state)
{
    struct stage *s = *state;
    path_of(s, "socket", s->path);
    s->o.command = NULL;
    s->o.path = s->path;
    s->w = worker_new(&s->o, NULL);
    assert_non_null(s->w);
    assert_status(run_until(s, 0), WORKER_CRASHED); /* nobody there */
    assert_non_null(strstr(worker_get_stats(s->w).last_failure, s->path));
    assert_int_equal(worker_get_stats(s->w).n_started, 0);
    pid_t pid = start_listener(s, "listener = socket.socket(socket.AF_UNIX)\n"
                                  "listener.bind(here + 'socket')\n"
                                  "listener.listen()\n"
                                  "while True:\n"
                                  "    c, a = listener.accept()\n"
                                  "    fd_in = fd_out = c.fileno()\n"
                                  "    hello()\n"
                                  "    for i in range(2):\n"
                                  "        seq = frame()[0]\n"
                                  "        say(seq=seq, result={'seq': seq})\n"
                                  "    c.close()\n");
    uint64_t until_us = clock_now_us() + PATIENCE_US;
    while (prepare(s) == WORKER_CRASHED && clock_now_us() < until_us)
        usleep(1000);
    for (unsigned i = 0; i < 3; i++) {
        assert_status(run(s), WORKER_OK);
        assert_string_equal(text_str(&s->result), "{\"seq\":0}");
        assert_status(run_until(s, 0), WORKER_OK);
        assert_string_equal(text_str(&s->result), "{\"seq\":1}");
        assert_status(run_until(s, 0), WORKER_CRASHED);
    }
    assert_int_equal(worker_get_stats(s->w).n_started, 3);
    assert_int_equal(worker_get_stats(s->w).n_restarts, 2);
    assert_int_equal(kill(pid, SIGKILL), 0); /* it was never ours to kill */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- the rest ---- */

static void wrong_options_are_refused(void **state)
{
    (void)state;
    char longest[200];
    memset(longest, 'x', sizeof longest);
    longest[108] = '\0';
    const struct worker_options rows[] = {
        {.name = "none"},
        {.name = "both", .command = "true", .path = "/x"},
        {.name = "empty", .path = ""},
        {.name = "long", .path = longest},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct err e = {.text = ""};
        assert_null(worker_new(&rows[i], &e));
        assert_true(e.text[0]);
    }
}

static void pauses_double_up_to_10_s(void **state)
{
    (void)state;
    static const struct {
        unsigned n_failed;
        uint64_t want_us;
    } rows[] = {{0, 0},       {1, 100000},   {2, 200000},   {3, 400000},    {6, 3200000},
                {7, 6400000}, {8, 10000000}, {9, 10000000}, {64, 10000000}, {UINT32_MAX, 10000000}};
    for (size_t i = 0; i < N(rows); i++)
        assert_int_equal(worker_pause_us(WORKER_PAUSE_US, rows[i].n_failed), rows[i].want_us);
}

static void statuses_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"ok",      "error",      "timeout", "garbage",
                                        "crashed", "restarting", "starting"};
    assert_int_equal(N(names), WORKER_STATUSES);
    for (unsigned i = 0; i < WORKER_STATUSES; i++)
        assert_string_equal(worker_status_name((enum worker_status)i), names[i]);
}

/* ---- other hosts: this program again ---- */

/* Starts a worker that heeds nothing, tells its pid and waits to be killed. */
static int be_a_host(const char *dir)
{
    char command[200];
    snprintf(command, sizeof command, "sh %s/worker.py", dir);
    struct worker_options o = {.name = "host", .command = command};
    struct worker *w = worker_new(&o, NULL);
    if (!w || worker_prepare(w, PATIENCE_US) != WORKER_OK)
        return 1;
    printf("%d\n", (int)worker_get_stats(w).pid);
    fflush(stdout);
    for (;;)
        pause();
}

static void workers_die_with_their_host(void **state)
{
    struct stage *s = *state;
    char *argv[] = {"test_worker", "host", s->dir, NULL};
    char line[50] = "";
    int ends[2];
    pid_t host;
    posix_spawn_file_actions_t actions;
    use_sh(s, "trap '' TERM HUP INT\necho '{\"protocol\":1,\"name\":\"sh\"}'\n"
              "while :; do sleep 1; done\n");
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    assert_int_equal(posix_spawn(&host, "/proc/self/exe", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    FILE *f = fdopen(ends[0], "re");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    pid_t pid = (pid_t)strtol(line, NULL, 10);
    assert_true(pid > 0 && kill(pid, 0) == 0);
    kill(host, SIGKILL);
    assert_int_equal(waitpid(host, NULL, 0), host);
    assert_true(is_dead_soon(pid));
    fclose(f);
}

#define T(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(good_worker_answers_every_frame),
        T(big_frames_and_big_answers_pass),
        T(an_error_is_of_the_frame_and_the_worker_goes_on),
        T(a_result_without_room_is_an_error),
        T(a_worker_that_takes_too_long_is_replaced),
        T(its_replacement_counts_from_0),
        T(a_frames_own_deadline_does_not_end_the_worker),
        T(answers_of_earlier_frames_are_discarded),
        T(garbage_ends_the_worker),
        T(an_answer_before_its_frame_is_garbage),
        T(a_crash_is_told_and_a_good_answer_forgets_it),
        T(a_crash_between_frames_is_told_by_the_next),
        T(what_cannot_start_is_a_crash),
        T(a_worker_that_never_reads_cannot_hold_a_frame),
        T(a_crash_amid_a_frame_is_told),
        T(half_a_line_is_forgotten_with_its_process),
        T(a_slow_start_is_neither_waited_for_nor_a_failure),
        T(no_hello_in_time_is_a_timeout),
        T(each_process_is_warmed_up_first),
        T(warm_up_pictures_are_as_the_hello_asks),
        T(a_slow_warm_up_is_a_slow_start),
        T(a_frame_for_another_hello_is_not_sent),
        T(the_child_is_clean),
        T(free_ends_the_whole_group),
        T(what_a_crash_leaves_ends_too),
        T(a_worker_outlives_the_thread_that_started_it),
        T(two_hundred_restarts_leave_nothing_behind),
        T(freed_at_any_moment),
        T(a_chatty_worker_neither_blocks_nor_floods),
        T(last_words_reach_the_log_without_control_characters),
        T(a_running_worker_is_connected_to_again_and_again),
        T(wrong_options_are_refused),
        T(pauses_double_up_to_10_s),
        T(statuses_have_names),
        T(workers_die_with_their_host),
    };
    if (argc == 3 && strcmp(argv[1], "host") == 0)
        return be_a_host(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
