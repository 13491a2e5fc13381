/* Any bytes as what a worker reads: the example in C answers each whole frame, in words that
 * streamd understands, until the bytes end or are no frame. */

#include <stdbool.h>

#define main worker_main
int worker_main(void);
#include "server/pipelines/examples/worker.c"
#undef main

#include <cjson/cJSON.h>

#include "server/worker_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* What the worker writes for these bytes; for free(). */
static char *run(const uint8_t *data, size_t size, int *code)
{
    FILE *in = stdin, *out = stdout, *err = stderr;
    char *said = NULL;
    size_t n = 0;
    stdin = size ? fmemopen((void *)data, size, "r") : fopen("/dev/null", "r");
    stdout = open_memstream(&said, &n);
    stderr = fopen("/dev/null", "w"); /* it would fill the fuzzer's own log */
    must(stdin && stdout && stderr);
    *code = worker_main();
    fclose(stdin);
    fclose(stdout);
    fclose(stderr);
    stdin = in;
    stdout = out;
    stderr = err;
    return said;
}

/* The next line, without its end. */
static char *line_of(char **lines)
{
    char *line = strsep(lines, "\n");
    must(line && *lines);
    return line;
}

static double whole(const cJSON *result, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(result, key);
    must(cJSON_IsNumber(v));
    return v->valuedouble;
}

static void check_answer(const char *line, const struct worker_header *h)
{
    struct text out = text_heap(WORKER_LINE_MAX);
    enum worker_answer kind = worker_read_answer(line, strlen(line), h->sequence, &out);
    if (h->sequence < (uint64_t)1 << 53) /* streamd counts from 0 */
        must(kind == WORKER_ANSWER_RESULT);
    if (kind == WORKER_ANSWER_RESULT) {
        cJSON *result = cJSON_Parse(text_str(&out));
        must(whole(result, "bytes") == h->payload_bytes);
        must(whole(result, "width") == h->width && whole(result, "height") == h->height);
        cJSON_Delete(result);
    }
    text_deinit(&out);
}

/* The header at these bytes, if it is one. */
static bool read_header(const uint8_t *at, struct worker_header *h)
{
    uint8_t again[WORKER_HEADER_BYTES];
    *h = (struct worker_header){.payload_bytes = (uint32_t)number(at + 4, 4),
                                .width = (uint32_t)number(at + 8, 4),
                                .height = (uint32_t)number(at + 12, 4),
                                .sequence = number(at + 16, 8),
                                .deadline_us = number(at + 24, 8)};
    worker_write_header(again, h);
    return memcmp(again, at, sizeof again) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct worker_hello hello;
    struct worker_header h;
    int code, wanted = 0;
    char *said = run(data, size, &code), *lines = said;
    char *line = line_of(&lines);
    must(worker_read_hello(line, strlen(line), &hello, NULL) == 0);
    while (wanted == 0 && size >= WORKER_HEADER_BYTES) {
        size -= WORKER_HEADER_BYTES;
        if (!read_header(data, &h) || h.payload_bytes > JPEG_MAX) {
            wanted = 1;
        } else if (h.payload_bytes <= size) {
            check_answer(line_of(&lines), &h);
            data += WORKER_HEADER_BYTES + h.payload_bytes;
            size -= h.payload_bytes;
        } else {
            size = 0;
        }
    }
    must(code == wanted && !*lines);
    free(said);
    return 0;
}
