#include "cli/source_out.h"

static void close_source(struct source *s)
{
    struct source_out *o = (struct source_out *)s;
    o->silent = true;
    source_out_release(o);
}

void source_out_init(struct source_out *o, const struct loop *l, const struct source_sink *sink,
                     void (*free_source)(struct source_out *o))
{
    *o = (struct source_out){
        .source.close = close_source,
        .sink = *sink,
        .loop = l,
        .free = free_source,
        .n_holders = 1,
    };
}

void source_out_hold(struct source_out *o)
{
    o->n_holders++;
}

void source_out_release(struct source_out *o)
{
    if (--o->n_holders == 0)
        o->free(o);
}

void source_out_picture(struct source_out *o, struct picture *p)
{
    if (o->silent) {
        picture_free(p);
        return;
    }
    p->index = o->n_pictures++;
    o->sink.on_picture(o->sink.ctx, p);
}

void source_out_bytes(struct source_out *o, const uint8_t *bytes, size_t n)
{
    struct picture *p = o->silent ? NULL : picture_new(bytes, n, o->loop->now_us);
    if (p)
        source_out_picture(o, p);
    else
        source_out_broken(o, "no memory");
}

void source_out_missed(struct source_out *o, uint64_t n_older, uint64_t n_lost)
{
    o->n_pictures += n_older;
    if (!o->silent && o->sink.on_missed && (n_older || n_lost))
        o->sink.on_missed(o->sink.ctx, n_older, n_lost);
}

void source_out_facts(struct source_out *o, const struct source_facts *f)
{
    if (!o->silent && o->sink.on_facts)
        o->sink.on_facts(o->sink.ctx, f);
}

void source_out_broken(struct source_out *o, const char *why)
{
    if (!o->silent)
        o->sink.on_broken(o->sink.ctx, why);
}

void source_out_note(struct source_out *o, const char *sentence)
{
    if (!o->silent)
        o->sink.on_note(o->sink.ctx, sentence);
}

void source_out_end(struct source_out *o, int rc, const struct err *why)
{
    const struct err nothing = {{0}};
    if (o->silent)
        return;
    o->silent = true;
    o->sink.on_end(o->sink.ctx, rc, why ? why : &nothing);
}

static void on_picture(void *ctx, const uint8_t *bytes, size_t n, bool mended)
{
    (void)mended;
    source_out_bytes(ctx, bytes, n);
}

static void on_broken(void *ctx, const char *why)
{
    source_out_broken(ctx, why);
}

struct mjpeg *source_out_splitter(struct source_out *o, size_t picture_bytes_max)
{
    struct mjpeg_sink sink = {.ctx = o, .on_picture = on_picture, .on_broken = on_broken};
    return mjpeg_new(picture_bytes_max, &sink);
}
