#include "server/ledger.h"

const char *drop_reason_name(enum drop_reason r)
{
    static const char *const names[DROP_REASONS] = {"replaced", "late",   "busy",
                                                    "rate",     "closed", "memory"};
    return names[r];
}

uint64_t ledger_dropped(const struct ledger *l)
{
    uint64_t sum = 0;
    for (int r = 0; r < DROP_REASONS; r++)
        sum += l->dropped[r];
    return sum;
}

uint64_t ledger_open(const struct ledger *l)
{
    return l->received - l->answered - ledger_dropped(l) - l->failed;
}

void ledger_add(struct ledger *sum, const struct ledger *l)
{
    sum->received += l->received;
    sum->answered += l->answered;
    sum->failed += l->failed;
    sum->rejected += l->rejected;
    for (int r = 0; r < DROP_REASONS; r++)
        sum->dropped[r] += l->dropped[r];
}
