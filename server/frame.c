#include "server/frame.h"

#include <stdlib.h>
#include <string.h>

#define CLASS_BYTES_MIN   ((size_t)16 << 10)
#define RESULT_KEPT_BYTES ((size_t)16 << 10) /* of an idle frame: results are short */

/* The smallest class with room for n bytes; POOL_CLASSES when there is none. */
static unsigned class_of(size_t n)
{
    unsigned k = 0;
    while (k < POOL_CLASSES && (CLASS_BYTES_MIN << k) < n)
        k++;
    return k;
}

struct pool pool_make(struct memory *memory, size_t idle_bytes_max)
{
    return (struct pool){.memory = memory, .idle_bytes_max = idle_bytes_max};
}

static bool memory_take(struct memory *m, size_t n)
{
    size_t before = atomic_fetch_add(&m->used_bytes, n);
    if (!m->max_bytes || before + n <= m->max_bytes)
        return true;
    atomic_fetch_sub(&m->used_bytes, n);
    return false;
}

static void memory_give(struct memory *m, size_t n)
{
    atomic_fetch_sub(&m->used_bytes, n);
}

static void frame_free(struct pool *p, struct frame *f)
{
    memory_give(p->memory, f->cap);
    text_deinit(&f->result);
    free(f->data);
    free(f);
}

static struct frame *take_idle(struct pool *p, unsigned k)
{
    struct pool_class *c = &p->class[k];
    struct frame *f = c->idle;
    if (!f)
        return NULL;
    c->idle = f->next;
    c->n--;
    if (c->n < c->n_min)
        c->n_min = c->n;
    p->idle_bytes -= f->cap;
    return f;
}

static size_t free_idle(struct pool *p, unsigned k, size_t n)
{
    size_t freed = 0;
    struct frame *f;
    while (n-- && (f = take_idle(p, k))) {
        freed += f->cap;
        frame_free(p, f);
    }
    return freed;
}

void pool_deinit(struct pool *p)
{
    for (unsigned k = 0; k < POOL_CLASSES; k++)
        free_idle(p, k, SIZE_MAX);
}

size_t pool_trim(struct pool *p)
{
    size_t freed = 0;
    for (unsigned k = 0; k < POOL_CLASSES; k++) {
        freed += free_idle(p, k, (p->class[k].n_min + 1) / 2);
        p->class[k].n_min = p->class[k].n;
    }
    return freed;
}

/* Below the cap, if need be with what lies idle here. */
static bool take_memory(struct pool *p, size_t n)
{
    if (memory_take(p->memory, n))
        return true;
    pool_deinit(p);
    return memory_take(p->memory, n);
}

/* An idle frame's buffer of that class for its own. Frames that come in many pieces begin in a
 * small class and end in a large one: without this each would grow a new buffer, and leave it to
 * an ever longer list. */
static bool swap_with_idle(struct pool *p, struct frame *f, size_t used, unsigned k)
{
    struct frame *idle = take_idle(p, k);
    if (!idle)
        return false;
    struct frame small = *f;
    if (used)
        memcpy(idle->data, f->data, used);
    f->data = idle->data;
    f->cap = idle->cap;
    idle->data = small.data;
    idle->cap = small.cap;
    pool_put(p, idle);
    return true;
}

static int grow(struct pool *p, struct frame *f, size_t used, size_t cap)
{
    size_t more = cap - f->cap;
    if (!take_memory(p, more))
        return -1;
    /* Growing an empty buffer must not copy its old content. */
    if (used == 0) {
        free(f->data);
        f->data = NULL;
    }
    uint8_t *grown = realloc(f->data, cap);
    if (!grown) {
        memory_give(p->memory, f->data ? more : more + f->cap);
        f->cap = f->data ? f->cap : 0;
        return -1;
    }
    f->data = grown;
    f->cap = cap;
    return 0;
}

int frame_reserve(struct pool *p, struct frame *f, size_t used, size_t n)
{
    if (n <= f->cap)
        return 0;
    unsigned k = class_of(n);
    if (k == POOL_CLASSES)
        return -1;
    return swap_with_idle(p, f, used, k) ? 0 : grow(p, f, used, CLASS_BYTES_MIN << k);
}

static struct frame *frame_new(struct pool *p, size_t n)
{
    struct frame *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->result = text_heap(RESULT_BYTES_MAX);
    if (frame_reserve(p, f, 0, n) < 0) {
        frame_free(p, f);
        return NULL;
    }
    return f;
}

struct frame *pool_get(struct pool *p, size_t n)
{
    unsigned k = class_of(n);
    struct frame *f = k < POOL_CLASSES ? take_idle(p, k) : NULL;
    if (!f)
        return frame_new(p, n ? n : 1);
    text_clear(&f->result);
    f->fate = FRAME_ANSWERED;
    f->next = NULL;
    return f;
}

static void forget_result(struct frame *f)
{
    text_deinit(&f->result);
    f->result = text_heap(RESULT_BYTES_MAX);
}

void pool_put(struct pool *p, struct frame *f)
{
    if (!f)
        return;
    if (!f->cap || p->idle_bytes + f->cap > p->idle_bytes_max) {
        frame_free(p, f);
        return;
    }
    if (f->result.cap > RESULT_KEPT_BYTES)
        forget_result(f);
    struct pool_class *c = &p->class[class_of(f->cap)];
    p->idle_bytes += f->cap;
    f->next = c->idle;
    c->idle = f;
    c->n++;
}
