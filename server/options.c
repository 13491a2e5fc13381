#include "server/options.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

static const char *const policies[] = {"latest", "strict", "phase17", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

#define MINUTES(n)  ((n)*60e6)
#define WORKERS_MAX 1024
#define IO_MAX      256
#define PIXELS_MAX  1e9 /* RGB of more has no length in 32 bits, which workers are told */

/* That this process may run on, which taskset or a container can make fewer than there are. */
static uint64_t n_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (uint64_t)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN); /* more than fit in the set */
    return n > 0 ? (uint64_t)n : 1;
}

static int read_workers(const char *text, uint64_t *n, struct err *e)
{
    if (strcmp(text, "auto") == 0)
        *n = n_cores();
    else if (opt_parse_count(text, n, NULL) < 0 || *n > WORKERS_MAX)
        return err_set(e, EXIT_USAGE, "'%.80s' is neither auto nor a number from 0 to %d", text,
                       WORKERS_MAX);
    return 0;
}

/* One I/O thread takes what the workers of several cores can do, but with pipelines on the I/O
 * threads themselves they are all there is. */
static int read_io_threads(const char *text, uint64_t n_workers, uint64_t *n, struct err *e)
{
    if (strcmp(text, "auto") == 0)
        *n = n_workers ? (n_cores() + 3) / 4 : n_cores();
    else if (opt_parse_count(text, n, NULL) < 0 || *n < 1 || *n > IO_MAX)
        return err_set(e, EXIT_USAGE, "'%.80s' is neither auto nor a number from 1 to %d", text,
                       IO_MAX);
    return 0;
}

static int read_budget(const char *text, uint64_t *us, struct err *e)
{
    if (strcmp(text, "off") == 0) {
        *us = 0;
        return 0;
    }
    int rc = opt_parse_time_us(text, us, e);
    if (rc == 0 && (*us < 1000 || *us > 60000000))
        return err_set(e, EXIT_USAGE, "'%.80s' is neither off nor a time from 1ms to 60s", text);
    return rc;
}

static int check_budget(const char *text, struct err *why)
{
    uint64_t us;
    return read_budget(text, &us, why);
}

static int check_workers(const char *text, struct err *why)
{
    uint64_t n;
    return read_workers(text, &n, why);
}

static int check_io_threads(const char *text, struct err *why)
{
    uint64_t n;
    return read_io_threads(text, 0, &n, why);
}

static const struct opt opts[] = {
    {.kind = OPT_LIST,
     .letter = 'l',
     .name = "listen",
     .arg = "ADDRESS",
     .def = "localhost:8000",
     OPT_AT(settings, listen),
     .help = "listen on HOST:PORT; may be given more than once; localhost is both 127.0.0.1 and "
             "::1; port 0 takes a free one and logs it"},
    {.kind = OPT_LIST,
     .letter = 'p',
     .name = "pipeline",
     .arg = "SPEC",
     OPT_AT(settings, pipelines),
     .help = "offer a pipeline NAME=KIND[:key=value,...], for example door=motion:threshold=30, "
             "people=exec:COMMAND or both=motion+face; may be given more than once; every kind "
             "is there under its own name anyway"},
    {.kind = OPT_TEXT,
     .letter = 'w',
     .name = "workers",
     .arg = "N",
     .def = "auto",
     OPT_AT(settings, workers_text),
     .check = check_workers,
     .help = "run pipelines in N threads; auto is one per core; 0 runs them on the I/O threads, "
             "which pays for the cheapest ones only"},
    {.kind = OPT_TIME_US,
     .name = "inline-below",
     .arg = "TIME",
     .def = "20us",
     .min = 0,
     .max = 1e6,
     OPT_AT(settings, inline_below_us),
     .help = "run a session's frames on its I/O thread while they keep taking less than TIME, "
             "which is what handing them to a worker costs; 0 never does"},
    {.kind = OPT_TEXT,
     .name = "io-threads",
     .arg = "N",
     .def = "auto",
     OPT_AT(settings, io_threads_text),
     .check = check_io_threads,
     .help = "receive and answer in N threads; auto is one for every four cores, or one per core "
             "with --workers 0"},

    {.kind = OPT_TEXT,
     .letter = 'b',
     .name = "budget",
     .arg = "TIME",
     .def = "37ms",
     OPT_AT(settings, budget_text),
     .check = check_budget,
     .help = "drop a frame that can no longer be answered within TIME of its arrival, where a "
             "fresh one can; off never does"},
    {.kind = OPT_CHOICE,
     .name = "policy",
     .arg = "POLICY",
     .def = "latest",
     .choices = policies,
     OPT_AT(settings, policy),
     .help = "latest keeps the newest frame of a busy session; strict keeps none; phase17 is the "
             "published cumulative rule, for comparison only: it does not recover"},
    {.kind = OPT_REAL,
     .name = "drop-threshold",
     .arg = "RATE",
     .def = "0.10",
     .min = 0,
     .max = 1,
     OPT_AT(settings, drop_threshold),
     .env = "STREAM_DROP_THRESHOLD",
     .help = "share of dropped frames above which a session is in state warning"},
    {.kind = OPT_REAL,
     .name = "slowdown-threshold",
     .arg = "RATE",
     .def = "0.30",
     .min = 0,
     .max = 1,
     OPT_AT(settings, slow_down_threshold),
     .env = "STREAM_SLOWDOWN_THRESHOLD",
     .help = "share of dropped frames above which it is critical and slow_down is sent"},
    {.kind = OPT_TIME_US,
     .name = "slow-down-rearm",
     .arg = "TIME",
     .def = "0",
     .min = 0,
     .max = MINUTES(1440),
     OPT_AT(settings, rearm_us),
     .help = "send slow_down again when a session was normal for TIME since the last one; 0 sends "
             "it once a session, as existing clients expect"},
    {.kind = OPT_REAL,
     .name = "max-frame-size-mb",
     .arg = "MIB",
     .def = "5",
     .min = 0.000004,
     .max = 256,
     OPT_AT(settings, frame_mib_max),
     .env = "STREAM_MAX_FRAME_SIZE_MB",
     .help = "refuse a larger frame, in MiB; fractions are fine"},
    {.kind = OPT_REAL,
     .name = "max-message-mb",
     .arg = "MIB",
     .def = "16",
     .min = 0.000004,
     .max = 1024,
     OPT_AT(settings, message_mib_max),
     .help = "hang up on a larger message without an answer (close code 1009); at least the "
             "frame limit"},
    {.kind = OPT_COUNT,
     .name = "max-pixels",
     .arg = "N",
     .def = "64000000",
     .min = 1,
     .max = PIXELS_MAX,
     OPT_AT(settings, pixels_max),
     .help = "do not decode a picture of more than N pixels, width times height; its session ends"},
    {.kind = OPT_BYTES,
     .name = "max-memory",
     .arg = "SIZE",
     .def = "1GiB",
     .min = 0,
     .max = 1e15,
     OPT_AT(settings, memory_bytes_max),
     .help = "drop frames (reason memory) that would take all frames together above SIZE; 0 is no "
             "limit"},
    {.kind = OPT_COUNT,
     .name = "recommended-sessions",
     .arg = "N",
     .def = "10",
     .min = 1,
     .max = 1e6,
     OPT_AT(settings, recommended_sessions),
     .env = "STREAM_MAX_SESSIONS",
     .help = "warn in the log when there are more sessions than N"},
    {.kind = OPT_COUNT,
     .name = "max-sessions",
     .arg = "N",
     .def = "0",
     .min = 0,
     .max = 1e6,
     OPT_AT(settings, sessions_max),
     .help = "refuse sessions above N (close code 1013); 0 is no limit"},

    {.kind = OPT_TIME_US,
     .name = "idle-timeout",
     .arg = "TIME",
     .def = "60s",
     .min = 0,
     .max = MINUTES(1440),
     OPT_AT(settings, idle_timeout_us),
     .help = "close a session that sent nothing for TIME; 0 is never"},
    {.kind = OPT_TIME_US,
     .name = "reply-timeout",
     .arg = "TIME",
     .def = "5s",
     .min = 1000,
     .max = MINUTES(10),
     OPT_AT(settings, reply_timeout_us),
     .help = "disconnect a client that leaves a reply unread for TIME"},
    {.kind = OPT_BYTES,
     .name = "reply-buffer",
     .arg = "SIZE",
     .def = "256KiB",
     .min = 1024,
     .max = 1 << 30,
     OPT_AT(settings, reply_bytes_max),
     .help = "disconnect a client that leaves more than SIZE of replies unread"},
    {.kind = OPT_TIME_US,
     .name = "drain-timeout",
     .arg = "TIME",
     .def = "5s",
     .min = 0,
     .max = MINUTES(10),
     OPT_AT(settings, drain_timeout_us),
     .help = "after SIGTERM, wait at most TIME for what is in work and for clients to close"},

    {.kind = OPT_CHOICE,
     .name = "log-format",
     .arg = "FORMAT",
     .def = "text",
     .choices = log_formats,
     OPT_AT(settings, log_format),
     .help = "how events are told on stderr"},
    {.kind = OPT_CHOICE,
     .name = "log-level",
     .arg = "LEVEL",
     .def = "info",
     .choices = log_levels,
     OPT_AT(settings, log_level),
     .help = "tell events of LEVEL and above"},
    {.kind = OPT_FLAG,
     .name = "list-pipelines",
     OPT_AT(settings, list_pipelines),
     .help = "print the pipelines that would be offered, and end"},
    {.kind = OPT_FLAG, .name = "json", OPT_AT(settings, json), .help = "print that list as JSON"},
};

const struct opt_program streamd_program = {
    .name = "streamd",
    .summary = "answer camera frames within the budget, or drop them early",
    .version = VERSION,
    .opts = opts,
    .n_opts = sizeof opts / sizeof opts[0],
    .epilog = "Examples:\n"
              "  streamd\n"
              "  streamd --listen :9000 --pipeline door=motion:threshold=30 --workers 4\n"
              "  curl localhost:8000/pipelines\n",
};

int settings_parse(int argc, char **argv, struct settings *s, struct opt_values *v, struct err *e)
{
    int rc = opt_parse(&streamd_program, argc, argv, s, sizeof *s, v, e);
    if (rc < 0 || v->done)
        return rc;
    if (v->n_args)
        return err_set(e, EXIT_USAGE, "unexpected argument '%s'; see streamd --help", v->args[0]);
    if (s->slow_down_threshold < s->drop_threshold)
        return err_set(e, EXIT_USAGE,
                       "--slowdown-threshold %g is below --drop-threshold %g: the first is where "
                       "clients are asked to slow down, the second where drops begin to matter",
                       s->slow_down_threshold, s->drop_threshold);
    read_budget(s->budget_text, &s->budget_us, e); /* both were checked already */
    int ok = read_workers(s->workers_text, &s->n_workers, e);
    return ok < 0 ? ok : read_io_threads(s->io_threads_text, s->n_workers, &s->n_io_threads, e);
}
