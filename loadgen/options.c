#include "loadgen/options.h"

#include "loadgen/compare.h"
#include "loadgen/gate.h"

#define R          (1u << COMMAND_RUN)
#define C          (1u << COMMAND_CAPACITY)
#define D          (1u << COMMAND_COMPARE)
#define M          (1u << COMMAND_MERGE)
#define T          (1u << COMMAND_REPORT)
#define LOAD       (R | C)
#define TOLD       (R | M | T)
#define AT(member) .at = offsetof(struct settings, member)

static const char *const phase_names[] = {"even", "random", "aligned", NULL};
static const char *const reconnect_names[] = {"none", "immediate", "backoff", NULL};
static const char *const wait_names[] = {"auto", "sleep", "spin", NULL};
static const char *const vary_names[] = {"sessions", "fps", NULL};
static const char *const color_names[] = {"auto", "always", "never", NULL};

static int check_gate(const char *text, struct err *why)
{
    struct gate g;
    return gate_parse(&g, text, why);
}

static int check_limits(const char *text, struct err *why)
{
    struct compare_limits l;
    return compare_parse_limits(&l, text, why);
}

/* clang-format off */
static const struct opt opts[] = {
    {.kind = OPT_COUNT, .letter = 's', .name = "sessions", .arg = "N", .def = "10", .min = 1,
     .max = 1000000, .commands = LOAD, AT(sessions),
     .help = "play N cameras"},
    {.kind = OPT_REAL, .letter = 'f', .name = "fps", .arg = "F", .def = "30", .min = 0.01,
     .max = 1000, .commands = LOAD, AT(fps),
     .help = "each sends F frames per second"},
    {.kind = OPT_TIME_US, .letter = 'd', .name = "duration", .arg = "TIME", .def = "10s",
     .min = 100000, .max = 604800e6, .commands = LOAD, AT(duration_us),
     .help = "frames are due for TIME, the warm-up included; capacity: each trial"},
    {.kind = OPT_TIME_US, .letter = 'w', .name = "warmup", .arg = "TIME", .def = "0", .min = 0,
     .max = 86400e6, .commands = LOAD, AT(warmup_us),
     .help = "show the first TIME in the series, but count it nowhere else"},
    {.kind = OPT_TEXT, .name = "stages", .arg = "STAGES", .commands = R, AT(stages),
     .help = "instead of --sessions and --duration: TIME:N,TIME:N...; each goes evenly from the "
             "sessions there are to N, as in 10s:50,60s:50,10s:0"},
    {.kind = OPT_TEXT, .letter = 'p', .name = "pipeline", .arg = "NAME", .def = "motion",
     .commands = LOAD, AT(pipeline),
     .help = "the server's pipeline to run"},
    {.kind = OPT_TEXT, .name = "frames", .arg = "PATH", .commands = LOAD, AT(frames),
     .help = "send the JPEGs of a folder or of an MJPEG file, one after the other, instead of made "
             "ones"},
    {.kind = OPT_BYTES, .name = "size", .arg = "BYTES", .def = "46KB", .min = 1024,
     .max = 1073741824, .commands = LOAD, AT(size_bytes),
     .help = "make frames of this size"},
    {.kind = OPT_TEXT, .name = "geometry", .arg = "WxH", .def = "640x480", .commands = LOAD,
     AT(geometry),
     .help = "make frames of this width and height, in pixels"},
    {.kind = OPT_TEXT, .name = "profiles", .arg = "FILE", .commands = LOAD, AT(profiles),
     .help = "a mix of cameras: a line is NAME weight=N fps=F size=BYTES geometry=WxH pipeline=NAME "
             "frames=PATH fragment=BYTES slow-reader=TIME in-flight=N burst=ON/OFF tag.KEY=VALUE, all "
             "but NAME optional"},
    {.kind = OPT_CHOICE, .name = "phase", .arg = "WHAT", .def = "even", .choices = phase_names,
     .commands = LOAD, AT(phase),
     .help = "when in the interval the sessions send: even, random or aligned (all at once)"},
    {.kind = OPT_COUNT, .name = "seed", .arg = "N", .def = "1", .min = 0, .max = 1e15,
     .commands = LOAD, AT(seed),
     .help = "for --phase random"},
    {.kind = OPT_COUNT, .name = "in-flight", .arg = "N", .def = "0", .min = 0, .max = 1000000,
     .commands = LOAD, AT(in_flight),
     .help = "hold back what would be more than N unanswered frames in a session; 0: no limit"},
    {.kind = OPT_FLAG, .name = "adapt", .commands = LOAD, AT(adapt),
     .help = "sessions lower their rate as streamctl does; 2 frames in flight unless --in-flight says "
             "otherwise"},
    {.kind = OPT_BYTES, .name = "fragment", .arg = "BYTES", .def = "0", .min = 0,
     .max = 1073741824, .commands = LOAD, AT(fragment_bytes),
     .help = "send a frame in WebSocket fragments of this size; 0: in one"},
    {.kind = OPT_TIME_US, .name = "slow-reader", .arg = "TIME", .def = "0", .min = 0,
     .max = 3600e6, .commands = LOAD, AT(slow_reader_us),
     .help = "read answers only once every TIME; 0: as they come"},
    {.kind = OPT_CHOICE, .name = "reconnect", .arg = "WHAT", .def = "none",
     .choices = reconnect_names, .commands = LOAD, AT(reconnect),
     .help = "a session that is lost connects again: none, immediate or backoff"},
    {.kind = OPT_REAL, .name = "churn", .arg = "N", .def = "0", .min = 0, .max = 100000,
     .commands = LOAD, AT(churn_per_s),
     .help = "N sessions per second, one after the other, hang up and connect again"},
    {.kind = OPT_REAL, .name = "connect-rate", .arg = "N", .def = "1000", .min = 0.1,
     .max = 1000000, .commands = LOAD, AT(connect_per_s),
     .help = "connect N sessions per second before the start"},
    {.kind = OPT_TIME_US, .letter = 'b', .name = "budget", .arg = "TIME", .def = "37ms",
     .min = 1000, .max = 3600e6, .commands = LOAD, AT(budget_us),
     .help = "an answer later than TIME after its frame was due is late"},
    {.kind = OPT_TIME_US, .name = "answer-timeout", .arg = "TIME", .def = "5s", .min = 10000,
     .max = 3600e6, .commands = LOAD, AT(answer_timeout_us),
     .help = "a frame without an answer after TIME is unanswered"},
    {.kind = OPT_COUNT, .letter = 't', .name = "threads", .arg = "N", .def = "1", .min = 1,
     .max = 256, .commands = LOAD, AT(threads),
     .help = "spread the sessions over N threads"},
    {.kind = OPT_CHOICE, .name = "wait", .arg = "HOW", .def = "auto", .choices = wait_names,
     .commands = LOAD, AT(wait),
     .help = "wait for the next frame by sleep or by spin; auto: spin where sleeping is late and "
             "there are processors to spare"},
    {.kind = OPT_TEXT, .name = "segment", .arg = "I/N", .commands = R, AT(segment),
     .help = "play only part I of N; `streamload merge` puts the parts together"},
    {.kind = OPT_TEXT, .name = "start-at", .arg = "WHEN", .commands = R, AT(start_at),
     .help = "the first frames are due at WHEN (Unix seconds), so that segments start together"},
    {.kind = OPT_TEXT, .name = "cacert", .arg = "FILE", .commands = LOAD, AT(cacert),
     .help = "trust the certificates in FILE"},
    {.kind = OPT_FLAG, .letter = 'k', .name = "insecure", .commands = LOAD, AT(insecure),
     .help = "do not check the server's certificate"},

    {.kind = OPT_LIST, .letter = 'g', .name = "gate", .arg = "GATE",
     .commands = R | C | M | T, AT(gates), .check = check_gate,
     .help = "what must hold, as in 'latency.p99<37ms'; may be given several times; warn: in front "
             "only reports"},
    {.kind = OPT_TIME_US, .name = "abort-on-fail", .arg = "TIME", .def = "0", .min = 0,
     .max = 86400e6, .commands = R, AT(abort_us),
     .help = "end the run when a gate fails for TIME; 0: never"},
    {.kind = OPT_LIST, .name = "baseline", .arg = "FILE", .commands = R, AT(baselines),
     .help = "compare with the report in FILE; may be given several times"},
    {.kind = OPT_TEXT, .name = "max-regress", .arg = "LIMITS", .commands = R | D, AT(max_regress), .check = check_limits,
     .help = "how much worse a metric may be, as in 'latency.p99=10%+2ms,drop_rate=+0.2pp'"},

    {.kind = OPT_CHOICE, .name = "vary", .arg = "WHAT", .def = "sessions", .choices = vary_names,
     .commands = C, AT(vary),
     .help = "look for the largest number of sessions, or the highest fps"},
    {.kind = OPT_COUNT, .name = "from", .arg = "N", .def = "1", .min = 1, .max = 1000000,
     .commands = C, AT(from),
     .help = "begin with N"},
    {.kind = OPT_COUNT, .name = "to", .arg = "N", .def = "10000", .min = 1, .max = 1000000,
     .commands = C, AT(to),
     .help = "do not try more than N"},

    {.kind = OPT_TEXT, .name = "json", .arg = "FILE", .commands = TOLD | D | C, AT(json),
     .help = "write the report, raw data included; - is standard output, here and below"},
    {.kind = OPT_TEXT, .name = "junit", .arg = "FILE", .commands = TOLD | D, AT(junit),
     .help = "write JUnit XML, one test case per gate"},
    {.kind = OPT_TEXT, .name = "markdown", .arg = "FILE", .commands = TOLD | D, AT(markdown),
     .help = "write Markdown; appended to $GITHUB_STEP_SUMMARY too, when that is set"},
    {.kind = OPT_TEXT, .name = "csv", .arg = "FILE", .commands = TOLD, AT(csv),
     .help = "write one line per second"},
    {.kind = OPT_TEXT, .name = "prom", .arg = "FILE", .commands = TOLD, AT(prom),
     .help = "write Prometheus text"},
    {.kind = OPT_TEXT, .name = "hdr", .arg = "FILE", .commands = TOLD, AT(hdr),
     .help = "write an HdrHistogram log"},
    {.kind = OPT_TEXT, .name = "html", .arg = "FILE", .commands = TOLD, AT(html),
     .help = "write a page to look at: one file, no network"},
    {.kind = OPT_FLAG, .letter = 'q', .name = "quiet", AT(quiet),
     .help = "on standard error nothing but errors"},
    {.kind = OPT_CHOICE, .name = "color", .arg = "WHEN", .def = "auto", .choices = color_names,
     AT(color),
     .help = "color what a terminal shows: auto, always or never"},
};
/* clang-format on */

static const struct opt_command commands[] = {
    [COMMAND_RUN] = {"run", "[URL]", "play cameras, measure, judge", 0, 1},
    [COMMAND_CAPACITY] = {"capacity", "[URL]", "find how many cameras keep the gates", 0, 1},
    [COMMAND_COMPARE] = {"compare", "BASE... [vs] NEW...", "did it get worse?", 2, 100000},
    [COMMAND_MERGE] = {"merge", "FILE...", "put the segments of a run together", 1, 100000},
    [COMMAND_REPORT] = {"report", "FILE", "make any output from a run's JSON file", 1, 1},
};

const struct opt_program streamload_program = {
    .name = "streamload",
    .summary = "play many cameras, measure drops and latency, judge",
    .version = VERSION,
    .opts = opts,
    .n_opts = sizeof opts / sizeof opts[0],
    .commands = commands,
    .n_commands = sizeof commands / sizeof commands[0],
    .epilog =
        "URL is ws://HOST:PORT, wss://HOST:PORT or HOST:PORT; default ws://localhost:8000.\n"
        "Exit: 0 all gates pass, 4 a gate failed, 5 the measurement is invalid, 6 a regression,\n"
        "1 failed, 2 wrong usage, 3 the server cannot be reached, 130 interrupted.\n"
        "\n"
        "Examples:\n"
        "  streamload run --sessions 50 --duration 30s --gate 'latency.p99<37ms' gpu-box:8000\n"
        "  streamload run --json new.json && streamload compare base.json new.json\n"
        "  streamload capacity --gate 'latency.p99<37ms' --gate 'drop_rate<=1%'\n"
        "  streamload report run.json --html run.html\n",
};
