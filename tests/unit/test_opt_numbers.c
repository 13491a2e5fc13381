#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "common/opt.h"

#define N(a) (sizeof(a) / sizeof(a)[0])

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

struct number_case {
    const char *text;
    int rc;
    uint64_t value;
};

static void check_numbers(const struct number_case *cases, size_t n,
                          int (*parse)(const char *text, uint64_t *out, struct err *e))
{
    for (size_t i = 0; i < n; i++) {
        struct err e = {.text = ""};
        uint64_t value = 4711;
        int rc = parse(cases[i].text, &value, &e);
        if (rc != cases[i].rc || (rc == 0 && value != cases[i].value))
            fail_msg("'%s': rc %d, value %llu, %s", cases[i].text, rc, (unsigned long long)value,
                     e.text);
        if (rc != 0) {
            assert_has(e.text, cases[i].text);
            assert_int_equal(value, 4711);
        }
    }
}

static void a_time_is_a_decimal_number_and_a_unit(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        {"250us", 0, 250},
        {"37ms", 0, 37000},
        {"1.5s", 0, 1500000},
        {"2m", 0, 120000000},
        {"1h", 0, 3600000000},
        {"0", 0, 0},
        {"0s", 0, 0},
        {".5s", 0, 500000},
        {"0.1s", 0, 100000},
        {"1.0000005s", 0, 1000001},
        {"37", -EXIT_USAGE, 0},
        {"", -EXIT_USAGE, 0},
        {"ms", -EXIT_USAGE, 0},
        {"37 ms", -EXIT_USAGE, 0},
        {" 37ms", -EXIT_USAGE, 0},
        {"37ms ", -EXIT_USAGE, 0},
        {"37MS", -EXIT_USAGE, 0},
        {"37msx", -EXIT_USAGE, 0},
        {"-37ms", -EXIT_USAGE, 0},
        {"+37ms", -EXIT_USAGE, 0},
        {"1.ms", -EXIT_USAGE, 0},
        {"1.2.3s", -EXIT_USAGE, 0},
        {"1e3s", -EXIT_USAGE, 0},
        {"nan", -EXIT_USAGE, 0},
        {"infs", -EXIT_USAGE, 0},
        {"0.0001us", -EXIT_USAGE, 0},
        {"18446744073709551615us", 0, UINT64_MAX},
        {"18446744073709551616us", -EXIT_USAGE, 0},
        {"18446744073709551616", -EXIT_USAGE, 0},
        {"99999999999999999999999999h", -EXIT_USAGE, 0},
        {"5124095577h", -EXIT_USAGE, 0},
        {"1.0123456789s", -EXIT_USAGE, 0},
    };
    check_numbers(cases, N(cases), opt_parse_time_us);
}

static void a_time_without_unit_is_told_to_add_one(void **state)
{
    (void)state;
    struct err e;
    uint64_t us;
    assert_int_equal(opt_parse_time_us("37", &us, &e), -EXIT_USAGE);
    assert_has(e.text, "add a unit, for example 37ms");
}

static void a_size_is_bytes_or_has_a_unit(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        {"4096", 0, 4096},
        {"0", 0, 0},
        {"7B", 0, 7},
        {"64KiB", 0, 65536},
        {"64KB", 0, 64000},
        {"5MiB", 0, 5242880},
        {"5MB", 0, 5000000},
        {"1GiB", 0, 1073741824},
        {"1GB", 0, 1000000000},
        {"0.5MiB", 0, 524288},
        {"64K", -EXIT_USAGE, 0},
        {"64kib", -EXIT_USAGE, 0},
        {"-1", -EXIT_USAGE, 0},
        {"0x10", -EXIT_USAGE, 0},
        {"", -EXIT_USAGE, 0},
        {"99999999999GiB", -EXIT_USAGE, 0},
    };
    check_numbers(cases, N(cases), opt_parse_bytes);
}

static void a_count_is_digits_only(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        {"0", 0, 0},
        {"007", 0, 7},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -EXIT_USAGE, 0},
        {"-1", -EXIT_USAGE, 0},
        {"+1", -EXIT_USAGE, 0},
        {"1.0", -EXIT_USAGE, 0},
        {"1e3", -EXIT_USAGE, 0},
        {"0x10", -EXIT_USAGE, 0},
        {" 1", -EXIT_USAGE, 0},
        {"", -EXIT_USAGE, 0},
    };
    check_numbers(cases, N(cases), opt_parse_count);
}

static void a_real_is_finite_and_decimal(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        double value;
    } cases[] = {
        {"0.10", 0, 0.1},          {"-2.5", 0, -2.5},         {"1e3", 0, 1000},
        {"nan", -EXIT_USAGE, 0},   {"inf", -EXIT_USAGE, 0},   {"-inf", -EXIT_USAGE, 0},
        {"1e999", -EXIT_USAGE, 0}, {"0x1p3", -EXIT_USAGE, 0}, {"", -EXIT_USAGE, 0},
        {" 1", -EXIT_USAGE, 0},    {"1.5x", -EXIT_USAGE, 0},  {"1-2", -EXIT_USAGE, 0},
        {"e", -EXIT_USAGE, 0},
    };
    for (size_t i = 0; i < N(cases); i++) {
        double value = 0;
        struct err e;
        int rc = opt_parse_real(cases[i].text, &value, &e);
        if (rc != cases[i].rc || (rc == 0 && value != cases[i].value))
            fail_msg("'%s': rc %d, value %f", cases[i].text, rc, value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_a_decimal_number_and_a_unit),
        cmocka_unit_test(a_time_without_unit_is_told_to_add_one),
        cmocka_unit_test(a_size_is_bytes_or_has_a_unit),
        cmocka_unit_test(a_count_is_digits_only),
        cmocka_unit_test(a_real_is_finite_and_decimal),
    };
    return cmocka_run_group_tests_name("opt numbers", tests, NULL, NULL);
}
