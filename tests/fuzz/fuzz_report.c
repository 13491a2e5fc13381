/* Any bytes as a report: refused, or read so that what is written of it reads back the same; and
 * every output can be made of it. */

#include <stdlib.h>
#include <string.h>

#include "loadgen/outputs.h"
#include "loadgen/report_json.h"

#define OUTPUT_MAX ((size_t)1 << 26)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_again(const struct report *r)
{
    struct report again;
    struct text one = text_heap(OUTPUT_MAX), two = text_heap(OUTPUT_MAX);
    report_json_write(&one, r);
    must(!one.cut);
    must(report_json_read(&again, one.data, one.len, NULL) == 0);
    report_json_write(&two, &again);
    must(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
    report_deinit(&again);
    text_deinit(&one);
    text_deinit(&two);
}

static void check_outputs(const struct report *r)
{
    static void (*const writers[])(struct text *, const struct report *) = {
        junit_write, markdown_write, annotations_write, csv_write, prom_write, html_write};
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        struct text t = text_heap(OUTPUT_MAX);
        writers[i](&t, r);
        text_deinit(&t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct report r;
    if (report_json_read(&r, (const char *)data, size, NULL) == 0) {
        check_again(&r);
        check_outputs(&r);
    }
    report_deinit(&r);
    return 0;
}
