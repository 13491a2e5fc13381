/* streamload - plays many cameras against a server and judges it. See streamload(1). */
#include <curl/curl.h>
#include <stdio.h>

#include "common/address.h"
#include "loadgen/capacity.h"
#include "loadgen/compare.h"
#include "loadgen/merge.h"
#include "loadgen/options.h"
#include "loadgen/run.h"

static int run(const struct settings *set, const struct opt_values *v, struct err *e)
{
    const char *url = v->n_args ? v->args[0] : ADDRESS_DEFAULT;
    switch ((enum command)v->command) {
    case COMMAND_RUN:
        return run_command(set, url, e);
    case COMMAND_CAPACITY:
        return capacity_command(set, url, e);
    case COMMAND_COMPARE:
        return compare_command(set, v->n_args, v->args, e);
    case COMMAND_MERGE:
        return merge_command(set, v->n_args, v->args, e);
    case COMMAND_REPORT:
        return report_command(set, v->n_args, v->args, e);
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct settings set;
    struct opt_values values;
    struct err e = {0};
    int code = -opt_parse(&streamload_program, argc, argv, &set, sizeof set, &values, &e);
    if (code == EXIT_DONE && !values.done) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        code = run(&set, &values, &e);
        curl_global_cleanup();
    }
    if (e.text[0])
        fprintf(stderr, "streamload: %s\n", e.text);
    opt_values_deinit(&values);
    return code;
}
