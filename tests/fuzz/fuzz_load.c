/* What people and files tell streamload: a gate, limits, stages or a file of profiles, by the first
 * byte. Refused with a sentence, or within bounds. */

#include <stdlib.h>
#include <string.h>

#include "loadgen/compare.h"
#include "loadgen/gate.h"
#include "loadgen/plan.h"
#include "loadgen/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void try_gate(const char *text, struct err *e)
{
    struct gate g;
    must(gate_parse(&g, text, e) == 0 || e->text[0]);
}

static void try_limits(const char *text, struct err *e)
{
    struct compare_limits l;
    must(compare_parse_limits(&l, text, e) == 0 || e->text[0]);
    must(l.n <= COMPARE_LIMITS_MAX);
}

static void try_stages(const char *text, struct err *e)
{
    struct plan p = {0};
    if (plan_parse_stages(&p, text, e) < 0) {
        must(e->text[0]);
        return;
    }
    must(p.sessions > 0 && p.duration_us > 0);
    uint64_t index = p.sessions / 2, at = 0;
    for (size_t n = 0; (at = plan_next_change_us(&p, index, at)) != PLAN_NEVER; n++)
        must(n < 2 * PLAN_STAGES_MAX);
}

static void try_profiles(char *text, struct err *e)
{
    static const struct settings set = {
        .fps = 30, .pipeline = "motion", .size_bytes = 46000, .geometry = "640x480"};
    struct profiles p;
    uint16_t of[64];
    if (profiles_read(&p, &set, text, e) == 0) {
        must(p.n >= 1 && p.n <= PROFILES_MAX);
        profiles_assign(&p, of, sizeof of / sizeof of[0]);
        for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
            must(of[i] < p.n);
    } else {
        must(e->text[0]);
    }
    profiles_free(&p); /* and the text */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    if (size == 0)
        return 0;
    char *text = malloc(size);
    must(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (data[0] == 'p') {
        try_profiles(text, &e);
        return 0;
    }
    if (data[0] == 'g')
        try_gate(text, &e);
    else if (data[0] == 'l')
        try_limits(text, &e);
    else
        try_stages(text, &e);
    free(text);
    return 0;
}
