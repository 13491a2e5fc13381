#include "server/cheap.h"

#define NEEDED_MIN 16u
#define NEEDED_MAX 4096u
#define FORGIVEN   8u /* times n_needed in a row: the past is half forgotten */

static uint32_t needed(const struct cheap *c)
{
    return c->n_needed ? c->n_needed : NEEDED_MIN;
}

bool cheap_is(const struct cheap *c)
{
    return c->n_quick >= needed(c);
}

void cheap_start(struct cheap *c, const struct cheap *kin)
{
    if (!c->n_needed && cheap_is(kin))
        *c = (struct cheap){.n_quick = NEEDED_MIN, .n_needed = NEEDED_MIN};
}

static void add_quick(struct cheap *c)
{
    uint32_t n = c->n_needed;
    if (++c->n_quick < FORGIVEN * n)
        return;
    c->n_quick = n; /* cheap still, as half of it is needed now */
    c->n_needed = n > NEEDED_MIN ? n / 2 : n;
}

void cheap_add(struct cheap *c, uint64_t took_us, uint64_t limit_us, bool here)
{
    c->n_needed = needed(c);
    if (took_us <= limit_us) {
        add_quick(c);
        return;
    }
    c->n_quick = 0;
    if (here)
        c->n_needed = c->n_needed < NEEDED_MAX ? 2 * c->n_needed : NEEDED_MAX;
}
