/* Any message in any pieces: the outcome does not depend on the pieces, only valid frames
 * pass, none is lost, and no pipeline is hurt by what passes.
 *
 * Input: a byte of flags, two bytes that seed the splits, the message. */

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "server/assembly.h"
#include "server/decode.h"
#include "server/pipeline.h"

static struct memory no_cap;

#define FRAME_MAX   ((size_t)12000)
#define MESSAGE_MAX ((size_t)16000)
#define PIXELS_MAX  1000000u /* larger ones are as safe and only slower */

enum {
    FLAG_HEADER = 1,
    FLAG_LENGTH = 2, /* the header's length is put right, which chance rarely does */
    FLAG_TEXT = 4,   /* the last piece is text */
    FLAG_LIAR = 8    /* announcements mean nothing */
};

struct stage {
    struct pool pool;
    struct pipeline pipeline[2];
    void *state[2];
    struct decode decode;
    struct assembly_limits limits;
    unsigned flags;
    uint32_t random;
};

struct outcome {
    enum assembly_outcome kind;
    enum proto_error error;
    size_t jpeg_bytes;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static uint32_t next_random(struct stage *s)
{
    s->random = s->random * 1664525u + 1013904223u;
    return s->random >> 8;
}

static void stage_begin(struct stage *s, unsigned flags, uint32_t seed)
{
    static const struct pipeline_kind *const kinds[2] = {&pipeline_inspect, &pipeline_motion};
    *s =
        (struct stage){.pool = pool_make(&no_cap, (size_t)1 << 20), .flags = flags, .random = seed};
    s->limits = (struct assembly_limits){FRAME_MAX, MESSAGE_MAX, flags & FLAG_HEADER};
    for (size_t i = 0; i < 2; i++) {
        s->pipeline[i].kind = kinds[i];
        for (size_t p = 0; p < kinds[i]->n_params; p++)
            s->pipeline[i].param[p] = kinds[i]->params[p].def;
        if (kinds[i]->session_new)
            s->state[i] = kinds[i]->session_new(&s->pipeline[i]);
    }
}

static void stage_end(struct stage *s)
{
    for (size_t i = 0; i < 2; i++)
        if (s->state[i])
            s->pipeline[i].kind->session_free(s->state[i]);
    decode_deinit(&s->decode);
    pool_deinit(&s->pool);
}

static void run_pipeline(struct stage *s, size_t i, struct frame *f)
{
    struct pipeline_frame in = {.jpeg = f->jpeg, .jpeg_bytes = f->jpeg_bytes, .decode = &s->decode};
    struct json result = json_to(&f->result);
    text_clear(&f->result);
    decode_begin(&s->decode, f->jpeg, f->jpeg_bytes, PIXELS_MAX);
    json_object_begin(&result, NULL);
    int rc = s->pipeline[i].kind->process(&s->pipeline[i], s->state[i], &in, &result);
    json_object_end(&result);
    must(rc == 0 || rc == -1);
    if (rc < 0)
        return;
    cJSON *parsed = cJSON_ParseWithOpts(text_str(&f->result), NULL, 1);
    must(cJSON_IsObject(parsed));
    cJSON_Delete(parsed);
}

static bool is_within(const struct frame *f, const uint8_t *bytes, size_t n)
{
    return f->jpeg >= bytes && f->jpeg + f->jpeg_bytes <= bytes + n;
}

/* bytes: n of the message, where it may have stayed. */
static void check_frame(const struct frame *f, const uint8_t *bytes, size_t n)
{
    must(f->jpeg_bytes >= 4 && f->jpeg_bytes <= FRAME_MAX);
    must(is_within(f, bytes, n) || is_within(f, f->data, f->cap));
    must(memcmp(f->jpeg, "\xff\xd8", 2) == 0);
    must(memcmp(f->jpeg + f->jpeg_bytes - 2, "\xff\xd9", 2) == 0);
}

static void use_frame(struct stage *s, struct frame *f, const uint8_t *bytes, size_t n)
{
    check_frame(f, bytes, n);
    run_pipeline(s, 0, f);
    run_pipeline(s, 1, f);
}

/* A message of n bytes: at most n_cuts times a new read or a new WebSocket frame. */
static struct outcome send_message(struct stage *s, const uint8_t *bytes, size_t n, unsigned n_cuts)
{
    struct assembly a = {0};
    struct complaint why = {0};
    struct outcome o = {.kind = ASSEMBLY_MORE};
    size_t at = 0, frame_left = n_cuts ? next_random(s) % (n + 1) : n;
    while (o.kind == ASSEMBLY_MORE) {
        size_t step = n_cuts ? next_random(s) % (frame_left + 1) : n - at;
        if (n_cuts == 0)
            frame_left = n - at;
        frame_left -= step;
        struct assembly_piece p = {bytes + at, step,       frame_left, at + step == n && !n_cuts,
                                   true,       n_cuts == 0};
        if (s->flags & FLAG_LIAR)
            p.announced = (uint64_t)next_random(s) << (next_random(s) % 40);
        if (s->flags & FLAG_TEXT && p.final)
            p.binary = false;
        at += step;
        o.kind = assembly_add(&a, &s->pool, &s->limits, &p, &why);
        must(o.kind != ASSEMBLY_MORE || !p.final);
        if (frame_left == 0)
            frame_left = n_cuts ? next_random(s) % (n - at + 1) : n - at;
        n_cuts -= n_cuts > 0;
    }
    if (o.kind == ASSEMBLY_ERROR) {
        o.error = why.error;
        must(why.detail[0] && memchr(why.detail, 0, sizeof why.detail));
    }
    if (o.kind == ASSEMBLY_FRAME) {
        struct frame *f = assembly_take(&a);
        o.jpeg_bytes = f->jpeg_bytes;
        use_frame(s, f, bytes, n);
        pool_put(&s->pool, f);
    }
    must(!a.frame && !a.seen_bytes);
    return o;
}

static bool is_too_large(const struct outcome *o)
{
    return o->kind == ASSEMBLY_HANGUP ||
           (o->kind == ASSEMBLY_ERROR && o->error == PROTO_FRAME_TOO_LARGE);
}

/* In fragments a message is refused before it is known how far above the limit it is. */
static bool is_same(const struct outcome *whole, const struct outcome *split)
{
    if (is_too_large(whole))
        return is_too_large(split);
    return whole->kind == split->kind && whole->error == split->error &&
           whole->jpeg_bytes == split->jpeg_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stage s;
    if (size < 3)
        return 0;
    size_t n = size - 3;
    uint8_t *message = malloc(n ? n : 1);
    stage_begin(&s, data[0], (uint32_t)(data[1] << 8 | data[2]));
    memcpy(message, data + 3, n);
    if (s.flags & FLAG_HEADER && s.flags & FLAG_LENGTH && n >= PROTO_HEADER_BYTES) {
        struct proto_header h;
        proto_read_header(message, &h);
        h.length = (uint32_t)(n - PROTO_HEADER_BYTES);
        proto_write_header(message, &h);
    }
    struct outcome whole = send_message(&s, message, n, 0);
    struct outcome split = send_message(&s, message, n, next_random(&s) % 16);
    if (!(s.flags & (FLAG_LIAR | FLAG_TEXT)))
        must(is_same(&whole, &split));
    for (int i = 0; i < 8 && n; i++) /* another picture for the motion to be found */
        message[next_random(&s) % n] ^= (uint8_t)next_random(&s);
    send_message(&s, message, n, 0);
    free(message);
    stage_end(&s);
    return 0;
}
