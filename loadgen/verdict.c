#include "loadgen/verdict.h"

#include "loadgen/gate.h"
#include "loadgen/validity.h"

enum exit_code verdict_of(const struct report *r)
{
    struct validity v;
    validity_judge(r, &v);
    if (v.n)
        return EXIT_INVALID;
    for (size_t i = 0; i < r->n_gates; i++) {
        struct gate_verdict g;
        gate_judge_at(r, i, &g);
        if (g.outcome == GATE_FAILED)
            return EXIT_GATE;
    }
    return EXIT_DONE;
}

const char *verdict_name(enum exit_code code)
{
    return code == EXIT_DONE ? "passed" : code == EXIT_INVALID ? "invalid" : "failed";
}
