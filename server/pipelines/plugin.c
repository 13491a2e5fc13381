#include "server/pipeline.h"

#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/decode.h"
#include "server/plugin/streamd_plugin.h"

/* A model inside the process: a shared library behind server/plugin/streamd_plugin.h. Nothing that
 * comes from it is believed: what its structs do not have is zero here, what it reports is counted,
 * cut and checked before it gets into a result. */

#define DETECTIONS_BYTES_MAX ((size_t)128 << 10) /* both fit into a frame's result */
#define ATTRIBUTES_BYTES_MAX ((size_t)64 << 10)
#define BOX_MAX              1e6
#define LOG_LINES_PER_S      20

struct instance {
    struct sp_host host; /* first: it is all that sp_host.log gets */
    char pipeline[PIPELINE_NAME_MAX];
    char *file;
    void *library;
    struct sp_plugin plugin; /* a copy; what the plugin's table does not have is zero */
    void *data;              /* of plugin.open */
    _Atomic uint64_t n_sessions, n_late;
    pthread_mutex_t one_at_a_time;

    pthread_mutex_t log_lock; /* of what follows */
    char why[256];            /* the last error that was logged */
    uint64_t second_us;       /* when the second began in which n_lines were logged */
    unsigned n_lines;
    uint64_t n_left_out;
};

/* One half of a result while it grows. */
struct part {
    struct text text;
    struct json json;
    unsigned n;
};

struct sink {
    struct sp_sink sp; /* first: it is all that its functions get */
    uint64_t deadline_us;
    struct part detections, attributes;
    char key[SP_ATTRIBUTES_MAX][SP_KEY_MAX + 1];
};

struct session {
    struct instance *of;
    struct sink sink;
    void *data; /* of plugin.session_open */
};

/* A struct of the other side, as far as it has it and we know it; the rest is zero. Whole words
 * only: no field ends inside one. Gives how many bytes were there. */
static size_t copy_known(void *to, size_t to_bytes, const void *from)
{
    uint32_t n;
    memcpy(&n, from, sizeof n);
    size_t known = n < to_bytes ? n : to_bytes;
    known -= known % sizeof(void *);
    memset(to, 0, to_bytes);
    memcpy(to, from, known);
    return known;
}

/* --- its log --- */

static bool may_log(struct instance *i, uint64_t *n_left_out)
{
    uint64_t now_us = clock_now_us();
    if (now_us - i->second_us >= 1000000) {
        i->second_us = now_us;
        i->n_lines = 0;
    }
    if (i->n_lines == LOG_LINES_PER_S) {
        i->n_left_out++;
        return false;
    }
    i->n_lines++;
    *n_left_out = i->n_left_out;
    i->n_left_out = 0;
    return true;
}

static enum log_level level_of(int level)
{
    static const enum log_level levels[] = {[SP_LOG_DEBUG] = LOG_DEBUG,
                                            [SP_LOG_INFO] = LOG_INFO,
                                            [SP_LOG_WARN] = LOG_WARN,
                                            [SP_LOG_ERROR] = LOG_ERROR};
    return level < SP_LOG_DEBUG || level > SP_LOG_ERROR ? LOG_INFO : levels[level];
}

static void log_line(const struct sp_host *host, int level, const char *text)
{
    struct instance *i = (struct instance *)host;
    struct log_line l;
    uint64_t n_left_out = 0;
    text = text ? text : "";
    pthread_mutex_lock(&i->log_lock);
    if (level == SP_LOG_ERROR)
        snprintf(i->why, sizeof i->why, "%s", text);
    bool tells = may_log(i, &n_left_out);
    pthread_mutex_unlock(&i->log_lock);
    if (!tells)
        return;
    log_begin(&l, level_of(level), "plugin_log");
    log_str(&l, "pipeline", i->pipeline);
    log_str(&l, "text", text);
    if (n_left_out)
        log_u64(&l, "lines_left_out", n_left_out);
    log_end(&l);
}

/* --- the plugin --- */

/* "pipeline 'NAME': FILE: what is wrong", on one line whatever the plugin says. */
__attribute__((format(printf, 3, 4))) static int refuse(const struct instance *i, struct err *e,
                                                        const char *fmt, ...)
{
    char what[320];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    for (char *c = what; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return err_set(e, EXIT_USAGE, "pipeline '%s': %.110s: %s", i->pipeline, i->file, what);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static int check_wishes(const struct instance *i, struct err *e)
{
    const struct sp_plugin *t = &i->plugin;
    if (!t->process)
        return refuse(i, e, "it has no function process");
    if (t->format > SP_RGB)
        return refuse(i, e, "it wants format %u, which this streamd does not have", t->format);
    if (t->scale > 8 || (t->scale & (t->scale - 1)))
        return refuse(i, e, "it wants scale %u: expected 1, 2, 4 or 8", t->scale);
    if (t->format == SP_JPEG && t->scale > 1)
        return refuse(i, e, "it wants JPEG at scale %u: only pixels can be scaled", t->scale);
    return 0;
}

static int take_table(struct instance *i, const struct sp_plugin *table, struct err *e)
{
    if (!table)
        return refuse(i, e, "it cannot work with version %d.%d of the plugin ABI", SP_ABI_MAJOR,
                      SP_ABI_MINOR);
    if (!SP_HAS(table, abi_minor))
        return refuse(i, e, "its table has %u bytes: too few", table->struct_size);
    if (table->abi_major != SP_ABI_MAJOR)
        return refuse(i, e, "it is for version %u.%u of the plugin ABI, this streamd has %d.%d",
                      table->abi_major, table->abi_minor, SP_ABI_MAJOR, SP_ABI_MINOR);
    if (!SP_HAS(table, process))
        return refuse(i, e, "its table has %u bytes: too few", table->struct_size);
    struct sp_plugin *t = &i->plugin;
    copy_known(t, sizeof *t, table);
    t->name = or_empty(t->name);
    t->version = or_empty(t->version);
    t->licence = or_empty(t->licence);
    t->summary = or_empty(t->summary);
    return check_wishes(i, e);
}

/* Of the last dlopen, without the name of the file if it begins with that. */
static const char *why_not_loaded(const struct instance *i)
{
    const char *why = or_empty(dlerror());
    size_t n = strlen(i->file);
    return strncmp(why, i->file, n) == 0 && why[n] == ':' ? why + n + 1 + (why[n + 1] == ' ') : why;
}

static int load(struct instance *i, struct err *e)
{
    i->library = dlopen(i->file, RTLD_NOW | RTLD_LOCAL);
    if (!i->library)
        return refuse(i, e, "%s", why_not_loaded(i));
    __typeof__(sp_plugin_entry) *entry =
        (__typeof__(sp_plugin_entry) *)dlsym(i->library, "sp_plugin_entry");
    if (!entry)
        return refuse(i, e, "it is no plugin: it has no symbol sp_plugin_entry");
    return take_table(i, entry(SP_ABI_MAJOR, SP_ABI_MINOR), e);
}

static int open_data(struct instance *i, const char *config, struct err *e)
{
    if (!i->plugin.open)
        return *config ? refuse(i, e, "it takes no configuration, but was given '%.100s'", config)
                       : 0;
    i->data = i->plugin.open(&i->host, config);
    if (i->data)
        return 0;
    pthread_mutex_lock(&i->log_lock); /* it may have threads */
    int rc = refuse(i, e, "%s", i->why[0] ? i->why : "it cannot be opened, and does not say why");
    pthread_mutex_unlock(&i->log_lock);
    return rc;
}

/* A plugin may start threads: they must not take the signals that are for streamd. */
static int open_instance(struct instance *i, const char *config, struct err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = load(i, e);
    if (rc == 0)
        rc = open_data(i, config, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void tell_loaded(const struct instance *i)
{
    struct log_line l;
    log_begin(&l, LOG_INFO, "plugin_open");
    log_str(&l, "pipeline", i->pipeline);
    log_str(&l, "file", i->file);
    log_str(&l, "name", i->plugin.name);
    log_str(&l, "version", i->plugin.version);
    log_str(&l, "licence", i->plugin.licence);
    log_u64(&l, "abi_major", i->plugin.abi_major);
    log_u64(&l, "abi_minor", i->plugin.abi_minor);
    log_end(&l);
}

static void close_plugin(struct pipeline *p)
{
    struct instance *i = p->instance;
    if (i->data && i->plugin.close)
        i->plugin.close(i->data);
    if (i->library)
        dlclose(i->library);
    pthread_mutex_destroy(&i->one_at_a_time);
    pthread_mutex_destroy(&i->log_lock);
    free(i->file);
    free(i);
    p->instance = NULL;
}

/* Where our own plugins are, built and installed, seen from the folder of this program. */
static const char *const own_folders[] = {"plugins", "../lib/streamd/plugins"};

/* A file of our own of that name that exists; or NULL. */
static char *own_file(const char *folder, int name_n, const char *name)
{
    char program[PATH_MAX], *file;
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0)
        return NULL;
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    if (asprintf(&file, "%s/%s/%.*s", program, folder, name_n, name) < 0)
        return NULL;
    char *real = realpath(file, NULL);
    free(file);
    return real;
}

/* A name without a slash is one of our own, or else a file here: dlopen would look for it
 * elsewhere. */
static char *file_of(const char *spec)
{
    char *file;
    int n = (int)strcspn(spec, ":");
    if (memchr(spec, '/', (size_t)n))
        return strndup(spec, (size_t)n);
    for (size_t i = 0; i < sizeof own_folders / sizeof own_folders[0]; i++)
        if ((file = own_file(own_folders[i], n, spec)))
            return file;
    return asprintf(&file, "./%.*s", n, spec) < 0 ? NULL : file;
}

static int open_plugin(struct pipeline *p, struct err *e)
{
    const char *colon = strchr(p->text, ':');
    if (!*p->text || colon == p->text)
        return err_set(e, EXIT_USAGE, "pipeline '%s': plugin: FILE is missing", p->name);
    struct instance *i = calloc(1, sizeof *i);
    if (!i)
        return err_set(e, EXIT_FAILED, "out of memory");
    i->host = (struct sp_host){.struct_size = sizeof i->host, .log = log_line};
    memcpy(i->pipeline, p->name, sizeof i->pipeline);
    pthread_mutex_init(&i->one_at_a_time, NULL);
    pthread_mutex_init(&i->log_lock, NULL);
    p->instance = i;
    i->file = file_of(p->text);
    if (!i->file)
        return err_set(e, EXIT_FAILED, "out of memory");
    int rc = open_instance(i, colon ? colon + 1 : "", e);
    if (rc == 0)
        tell_loaded(i);
    return rc;
}

static void health(const struct pipeline *p, struct pipeline_health *out)
{
    const struct instance *i = p->instance;
    out->errors[0] = (struct pipeline_error){.kind = "late", .n = atomic_load(&i->n_late)};
}

static void about(const struct pipeline *p, struct pipeline_about *out)
{
    static const char *const formats[] = {[SP_JPEG] = "jpeg", [SP_GRAY] = "gray", [SP_RGB] = "rgb"};
    const struct instance *i = p->instance;
    snprintf(out->model, sizeof out->model, "%s", i->plugin.name);
    snprintf(out->version, sizeof out->version, "%s", i->plugin.version);
    out->licence = i->plugin.licence;
    out->format = formats[i->plugin.format];
    out->source = i->file;
}

static bool waits(const struct pipeline *p)
{
    const struct instance *i = p->instance;
    return i->plugin.flags & SP_ONE_AT_A_TIME;
}

/* --- the sink --- */

/* Keeps what was added since the part had len bytes, if all of it found room. */
static int keep(struct part *part, size_t len)
{
    if (!part->text.cut) {
        part->n++;
        return SP_OK;
    }
    part->text.cut = false;
    part->text.len = len;
    if (part->text.data)
        part->text.data[len] = '\0';
    part->json.comma = part->n > 0;
    return SP_ERROR;
}

static void start_part(struct part *part)
{
    text_clear(&part->text);
    part->json = json_to(&part->text);
    part->n = 0;
}

/* At most max bytes of the text, and no half of a character at the end. */
static void add_text(struct json *j, const char *key, const char *text, size_t max)
{
    size_t n = strnlen(text, max + 1);
    if (n > max)
        for (n = max; n > max - 4 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    json_str_n(j, key, text, n);
}

/* 15 digits: whatever size numbers have, they stay short, and whole ones stay whole. */
static void add_number(struct json *j, const char *key, double value)
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%.15g", value + 0.0); /* -0 becomes 0 */
    if (isfinite(value))
        json_raw(j, key, digits, (size_t)n);
    else
        json_null(j, key);
}

/* false for NaN, too */
static bool is_box(const struct sp_detection *d)
{
    return fabs(d->x) <= BOX_MAX && fabs(d->y) <= BOX_MAX && d->w >= 0 && d->w <= BOX_MAX &&
           d->h >= 0 && d->h <= BOX_MAX;
}

static int sink_detection(struct sp_sink *sp, const struct sp_detection *found)
{
    struct part *part = &((struct sink *)sp)->detections;
    struct json *j = &part->json;
    size_t len = part->text.len;
    struct sp_detection d;
    if (!found || !SP_HAS(found, h) || part->n == SP_DETECTIONS_MAX)
        return SP_ERROR;
    copy_known(&d, sizeof d, found);
    if (!is_box(&d))
        return SP_ERROR;
    json_object_begin(j, NULL);
    json_num(j, "x", d.x, 1);
    json_num(j, "y", d.y, 1);
    json_num(j, "w", d.w, 1);
    json_num(j, "h", d.h, 1);
    add_text(j, "label", or_empty(d.label), SP_LABEL_MAX);
    add_number(j, "score", d.score);
    if (d.text)
        add_text(j, "text", d.text, SP_TEXT_MAX);
    json_object_end(j);
    return keep(part, len);
}

static bool is_ours(const char *key)
{
    static const char *const ours[] = {"detections", "status", "detail", "stale_frames"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(key, ours[i]) == 0)
            return true;
    return false;
}

/* Whether an attribute of that key can be added; notes the key. */
static bool takes_key(struct sink *s, const char *key)
{
    size_t n = key ? strnlen(key, SP_KEY_MAX + 1) : 0;
    if (!n || n > SP_KEY_MAX || is_ours(key) || s->attributes.n == SP_ATTRIBUTES_MAX)
        return false;
    for (unsigned i = 0; i < s->attributes.n; i++)
        if (strcmp(s->key[i], key) == 0)
            return false;
    memcpy(s->key[s->attributes.n], key, n + 1);
    return true;
}

static int sink_number(struct sp_sink *sp, const char *key, double value)
{
    struct sink *s = (struct sink *)sp;
    struct part *part = &s->attributes;
    size_t len = part->text.len;
    if (!takes_key(s, key))
        return SP_ERROR;
    add_number(&part->json, key, value);
    return keep(part, len);
}

static int sink_text(struct sp_sink *sp, const char *key, const char *value)
{
    struct sink *s = (struct sink *)sp;
    struct part *part = &s->attributes;
    size_t len = part->text.len;
    if (!takes_key(s, key))
        return SP_ERROR;
    if (value)
        add_text(&part->json, key, value, SP_TEXT_MAX);
    else
        json_null(&part->json, key);
    return keep(part, len);
}

static int sink_cancelled(struct sp_sink *sp)
{
    uint64_t deadline_us = ((struct sink *)sp)->deadline_us;
    return deadline_us && clock_now_us() > deadline_us;
}

static void start_sink(struct sink *s, uint64_t deadline_us)
{
    s->sp = (struct sp_sink){.struct_size = sizeof s->sp,
                             .detection = sink_detection,
                             .number = sink_number,
                             .text = sink_text,
                             .cancelled = sink_cancelled};
    s->deadline_us = deadline_us;
    start_part(&s->detections);
    start_part(&s->attributes);
}

/* --- a session --- */

static void session_free(void *state)
{
    struct session *s = state;
    if (!s)
        return;
    if (s->data && s->of->plugin.session_close)
        s->of->plugin.session_close(s->of->data, s->data);
    text_deinit(&s->sink.detections.text);
    text_deinit(&s->sink.attributes.text);
    free(s);
}

static void *session_new(const struct pipeline *p)
{
    struct instance *i = p->instance;
    struct sp_session_info info = {.struct_size = sizeof info,
                                   .number = atomic_fetch_add(&i->n_sessions, 1)};
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->of = i;
    s->sink.detections.text = text_heap(DETECTIONS_BYTES_MAX);
    s->sink.attributes.text = text_heap(ATTRIBUTES_BYTES_MAX);
    if (i->plugin.session_open)
        s->data = i->plugin.session_open(i->data, &info);
    if (s->data || !i->plugin.session_open)
        return s;
    session_free(s);
    return NULL;
}

static int make_pixels(const struct sp_plugin *t, const struct pipeline_frame *in,
                       struct sp_frame *f)
{
    struct decoded d;
    if (decode_picture(in->decode, t->format == SP_RGB ? DECODE_RGB : DECODE_GREY,
                       t->scale ? t->scale : 1, &d) < 0)
        return -1;
    f->data = d.pixels;
    f->width = d.width;
    f->height = d.height;
    f->stride = d.width * (t->format == SP_RGB ? 3 : 1);
    f->n_bytes = (size_t)f->stride * d.height;
    f->full_width = d.full_width;
    f->full_height = d.full_height;
    return 0;
}

/* The frame as the plugin wants it. -1: it cannot be decoded. */
static int make_frame(const struct sp_plugin *t, const struct pipeline_frame *in,
                      struct sp_frame *f)
{
    *f = (struct sp_frame){.struct_size = sizeof *f,
                           .format = t->format,
                           .data = in->jpeg,
                           .n_bytes = in->jpeg_bytes,
                           .index = in->index,
                           .deadline_us = in->deadline_us};
    if (f->format != SP_JPEG)
        return make_pixels(t, in, f);
    unsigned w, h;
    if (decode_size(in->decode, &w, &h) < 0)
        return -1;
    f->width = f->full_width = w;
    f->height = f->full_height = h;
    return 0;
}

static int run(struct session *s, const struct sp_frame *f)
{
    struct instance *i = s->of;
    struct sp_sink *sink = &s->sink.sp;
    if (!(i->plugin.flags & SP_ONE_AT_A_TIME))
        return i->plugin.process(i->data, s->data, f, sink);
    pthread_mutex_lock(&i->one_at_a_time);
    int rc = sink_cancelled(sink) ? SP_LATE : i->plugin.process(i->data, s->data, f, sink);
    pthread_mutex_unlock(&i->one_at_a_time);
    return rc;
}

static void tell(const struct sink *s, struct json *result)
{
    const struct text *found = &s->detections.text, *others = &s->attributes.text;
    json_array_begin(result, "detections");
    if (found->len)
        json_raw(result, NULL, text_str(found), found->len);
    json_array_end(result);
    if (others->len)
        json_raw(result, NULL, text_str(others), others->len);
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    struct session *s = state;
    struct sp_frame f;
    (void)p;
    if (make_frame(&s->of->plugin, frame, &f) < 0)
        return -1;
    start_sink(&s->sink, frame->deadline_us);
    switch (run(s, &f)) {
    case SP_OK:
        tell(&s->sink, result);
        return 0;
    case SP_LATE: /* no half of a result: "nothing seen" and "not looked" stay apart */
        atomic_fetch_add(&s->of->n_late, 1);
        json_str(result, "status", "late");
        return 0;
    default:
        return -1;
    }
}

const struct pipeline_kind pipeline_plugin = {
    .name = "plugin",
    .summary = "a model of your own inside the server: loads a shared library",
    .text = "FILE",
    .text_is_rest = true,
    .open = open_plugin,
    .close = close_plugin,
    .health = health,
    .about = about,
    .waits = waits,
    .session_new = session_new,
    .session_free = session_free,
    .process = process,
};
