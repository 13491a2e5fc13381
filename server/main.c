/* streamd - answer camera frames within the budget, or drop them early. streamd(8) */

#include <stdio.h>

#include "common/log.h"
#include "server/options.h"
#include "server/streamd.h"

static int list_pipelines(const struct settings *settings, struct err *e)
{
    struct pipeline_set set;
    struct text out = text_heap(1u << 20);
    int rc = pipeline_set_init(&set, settings->pipelines.item, settings->pipelines.n, e);
    if (rc == 0 && settings->json)
        pipeline_set_json(&set, &out);
    else if (rc == 0)
        pipeline_set_table(&set, &out);
    if (rc == 0)
        printf("%s%s", text_str(&out), settings->json ? "\n" : "");
    text_deinit(&out);
    pipeline_set_deinit(&set);
    return rc;
}

static int serve(const struct settings *settings, struct err *e)
{
    struct streamd d;
    log_setup((enum log_format)settings->log_format, (enum log_level)settings->log_level);
    int rc = streamd_start(&d, settings, e);
    if (rc == 0)
        rc = streamd_run(&d, e);
    streamd_stop(&d);
    return rc;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct opt_values values = {0};
    struct err e;
    int rc = settings_parse(argc, argv, &settings, &values, &e);
    if (rc == 0 && !values.done)
        rc = settings.list_pipelines ? list_pipelines(&settings, &e) : serve(&settings, &e);
    opt_values_deinit(&values);
    if (rc < 0)
        fprintf(stderr, "streamd: %s\n", e.text);
    return -rc;
}
