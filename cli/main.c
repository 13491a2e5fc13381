/* streamctl - streams a camera to an inference server without lag. See streamctl(1). */
#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "cli/controls.h"
#include "cli/devices.h"
#include "cli/dry_run.h"
#include "cli/options.h"
#include "cli/pipelines.h"
#include "cli/probe.h"
#include "cli/snap.h"
#include "cli/source.h"
#include "cli/stream.h"

static int run_source(const struct settings *set, enum command command, const char *source,
                      const char *url, struct err *e)
{
    if (command == COMMAND_SNAP)
        return snap_run(set, source, url, e);
    url = url ? url : ADDRESS_DEFAULT;
    return set->dry_run ? dry_run(set, source, url, e) : stream_run(set, source, url, e);
}

/* The source's URL may hold a password: ps must not show it for longer than this takes. */
static int hide_and_run(const struct settings *set, enum command command, char *arg,
                        const char *url, struct err *e)
{
    char *source = strdup(arg);
    if (!source)
        return -err_set(e, EXIT_FAILED, "out of memory");
    source_hide(arg);
    int code = run_source(set, command, source, url, e);
    free(source);
    return code;
}

static int run(const struct settings *set, const struct opt_values *v, struct err *e)
{
    const char *url = v->n_args ? v->args[0] : ADDRESS_DEFAULT;
    switch ((enum command)v->command) {
    case COMMAND_STREAM:
    case COMMAND_SNAP:
        return hide_and_run(set, (enum command)v->command, v->args[0],
                            v->n_args > 1 ? v->args[1] : NULL, e);
    case COMMAND_PROBE:
        return probe_run(set, url, e);
    case COMMAND_PIPELINES:
        return pipelines_run(set, url, e);
    case COMMAND_DEVICES:
        return devices_run(set, e);
    case COMMAND_CONTROLS:
        return controls_run(set, v->args[0], e);
    }
    return EXIT_USAGE;
}

/* A descriptor that was closed by who started us must not become a socket of ours. */
static void open_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    open_standard_files();
    struct settings set;
    struct opt_values values;
    struct err e = {0};
    int code = -opt_parse(&streamctl_program, argc, argv, &set, sizeof set, &values, &e);
    if (code == EXIT_DONE && !values.done) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        code = run(&set, &values, &e);
        curl_global_cleanup();
    }
    if (e.text[0])
        fprintf(stderr, "streamctl: %s\n", e.text);
    opt_values_deinit(&values);
    return code;
}
