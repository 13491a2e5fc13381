#include "server/cheap.h"

#define NEEDED   16      /* quick frames, without any debt */
#define DEBT_MAX 1000000 /* quick frames: nine hours of 30 per second */

bool cheap_is(const struct cheap *c)
{
    return c->n_quick >= NEEDED;
}

void cheap_start(struct cheap *c, const struct cheap *kin)
{
    if (!c->known && cheap_is(kin))
        *c = (struct cheap){.n_quick = NEEDED, .known = true};
}

static int debt(uint64_t took_us, uint64_t limit_us)
{
    uint64_t n = limit_us ? took_us / limit_us : DEBT_MAX;
    return n < DEBT_MAX ? (int)n : DEBT_MAX;
}

void cheap_add(struct cheap *c, uint64_t took_us, uint64_t limit_us, bool here)
{
    c->known = true;
    if (took_us <= limit_us)
        c->n_quick += c->n_quick < NEEDED;
    else if (here)
        c->n_quick = -debt(took_us, limit_us);
    else if (c->n_quick > 0)
        c->n_quick = 0;
}
