#include "loadgen/report_fields.h"

#include <string.h>

#define G(member)                                                                                  \
    {                                                                                              \
#member, offsetof(struct report_generator, member),                                        \
            sizeof(((struct report_generator *)0)->member)                                         \
    }
#define S(member)                                                                                  \
    {                                                                                              \
#member, offsetof(struct record_second, member),                                           \
            sizeof(((struct record_second *)0)->member)                                            \
    }
#define W(member)                                                                                  \
    {                                                                                              \
#member, offsetof(struct record_session, member),                                          \
            sizeof(((struct record_session *)0)->member)                                           \
    }

const struct report_field report_generator_numbers[REPORT_GENERATOR_NUMBERS] = {
    G(segment),        G(n_segments),         G(n_cpus), G(n_threads),
    G(sessions_asked), G(sessions_achieved),  G(cpu_us), G(busiest_cpu_us),
    G(run_queue_us),   G(calibrated_slip_us), G(run_us),
};

const struct report_field report_second_numbers[REPORT_SECOND_NUMBERS] = {
    S(sessions),   S(due),  S(sent),       S(answered),       S(dropped),
    S(unanswered), S(late), S(slow_downs), S(connect_errors),
};

const struct report_field report_session_numbers[REPORT_SESSION_NUMBERS] = {
    W(index), W(profile), W(due), W(answered), W(dropped), W(missing), W(p99_us), W(max_us),
};

uint64_t report_field_get(const void *from, const struct report_field *f)
{
    uint32_t small;
    uint64_t large;
    const char *at = (const char *)from + f->at;
    memcpy(&small, at, sizeof small);
    if (f->n_bytes == sizeof small)
        return small;
    memcpy(&large, at, sizeof large);
    return large;
}

void report_field_set(void *into, const struct report_field *f, uint64_t value)
{
    uint32_t small = (uint32_t)value;
    char *at = (char *)into + f->at;
    if (f->n_bytes == sizeof small)
        memcpy(at, &small, sizeof small);
    else
        memcpy(at, &value, sizeof value);
}

uint64_t report_field_max(const struct report_field *f)
{
    return f->n_bytes == sizeof(uint32_t) ? UINT32_MAX : (uint64_t)1 << 53;
}
