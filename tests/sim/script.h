/* script.h - a run of a world written down: the settings, and every input with its time.
 *
 * What a random scenario breaks is a script of thousands of inputs; shrunk, it
 * is a handful that still break the same check, in a text that people can read,
 * change and run again:
 *
 *     workers 1
 *     sessions 1
 *     budget_us 37000
 *     at 0 frame 0 for 20000
 *     at 10 stall 0 for 2000000
 *
 * Ownership: script_free frees the inputs. Threads: one at a time.
 */
#pragma once

#include <stdio.h>

#include "common/err.h"
#include "tests/sim/world.h"

struct script {
    struct world_settings set;
    struct input *in; /* by time */
    size_t n, cap;
};

void script_free(struct script *s);
void script_add(struct script *s, const struct input *in);
void script_sort(struct script *s); /* by time; those of one time keep their order */

/* How a run ended. broken: the name of the check that did not hold, or NULL. */
struct script_end {
    const char *broken;
    char detail[160];
    uint64_t at_us;
    size_t n_done; /* inputs */
    struct ledger total;
};

struct script_end script_run(const struct script *s);

/* Makes s as short as it finds while the same check breaks: fewer inputs, sessions and
 * workers, shorter times. Gives the number of runs that took. */
size_t script_shrink(struct script *s, const char *broken);

void script_write(FILE *to, const struct script *s);
int script_read(FILE *from, struct script *s, struct err *e);
