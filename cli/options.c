#include "cli/options.h"

#include "cli/flight.h"

#define S          (1u << COMMAND_STREAM)
#define P          (1u << COMMAND_PROBE)
#define D          (1u << COMMAND_DEVICES)
#define C          (1u << COMMAND_CONTROLS)
#define N          (1u << COMMAND_SNAP)
#define AT(member) .at = offsetof(struct settings, member)

static const char *const idle_names[] = {"keep", "close", NULL};
static const char *const adapt_names[] = {"fps", "quality", "size", "all", NULL};
static const char *const color_names[] = {"auto", "always", "never", NULL};

/* clang-format off */
static const struct opt opts[] = {
    {.kind = OPT_TEXT, .letter = 'p', .name = "pipeline", .arg = "NAME", .def = "motion",
     .commands = S | P | N, AT(pipeline),
     .help = "the server's pipeline to run; `streamctl pipelines` lists them"},
    {.kind = OPT_REAL, .letter = 'f', .name = "fps", .arg = "F", .def = "0", .min = 0,
     .max = 1000, .commands = S, AT(fps),
     .help = "send at most F frames per second; 0: as many as the source gives"},
    {.kind = OPT_COUNT, .name = "skip-frames", .arg = "N", .def = "1", .min = 0, .max = 1000000,
     .commands = S, AT(skip_frames),
     .help = "consider only every Nth frame of the source"},
    {.kind = OPT_COUNT, .name = "in-flight", .arg = "N", .def = "2", .min = 1, .max = FLIGHT_MAX,
     .commands = S, AT(in_flight),
     .help = "send at most N frames ahead of their answers"},
    {.kind = OPT_COUNT, .letter = 'n', .name = "count", .arg = "N", .def = "0", .min = 0,
     .max = 1e15, .commands = S | P | N, AT(count),
     .help = "stop when N frames were sent and are settled; 0: never, for probe 20, for snap "
             "--annotate 10"},
    {.kind = OPT_TIME_US, .letter = 'd', .name = "duration", .arg = "TIME", .def = "0", .min = 0,
     .max = 1e15, .commands = S, AT(duration_us),
     .help = "stop after TIME; 0: never"},
    {.kind = OPT_TIME_US, .letter = 'b', .name = "budget", .arg = "TIME", .def = "37ms",
     .min = 1000, .max = 3600e6, .commands = S | P, AT(budget_us),
     .help = "an answer later than TIME after the capture is late"},
    {.kind = OPT_CHOICE, .name = "adapt", .arg = "WHAT", .def = "fps", .choices = adapt_names,
     .commands = S, AT(adapt),
     .help = "what to lower first when the link is too slow: fps, quality, size, or all (quality, "
             "then size); when the server is too slow it is always the rate"},
    {.kind = OPT_FLAG, .name = "reencode", .commands = S, AT(reencode),
     .help = "encode pictures of a camera again where --adapt wants it; their metadata is lost"},
    {.kind = OPT_FLAG, .name = "no-adapt", .commands = S, AT(no_adapt),
     .help = "lower nothing, whatever is dropped, late or stuck"},
    {.kind = OPT_REAL, .name = "min-fps", .arg = "F", .def = "1", .min = 0.01, .max = 1000,
     .commands = S, AT(min_fps),
     .help = "never lower the rate below F frames per second"},
    {.kind = OPT_FLAG, .name = "no-reconnect", .commands = S, AT(no_reconnect),
     .help = "end when the server, a camera or an HTTP source cannot be reached or is lost"},
    {.kind = OPT_TIME_US, .name = "answer-timeout", .arg = "TIME", .def = "5s", .min = 10000,
     .max = 3600e6, .commands = S | P | N, AT(answer_timeout_us),
     .help = "a frame without an answer after TIME is unanswered; connect again when nothing "
             "else came either"},
    {.kind = OPT_CHOICE, .name = "idle", .arg = "WHAT", .def = "keep", .choices = idle_names,
     .commands = S, AT(idle),
     .help = "keep or close the source while there is no connection"},
    {.kind = OPT_REAL, .name = "source-fps", .arg = "F", .def = "30", .min = 0.01, .max = 1000,
     .commands = S | N, AT(source_fps),
     .help = "play files at F frames per second"},
    {.kind = OPT_FLAG, .name = "loop", .commands = S | N, AT(loop),
     .help = "play files again and again"},
    {.kind = OPT_TIME_US, .name = "stall", .arg = "TIME", .def = "3s", .min = 100000,
     .max = 3600e6, .commands = S | N, AT(stall_us),
     .help = "open a camera or an HTTP source again when it gives no frame for TIME"},
    {.kind = OPT_TIME_US, .name = "poll", .arg = "TIME", .def = "100ms", .min = 1000,
     .max = 3600e6, .commands = S | N, AT(poll_us),
     .help = "ask for a single JPEG over HTTP again after TIME"},
    {.kind = OPT_BYTES, .name = "max-frame", .arg = "BYTES", .def = "16MiB", .min = 1024,
     .max = 1073741824, .commands = S | N, AT(max_frame_bytes),
     .help = "a larger picture from the source is broken"},
    {.kind = OPT_FLAG, .name = "strict", .commands = S | N, AT(strict),
     .help = "refuse a camera that does not give exactly the size, rate and format asked for"},
    {.kind = OPT_FLAG, .name = "allow-truncated", .commands = S | N, AT(allow_truncated),
     .help = "send a camera's JPEGs that have no end, with one put on"},
    {.kind = OPT_FLAG, .name = "libv4l2", .commands = S | D | N, AT(libv4l2),
     .help = "let libv4l2 convert formats of cameras that are not known here"},
    {.kind = OPT_FLAG, .name = "preview", .commands = S, AT(preview),
     .help = "draw the pictures in the terminal, with what the server found in them"},
    {.kind = OPT_FLAG, .name = "dry-run", .commands = S, AT(dry_run),
     .help = "tell what would be used, camera and mode, and end"},
    {.kind = OPT_TEXT, .letter = 'o', .name = "output", .arg = "FILE", .commands = N, AT(output),
     .help = "write the picture to FILE; -: to standard output"},
    {.kind = OPT_FLAG, .name = "annotate", .commands = N, AT(annotate),
     .help = "draw what the server's pipeline finds in the picture"},
    {.kind = OPT_COUNT, .name = "skip", .arg = "N", .def = "0", .min = 0, .max = 1000000,
     .commands = N, AT(skip),
     .help = "leave out the first N pictures: many cameras' are dark"},
    {.kind = OPT_LIST, .name = "set", .arg = "NAME=VALUE,...", .commands = C, AT(set),
     .help = "change these controls of the camera"},
    {.kind = OPT_TEXT, .name = "netrc", .arg = "FILE", .commands = S | N, AT(netrc),
     .help = "take the source's user and password from FILE"},
    {.kind = OPT_TEXT, .name = "cacert", .arg = "FILE", AT(cacert),
     .help = "trust the certificates in FILE, for the source and the server"},
    {.kind = OPT_FLAG, .letter = 'k', .name = "insecure", AT(insecure),
     .help = "do not check certificates, of the source and of the server"},
    {.kind = OPT_FLAG, .name = "json", AT(json),
     .help = "print JSON, one object per line; stream always does"},
    {.kind = OPT_FLAG, .letter = 'q', .name = "quiet", .commands = S, AT(quiet),
     .help = "on standard error nothing but errors"},
    {.kind = OPT_CHOICE, .name = "color", .arg = "WHEN", .def = "auto", .choices = color_names,
     .commands = S, AT(color),
     .help = "color the status line: auto, always or never"},
};
/* clang-format on */

static const struct opt_command commands[] = {
    [COMMAND_STREAM] = {"stream", "SOURCE [URL]", "send a source's frames, print the answers", 1,
                        2},
    [COMMAND_PROBE] = {"probe", "[URL]", "measure where the milliseconds go", 0, 1},
    [COMMAND_PIPELINES] = {"pipelines", "[URL]", "list the server's pipelines", 0, 1},
    [COMMAND_DEVICES] = {"devices", "", "list this machine's cameras and what they can do", 0, 0},
    [COMMAND_CONTROLS] = {"controls", "CAMERA", "show and set a camera's controls", 1, 1},
    [COMMAND_SNAP] = {"snap", "SOURCE [URL]", "take one picture", 1, 2},
};

const struct opt_program streamctl_program = {
    .name = "streamctl",
    .summary = "stream a camera to an inference server without lag",
    .version = VERSION,
    .opts = opts,
    .n_opts = sizeof opts / sizeof opts[0],
    .commands = commands,
    .n_commands = sizeof commands / sizeof commands[0],
    .epilog =
        "URL is ws://HOST:PORT, wss://HOST:PORT or HOST:PORT; default ws://localhost:8000.\n"
        "\n"
        "Examples:\n"
        "  streamctl stream test:\n"
        "  streamctl stream /dev/video0,size=1280x720 --pipeline motion | jq -c .result\n"
        "  streamctl stream http://camera/video.mjpeg gpu-box:8000 --pipeline motion --fps 10\n"
        "  ffmpeg -re -i street.mp4 -f mjpeg - | streamctl stream - | jq -c .result\n"
        "  streamctl probe gpu-box:8000 --pipeline motion --budget 37ms\n",
};

struct source_options settings_source_options(const struct settings *set)
{
    return (struct source_options){
        .fps = set->source_fps,
        .loop = set->loop,
        .stall_us = set->stall_us,
        .picture_bytes_max = (size_t)set->max_frame_bytes,
        .reconnect = !set->no_reconnect,
        .netrc = set->netrc,
        .cacert = set->cacert,
        .insecure = set->insecure,
        .poll_us = set->poll_us,
        .strict = set->strict,
        .allow_truncated = set->allow_truncated,
        .libv4l2 = set->libv4l2,
    };
}

int settings_adapt_options(const struct settings *set, const char *source, struct adapt_options *o,
                           struct err *e)
{
    bool lowers = !set->no_adapt;
    *o = (struct adapt_options){
        .governor = {.adapt = lowers, .min_per_s = set->min_fps, .budget_us = set->budget_us},
        .every = set->skip_frames,
        .fps_max = set->fps,
        .quality = lowers && (set->adapt == ADAPT_QUALITY || set->adapt == ADAPT_ALL),
        .size = lowers && (set->adapt == ADAPT_SIZE || set->adapt == ADAPT_ALL),
        .as_they_come = !source_test.matches(source),
    };
    /* whether a camera's pictures come encoded is known only when it is open */
    bool may_be_raw = !o->as_they_come || source_find(source) == &source_v4l2;
    if ((!o->quality && !o->size) || may_be_raw || set->reencode)
        return 0;
    return err_set(e, EXIT_USAGE,
                   "--adapt %s: this source's pictures come encoded; allow to encode them again "
                   "with --reencode",
                   adapt_names[set->adapt]);
}
