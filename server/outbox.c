#include "server/outbox.h"

#include <stdlib.h>
#include <string.h>

struct entry { /* before each message; copied, so alignment does not matter */
    uint64_t put_us;
    size_t n;
};

struct outbox outbox_make(size_t bytes_max)
{
    return (struct outbox){.max = bytes_max};
}

void outbox_deinit(struct outbox *o)
{
    free(o->bytes);
    *o = (struct outbox){0};
}

static struct entry first_entry(const struct outbox *o)
{
    struct entry e;
    memcpy(&e, o->bytes + o->head, sizeof e);
    return e;
}

/* Moves what is waiting to the front, then grows if that was not enough. */
static int make_room(struct outbox *o, size_t n)
{
    if (o->head) {
        memmove(o->bytes, o->bytes + o->head, o->len - o->head);
        o->len -= o->head;
        o->head = 0;
    }
    size_t want = o->cap ? o->cap : 4096;
    while (want < o->len + n)
        want *= 2;
    char *grown = want > o->cap ? realloc(o->bytes, want) : o->bytes;
    if (!grown)
        return -1;
    o->bytes = grown;
    o->cap = want;
    return 0;
}

int outbox_put(struct outbox *o, const char *message, size_t n, uint64_t now_us)
{
    struct entry e = {.put_us = now_us, .n = n};
    size_t need = sizeof e + n, waiting = o->len - o->head;
    if (need > o->max || waiting > o->max - need)
        return -1;
    if (need > o->cap - o->len && make_room(o, need) < 0)
        return -1;
    memcpy(o->bytes + o->len, &e, sizeof e);
    memcpy(o->bytes + o->len + sizeof e, message, n);
    o->len += need;
    o->n++;
    return 0;
}

const char *outbox_peek(const struct outbox *o, size_t *n)
{
    if (!o->n)
        return NULL;
    *n = first_entry(o).n;
    return o->bytes + o->head + sizeof(struct entry);
}

void outbox_pop(struct outbox *o)
{
    o->head += sizeof(struct entry) + first_entry(o).n;
    if (--o->n == 0)
        o->head = o->len = 0;
}

uint64_t outbox_oldest_us(const struct outbox *o)
{
    return o->n ? first_entry(o).put_us : 0;
}
