/* report_fields.h - the plain numbers of a report by name, so that writing, reading and the
 * schema's test say each of them once.
 *
 * Threads: any; const tables. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "loadgen/report.h"

struct report_field {
    const char *name;
    size_t at;
    size_t n_bytes; /* 4 or 8 */
};

#define REPORT_GENERATOR_NUMBERS 11
#define REPORT_SECOND_NUMBERS    9
#define REPORT_SESSION_NUMBERS   8

extern const struct report_field report_generator_numbers[REPORT_GENERATOR_NUMBERS];
extern const struct report_field report_second_numbers[REPORT_SECOND_NUMBERS];
extern const struct report_field report_session_numbers[REPORT_SESSION_NUMBERS];

/* The number in the struct, and back. The largest that fits is told by report_field_max. */
uint64_t report_field_get(const void *from, const struct report_field *f);
void report_field_set(void *into, const struct report_field *f, uint64_t value);
uint64_t report_field_max(const struct report_field *f);
