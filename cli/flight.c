#include "cli/flight.h"

#include <string.h>

bool flight_has_room(const struct flight *f)
{
    return f->n < f->max;
}

void flight_add(struct flight *f, const struct flight_frame *frame)
{
    f->frame[f->n++] = *frame;
}

static void remove_at(struct flight *f, size_t at)
{
    f->n--;
    memmove(&f->frame[at], &f->frame[at + 1], (f->n - at) * sizeof f->frame[0]);
}

bool flight_settle(struct flight *f, uint64_t id, struct flight_frame *out)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->frame[i].id != id)
            continue;
        *out = f->frame[i];
        remove_at(f, i);
        return true;
    }
    return false;
}

size_t flight_expire(struct flight *f, uint64_t sent_us)
{
    size_t n = 0;
    while (f->n && f->frame[0].sent_us < sent_us) {
        remove_at(f, 0);
        n++;
    }
    return n;
}

size_t flight_clear(struct flight *f)
{
    size_t n = f->n;
    f->n = 0;
    return n;
}
