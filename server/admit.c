#include "server/admit.h"

static enum verdict admit_latest(const struct admit_view *v)
{
    if (v->waiting)
        return VERDICT_REPLACE;
    return v->in_work ? VERDICT_WAIT : VERDICT_RUN;
}

enum verdict admit_frame(const struct admit_rule *rule, const struct admit_view *v)
{
    bool busy = v->waiting || v->in_work;
    if (rule->policy == POLICY_STRICT && busy)
        return VERDICT_BUSY;
    if (rule->policy == POLICY_PHASE17 && v->received &&
        (double)v->dropped / (double)v->received > rule->drop_threshold)
        return VERDICT_RATE;
    return admit_latest(v);
}

bool admit_pickup(const struct admit_rule *rule, const struct pickup_view *v)
{
    if (!rule->budget_us || rule->policy == POLICY_PHASE17 || v->owed)
        return true;
    bool makes_it = v->age_us + v->expected_us <= rule->budget_us;
    bool fresh_would = v->expected_us <= rule->budget_us;
    return makes_it || !fresh_would;
}

bool admit_answer(const struct admit_rule *rule, uint64_t took_us)
{
    return rule->policy != POLICY_PHASE17 || !rule->budget_us || took_us <= rule->budget_us;
}
