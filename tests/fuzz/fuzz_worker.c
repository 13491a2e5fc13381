/* Any bytes as what a worker writes: each line as a hello and as an answer. What is understood is
 * whole, and fit to go on to clients and logs. */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "server/worker_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool is_printable(const char *s)
{
    for (; *s; s++)
        if (*s < 0x20 || *s > 0x7e)
            return false;
    return true;
}

static void check_hello(const char *line, size_t n)
{
    struct worker_hello h;
    struct err e = {.text = ""};
    if (worker_read_hello(line, n, &h, &e) < 0) {
        must(e.text[0] && !strpbrk(e.text, "\r\n\x1b"));
        return;
    }
    must(h.name[0] && strlen(h.name) <= WORKER_NAME_MAX && is_printable(h.name));
    must(strlen(h.version) <= WORKER_NAME_MAX && is_printable(h.version));
    must(h.scale == 1 || h.scale == 2 || h.scale == 4 || h.scale == 8);
    must(h.format != WORKER_JPEG || h.scale == 1);
    must(h.in_flight >= 1 && worker_format_name(h.format)[0]);
}

static void check_result(const struct text *out)
{
    const char *end = NULL;
    must(json_is_utf8(text_str(out), out->len) && !strpbrk(text_str(out), "\r\n"));
    cJSON *object = cJSON_ParseWithOpts(text_str(out), &end, 1);
    must(cJSON_IsObject(object) && end == text_str(out) + out->len);
    cJSON_Delete(object);
}

static void check_answer(const char *line, size_t n, uint64_t sequence, size_t room)
{
    struct text out = text_heap(room);
    switch (worker_read_answer(line, n, sequence, &out)) {
    case WORKER_ANSWER_RESULT:
        must(!out.cut);
        check_result(&out);
        break;
    case WORKER_ANSWER_ERROR:
        must(out.len <= WORKER_ERROR_MAX && json_is_utf8(text_str(&out), out.len));
        break;
    case WORKER_ANSWER_LATE:
        must(sequence > 0 && out.len == 0);
        break;
    case WORKER_ANSWER_GARBAGE:
        must(!strpbrk(text_str(&out), "\r\n\x1b"));
        break;
    }
    text_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    for (uint64_t sequence = 0; size; sequence++) {
        const char *newline = memchr(bytes, '\n', size);
        size_t n = newline ? (size_t)(newline - bytes) : size;
        char *line = malloc(n + !n); /* its own memory, so that a read behind it is seen */
        must(line != NULL);
        memcpy(line, bytes, n);
        check_hello(line, n);
        check_answer(line, n, sequence, (size_t)1 << 23);
        check_answer(line, n, sequence, 100);
        free(line);
        size_t step = newline ? n + 1 : n;
        bytes += step;
        size -= step;
    }
    return 0;
}
