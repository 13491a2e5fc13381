#include "server/frame.h"

#include <stdlib.h>

#define CLASS_BYTES_MIN ((size_t)16 << 10)

/* The smallest class with room for n bytes; POOL_CLASSES when there is none. */
static unsigned class_of(size_t n)
{
    unsigned k = 0;
    while (k < POOL_CLASSES && (CLASS_BYTES_MIN << k) < n)
        k++;
    return k;
}

struct pool pool_make(size_t idle_bytes_max)
{
    return (struct pool){.idle_bytes_max = idle_bytes_max};
}

static void frame_free(struct frame *f)
{
    text_deinit(&f->result);
    free(f->data);
    free(f);
}

void pool_deinit(struct pool *p)
{
    for (unsigned k = 0; k < POOL_CLASSES; k++) {
        while (p->idle[k]) {
            struct frame *f = p->idle[k];
            p->idle[k] = f->next;
            frame_free(f);
        }
    }
    p->idle_bytes = 0;
}

int frame_reserve(struct frame *f, size_t used, size_t n)
{
    if (n <= f->cap)
        return 0;
    unsigned k = class_of(n);
    if (k == POOL_CLASSES)
        return -1;
    /* Growing an empty buffer must not copy its old content. */
    if (used == 0) {
        free(f->data);
        f->data = NULL;
        f->cap = 0;
    }
    uint8_t *grown = realloc(f->data, CLASS_BYTES_MIN << k);
    if (!grown)
        return -1;
    f->data = grown;
    f->cap = CLASS_BYTES_MIN << k;
    return 0;
}

static struct frame *frame_new(size_t n)
{
    struct frame *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->result = text_heap(RESULT_BYTES_MAX);
    if (frame_reserve(f, 0, n) < 0) {
        frame_free(f);
        return NULL;
    }
    return f;
}

struct frame *pool_get(struct pool *p, size_t n)
{
    unsigned k = class_of(n);
    struct frame *f = k < POOL_CLASSES ? p->idle[k] : NULL;
    if (!f)
        return frame_new(n ? n : 1);
    p->idle[k] = f->next;
    p->idle_bytes -= f->cap;
    text_clear(&f->result);
    f->fate = FRAME_ANSWERED;
    f->next = NULL;
    return f;
}

void pool_put(struct pool *p, struct frame *f)
{
    if (!f)
        return;
    if (!f->cap || p->idle_bytes + f->cap > p->idle_bytes_max) {
        frame_free(f);
        return;
    }
    unsigned k = class_of(f->cap);
    p->idle_bytes += f->cap;
    f->next = p->idle[k];
    p->idle[k] = f;
}
