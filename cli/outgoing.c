#include "cli/outgoing.h"

#define ENCODE_THREADS 2 /* more would keep more of a camera's few buffers */

static void drop(struct outgoing *o, struct picture **p)
{
    if (!*p)
        return;
    picture_free(*p);
    *p = NULL;
    o->sink.on_replaced(o->sink.ctx);
}

static void fail(struct outgoing *o, const char *why)
{
    o->sink.on_replaced(o->sink.ctx);
    o->sink.on_failed(o->sink.ctx, why);
}

static bool needs_encoding(const struct outgoing *o, const struct picture *p)
{
    bool again = o->reencodes && !p->quality && o->rung.quality;
    return p->raw.fourcc || again || encoder_count(o->encoder);
}

static void encode_held(struct outgoing *o)
{
    struct err e;
    struct picture *p = o->held;
    bool changes = o->reencodes || p->raw.fourcc;
    if (!encoder_has_room(o->encoder))
        return;
    o->held = NULL;
    if (encoder_put(o->encoder, p, changes ? o->rung.quality : 0, changes ? o->rung.halvings : 0,
                    &e) < 0)
        fail(o, e.text);
}

/* The one place where frames leave. */
void outgoing_push(struct outgoing *o)
{
    struct picture **next = o->encoded ? &o->encoded : &o->held, *p = *next;
    if (!p || !o->sink.has_room(o->sink.ctx, encoder_count(o->encoder)))
        return;
    if (next == &o->held && needs_encoding(o, p)) {
        encode_held(o);
        return;
    }
    *next = NULL;
    o->sink.send(o->sink.ctx, p);
}

void outgoing_put(struct outgoing *o, struct picture *p)
{
    outgoing_drop(o);
    o->held = p;
    outgoing_push(o);
}

unsigned outgoing_count(const struct outgoing *o)
{
    return encoder_count(o->encoder) + (o->encoded != NULL) + (o->held != NULL);
}

void outgoing_drop(struct outgoing *o)
{
    drop(o, &o->encoded);
    drop(o, &o->held);
}

void outgoing_drop_all(struct outgoing *o)
{
    outgoing_drop(o);
    o->sink.send = NULL; /* what comes back from the encoder is nobody's any more */
    for (unsigned n = encoder_count(o->encoder); n > 0; n--)
        o->sink.on_replaced(o->sink.ctx);
}

static void on_encoded(void *ctx, struct picture *p)
{
    struct outgoing *o = ctx;
    if (!o->sink.send) {
        picture_free(p);
        return;
    }
    drop(o, &o->encoded);
    o->encoded = p;
    o->sink.on_encoded(o->sink.ctx, p);
    outgoing_push(o);
    outgoing_push(o); /* the one that waited for a thread */
}

static void on_failed(void *ctx, const char *why)
{
    struct outgoing *o = ctx;
    if (o->sink.send)
        fail(o, why);
}

int outgoing_open(struct outgoing *o, struct loop *l, bool reencodes,
                  const struct outgoing_sink *sink, struct err *e)
{
    struct encoder_sink back = {.ctx = o, .on_encoded = on_encoded, .on_failed = on_failed};
    *o = (struct outgoing){.sink = *sink, .reencodes = reencodes};
    return encoder_open(&o->encoder, ENCODE_THREADS, l, &back, e);
}

void outgoing_close(struct outgoing *o)
{
    picture_free(o->held);
    picture_free(o->encoded);
    encoder_close(o->encoder);
    o->held = o->encoded = NULL;
    o->encoder = NULL;
}
