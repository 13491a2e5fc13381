#include "loadgen/search.h"

#define TRIES_MAX 64u

void search_init(struct search *s, uint64_t from, uint64_t to)
{
    *s = (struct search){.from = from, .to = to};
}

/* The gap is a twentieth, or there is nothing between. */
static bool is_close(const struct search *s)
{
    if (s->passed == s->to)
        return true;
    return s->failed && s->failed - s->passed <= (s->passed < 20 ? 1 : s->passed / 20);
}

static uint64_t climb(const struct search *s)
{
    if (!s->passed)
        return s->from;
    return s->passed > s->to / 2 ? s->to : s->passed * 2;
}

uint64_t search_next(struct search *s)
{
    if (s->confirmed || s->n_tries >= TRIES_MAX)
        return 0;
    if (s->failed && s->failed <= s->from)
        return 0; /* not even the first */
    if (!s->confirming && s->passed && is_close(s))
        s->confirming = true;
    if (s->confirming)
        return s->passed;
    return s->failed ? s->passed + (s->failed - s->passed) / 2 : climb(s);
}

static uint64_t step_down(uint64_t value)
{
    uint64_t step = value / 20;
    return value - (step ? step : 1);
}

void search_tell(struct search *s, uint64_t value, enum search_outcome outcome)
{
    s->n_tries++;
    if (outcome == SEARCH_PASSED) {
        s->passed = value;
        s->confirmed = s->confirming ? value : 0;
        return;
    }
    s->failed = value;
    s->bound_is_ours = outcome == SEARCH_INVALID;
    if (s->confirming)
        s->passed = step_down(value) > s->from ? step_down(value) : s->from;
}
