#include "cli/tally.h"

#include <string.h>

#define RECENT_US 5000000u

bool ledger_is_balanced(const struct ledger *l)
{
    return l->read == l->skipped + l->paced_out + l->replaced + l->sent &&
           l->sent == l->answered + l->dropped + l->unanswered;
}

double ledger_drop_rate(const struct ledger *l)
{
    uint64_t settled = l->answered + l->dropped + l->unanswered;
    return settled ? (double)l->dropped / (double)settled : 0.0;
}

uint64_t tally_broken(struct tally *t, const char *why)
{
    struct broken_kind *k = t->broken_kind;
    while (k < &t->broken_kind[TALLY_BROKEN_KINDS - 1] && k->why && strcmp(k->why, why) != 0)
        k++;
    if (!k->why)
        k->why = why;
    k->n++;
    return t->ledger.broken++;
}

void tally_answer(struct tally *t, uint64_t latency_us, uint64_t age_us, uint64_t now_us)
{
    if (now_us >= t->recent_since_us + RECENT_US) {
        t->recent[1] = t->recent[0];
        hist_clear(&t->recent[0]);
        t->recent_since_us = now_us;
    }
    t->ledger.answered++;
    hist_add(&t->latency, latency_us);
    hist_add(&t->age, age_us);
    hist_add(&t->recent[0], latency_us);
    rate_add(&t->answer_rate, now_us);
}

void tally_recent(const struct tally *t, struct hist *out)
{
    *out = t->recent[0];
    hist_merge(out, &t->recent[1]);
}
