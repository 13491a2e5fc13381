/* sim - random scenarios against the server's decisions, on a virtual clock.
 *
 * Exit 0: every check held. 1: one did not; the seed and the shortest script found are
 * printed, and --script runs such a text again.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/figures.h"
#include "tests/sim/scenario.h"

struct wishes {
    uint64_t seed, n_runs;
    const char *script;
    enum world_bug bug;
    bool figures;
};

static int tell_end(const struct script_end *end)
{
    printf("# received %" PRIu64 ", answered %" PRIu64 ", dropped %" PRIu64 ", failed %" PRIu64
           ", %.3f s\n",
           end->total.received, end->total.answered, ledger_dropped(&end->total), end->total.failed,
           (double)end->at_us / 1e6);
    if (end->broken)
        printf("# %s at %" PRIu64 ": %s\n", end->broken, end->at_us, end->detail);
    return end->broken ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_file(const char *path)
{
    struct err e = {0};
    struct script s;
    FILE *from = fopen(path, "r");
    if (!from) {
        fprintf(stderr, "sim: %s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }
    int rc = script_read(from, &s, &e);
    fclose(from);
    if (rc < 0) {
        fprintf(stderr, "sim: %s: %s\n", path, e.text);
        return EXIT_USAGE;
    }
    struct script_end end = script_run(&s);
    script_free(&s);
    return tell_end(&end);
}

static int run_seed(uint64_t seed, enum world_bug bug, uint64_t *n_frames)
{
    struct scenario sc = scenario_random(seed);
    sc.set.bug = bug;
    struct script s = scenario_script(&sc);
    struct script_end end = script_run(&s);
    *n_frames += end.total.received;
    if (end.broken) {
        size_t n_before = s.n;
        size_t n_runs = script_shrink(&s, end.broken);
        printf("# seed %" PRIu64 ": %zu inputs, shrunk to %zu in %zu runs\n", seed, n_before, s.n,
               n_runs);
        end = script_run(&s);
        tell_end(&end);
        script_write(stdout, &s);
    }
    script_free(&s);
    scenario_free(&sc);
    return end.broken ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_seeds(const struct wishes *o)
{
    uint64_t n_frames = 0;
    for (uint64_t seed = o->seed; seed < o->seed + o->n_runs; seed++)
        if (run_seed(seed, o->bug, &n_frames))
            return EXIT_FAILURE;
    printf("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " frames, every check held\n", o->seed,
           o->seed + o->n_runs - 1, n_frames);
    return EXIT_SUCCESS;
}

static int usage(FILE *to)
{
    fprintf(to, "usage: sim [--seed N] [--runs N] [--bug NAME] | --script FILE | --figures\n");
    return to == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

static enum world_bug bug_named(const char *name)
{
    int bug = 0;
    while (bug < BUGS && strcmp(name, world_bug_name((enum world_bug)bug)) != 0)
        bug++;
    return (enum world_bug)bug;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"runs", required_argument, NULL, 'n'},
                                            {"script", required_argument, NULL, 'f'},
                                            {"bug", required_argument, NULL, 'b'},
                                            {"figures", no_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct wishes o = {.seed = 1, .n_runs = 1000};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;) {
        switch (c) {
        case 's':
            o.seed = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            o.n_runs = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            o.script = optarg;
            break;
        case 'b':
            o.bug = bug_named(optarg);
            break;
        case 't':
            o.figures = true;
            break;
        default:
            return usage(c == 'h' ? stdout : stderr);
        }
    }
    if (optind < argc || o.bug == BUGS || !o.n_runs)
        return usage(stderr);
    if (o.figures)
        return figures_print(stdout);
    return o.script ? run_file(o.script) : run_seeds(&o);
}
