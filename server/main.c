/* streamd - answer camera frames within the budget, or drop them early. streamd(8) */

#include <stdio.h>

#include "common/log.h"
#include "server/options.h"
#include "server/streamd.h"

int main(int argc, char **argv)
{
    struct settings settings;
    struct opt_values values = {0};
    struct streamd d;
    struct err e;
    int rc = settings_parse(argc, argv, &settings, &values, &e);
    if (rc == 0 && !values.done) {
        log_setup((enum log_format)settings.log_format, (enum log_level)settings.log_level);
        rc = streamd_start(&d, &settings, &e);
        if (rc == 0)
            rc = streamd_run(&d, &e);
        streamd_stop(&d);
    }
    opt_values_deinit(&values);
    if (rc < 0)
        fprintf(stderr, "streamd: %s\n", e.text);
    return -rc;
}
