/* Any lines as specifications of pipelines: each is refused with a sentence, or it is within its
 * bounds, runs, and can be told to clients.
 *
 * What stands in them is not obeyed further than that: no command is started, and of files only
 * the plugins of this build are opened, which get the configuration. */

#include "server/pipeline.c" /* parses without opening, which nobody else may */

#include <cjson/cJSON.h>
#include <dlfcn.h>
#include <limits.h>
#include <turbojpeg.h>
#include <unistd.h>

#include "common/log.h"
#include "server/decode.h"
#include "server/frame.h"

#define SPECS_MAX 16
#define SIDE      24 /* of the picture they run on */
#define FRAMES    3  /* so that `every` repeats a result */

/* What takes no time and asks for nothing outside. The others are parsed and checked. */
static const struct pipeline_kind *const opened[] = {
    &pipeline_null, &pipeline_inspect, &pipeline_motion, &pipeline_plugin, &pipeline_chain};
#define N_OPENED (sizeof opened / sizeof opened[0])

static char folder[PATH_MAX]; /* of the plugins */
static unsigned char *jpeg;
static unsigned long jpeg_bytes;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* --- what they run with --- */

/* "FOLDER/NAME.so" and the rest */
static char *file_named(const char *name, const char *rest)
{
    char *file = NULL;
    must(asprintf(&file, "%s/%s.so%s", folder, name, rest) > 0);
    return file;
}

static void find_plugins(void)
{
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - sizeof "/plugins");
    must(n > 0);
    folder[n] = '\0';
    for (int i = 0; i < 2; i++) /* build/.../fuzz/fuzz_pipeline_spec */
        *strrchr(folder, '/') = '\0';
    strcat(folder, "/plugins");
}

/* Loaded once and for all: the fuzzer counts what comes and goes as new code. */
static void keep_loaded(const char *name)
{
    char *file = file_named(name, "");
    dlopen(file, RTLD_NOW | RTLD_NODELETE); /* where it was not built, it is refused */
    free(file);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    uint8_t grey[SIDE * SIDE];
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < sizeof grey; i++)
        grey[i] = (uint8_t)(i * i);
    tjhandle h = tjInitCompress();
    must(h && tjCompress2(h, grey, SIDE, 0, SIDE, TJPF_GRAY, &jpeg, &jpeg_bytes, TJSAMP_GRAY, 80,
                          0) == 0);
    tjDestroy(h);
    log_setup(LOG_JSON, LOG_ERROR + 1);
    find_plugins();
    keep_loaded("example");
    keep_loaded("zbar");
    return 0;
}

/* --- one specification --- */

static bool has_control(const char *s)
{
    for (; *s; s++)
        if (is_control(*s))
            return true;
    return false;
}

static void check_refusal(int rc, const struct err *e)
{
    must(rc == -EXIT_USAGE && e->text[0] && !has_control(e->text));
}

/* What the kind is: from the first '=' to a ':'. */
static void check_parts(const struct pipeline *p, const char *spec)
{
    const char *kind = strchr(spec, '=') + 1;
    size_t n = strcspn(kind, ":");
    must(strlen(p->text) == n && memcmp(p->text, kind, n) == 0);
}

static void check_parsed(const struct pipeline *p, const char *spec)
{
    must(p->name[0] && strlen(p->name) < PIPELINE_NAME_MAX && !has_control(p->name));
    must(strncmp(p->name, spec, strlen(p->name)) == 0 && spec[strlen(p->name)] == '=');
    for (size_t i = 0; i < p->kind->n_params; i++)
        must(p->param[i] >= p->kind->params[i].min && p->param[i] <= p->kind->params[i].max);
    must(p->every <= every.max);
    must(!p->kind->text_is_rest || (p->text && p->text[0]));
    must(!p->text || p->kind->text);
    if (p->kind == &pipeline_chain)
        check_parts(p, spec);
}

/* "FILE:config" gets a file of ours: with a name of one letter one that takes no configuration. */
static void set_file(struct pipeline *p)
{
    const char *config = p->text + strcspn(p->text, ":");
    const char *name = config == p->text + 1 ? "example" : "zbar";
    if (config == p->text)
        return; /* no file: it says so */
    char *text = file_named(name, config);
    free(p->text);
    p->text = text;
}

static bool is_opened(const struct pipeline_kind *kind)
{
    for (size_t i = 0; i < N_OPENED; i++)
        if (opened[i] == kind)
            return true;
    return false;
}

/* As put_spec does. */
static int try_spec(struct pipeline_set *set, const char *spec)
{
    struct err e = {.text = ""};
    struct pipeline p = {.kind = NULL};
    int rc = parse_spec(spec, &p, &e);
    if (rc == 0)
        check_parsed(&p, spec);
    if (rc < 0 || !is_opened(p.kind)) {
        free(p.text);
    } else {
        if (p.kind == &pipeline_plugin)
            set_file(&p);
        rc = open_pipeline(put(set, &p), &e);
    }
    if (rc < 0)
        check_refusal(rc, &e);
    return rc;
}

/* --- all of them --- */

static void run(const struct pipeline *p, struct decode *decode)
{
    void *state;
    struct text said = text_heap(RESULT_BYTES_MAX);
    must(pipeline_session_new(p, &state) == 0);
    for (uint64_t i = 0; i < FRAMES; i++) {
        struct pipeline_frame f = {
            .jpeg = jpeg, .jpeg_bytes = jpeg_bytes, .decode = decode, .index = i};
        struct json j = json_to(&said);
        text_clear(&said);
        decode_begin(decode, jpeg, jpeg_bytes, 0);
        json_object_begin(&j, NULL);
        must(pipeline_process(p, state, &f, &j) == 0);
        json_object_end(&j);
        cJSON *result = cJSON_ParseWithOpts(text_str(&said), NULL, 1);
        must(cJSON_IsObject(result));
        cJSON_Delete(result);
    }
    pipeline_session_free(p, state);
    text_deinit(&said);
}

static void check_told(const struct pipeline_set *set)
{
    struct text out = text_heap((size_t)1 << 22);
    pipeline_set_json(set, &out);
    must(!out.cut && json_is_utf8(text_str(&out), out.len));
    cJSON *told = cJSON_ParseWithOpts(text_str(&out), NULL, 1);
    must(cJSON_GetArraySize(cJSON_GetObjectItem(told, "pipelines")) == (int)set->n);
    cJSON_Delete(told);
    text_clear(&out);
    pipeline_set_table(set, &out);
    for (size_t i = 0; i < out.len; i++)
        must(out.data[i] == '\n' || !is_control(out.data[i]));
    text_deinit(&out);
}

/* lines: specifications; they are cut at their ends. */
static void try_all(char *lines)
{
    struct decode decode = {0};
    struct pipeline_set set = {.item = calloc(N_OPENED + SPECS_MAX, sizeof *set.item)};
    char *line;
    int rc = 0;
    must(set.item != NULL);
    for (size_t i = 0; i < N_OPENED; i++)
        put_kind(&set, opened[i]);
    for (size_t i = 0; rc == 0 && i < SPECS_MAX && (line = strsep(&lines, "\n")); i++)
        rc = try_spec(&set, line);
    if (rc == 0) {
        check_told(&set);
        for (size_t i = 0; i < set.n; i++)
            run(&set.item[i], &decode);
    }
    pipeline_set_deinit(&set);
    decode_deinit(&decode);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *lines = malloc(size + 1);
    must(lines != NULL);
    memcpy(lines, data, size);
    lines[size] = '\0';
    try_all(lines);
    free(lines);
    return 0;
}
