#include "loadgen/agenda.h"

#include <assert.h>
#include <stdlib.h>

int agenda_init(struct agenda *a, size_t n)
{
    *a = (struct agenda){.cap = n, .item = calloc(n + 1, sizeof(struct agenda_item *))};
    return a->item ? 0 : -1;
}

void agenda_deinit(struct agenda *a)
{
    free(a->item);
    *a = (struct agenda){0};
}

static void place(struct agenda *a, struct agenda_item *item, size_t at)
{
    a->item[at] = item;
    item->at = at;
}

static void move_up(struct agenda *a, struct agenda_item *item, size_t at)
{
    for (; at > 1 && a->item[at / 2]->due_us > item->due_us; at /= 2)
        place(a, a->item[at / 2], at);
    place(a, item, at);
}

static void move_down(struct agenda *a, struct agenda_item *item, size_t at)
{
    while (2 * at <= a->n) {
        size_t child = 2 * at;
        if (child < a->n && a->item[child + 1]->due_us < a->item[child]->due_us)
            child++;
        if (a->item[child]->due_us >= item->due_us)
            break;
        place(a, a->item[child], at);
        at = child;
    }
    place(a, item, at);
}

static void move(struct agenda *a, struct agenda_item *item, size_t at)
{
    if (at > 1 && a->item[at / 2]->due_us > item->due_us)
        move_up(a, item, at);
    else
        move_down(a, item, at);
}

static void take_out(struct agenda *a, struct agenda_item *item)
{
    size_t at = item->at;
    if (at == 0)
        return;
    struct agenda_item *last = a->item[a->n--];
    item->at = 0;
    if (last != item)
        move(a, last, at);
}

void agenda_set(struct agenda *a, struct agenda_item *item, uint64_t due_us)
{
    item->due_us = due_us;
    if (due_us == AGENDA_NEVER) {
        take_out(a, item);
        return;
    }
    if (item->at == 0) {
        assert(a->n < a->cap);
        place(a, item, ++a->n);
    }
    move(a, item, item->at);
}

struct agenda_item *agenda_first(const struct agenda *a)
{
    return a->n ? a->item[1] : NULL;
}
