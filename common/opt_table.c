#include "common/opt_private.h"

#include <ctype.h>
#include <string.h>

static const char *const shells[] = {"bash", NULL};

static const struct opt common_opts[] = {
    {.kind = OPT_FLAG,
     .letter = 'h',
     .name = "help",
     OPT_AT(opt_common, help),
     .help = "show this help"},
    {.kind = OPT_FLAG, .name = "version", OPT_AT(opt_common, version), .help = "show the version"},
    {.kind = OPT_TEXT,
     .name = "config",
     .arg = "FILE",
     OPT_AT(opt_common, config),
     .help = "read settings from FILE: lines of \"name = value\", with the names of the long "
             "options"},
    {.kind = OPT_FLAG,
     .name = "print-config",
     OPT_AT(opt_common, print_config),
     .help = "show every setting and where it came from, as a settings file"},
    {.kind = OPT_CHOICE,
     .name = "completion",
     .arg = "SHELL",
     .choices = shells,
     OPT_AT(opt_common, completion),
     .help = "write a completion script for the shell"},
    {.kind = OPT_FLAG,
     .name = "help-mdoc",
     OPT_AT(opt_common, help_mdoc),
     .help = "write this list of options for the man page"},
};

#define N_COMMON (sizeof common_opts / sizeof common_opts[0])

size_t opt_count_all(const struct opt_program *p)
{
    return p->n_opts + N_COMMON;
}

const struct opt *opt_nth(const struct opt_program *p, size_t i)
{
    return i < p->n_opts ? &p->opts[i] : &common_opts[i - p->n_opts];
}

bool opt_applies(const struct opt *o, int command)
{
    return command < 0 || o->commands == 0 || (o->commands >> command & 1U);
}

bool opt_is_common(const struct opt *o)
{
    return o >= common_opts && o < common_opts + N_COMMON;
}

bool opt_has_variable(const struct opt *o)
{
    return !opt_is_common(o) || strcmp(o->name, "config") == 0;
}

void opt_variable(const struct opt_program *p, const struct opt *o, char out[OPT_VARIABLE_MAX])
{
    struct text name = text_fixed(out, OPT_VARIABLE_MAX);
    text_addf(&name, "%s_%s", p->name, o->name);
    for (char *c = out; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

const struct opt *opt_find(const struct opt_program *p, int command, const char *name, int letter)
{
    const struct opt *other = NULL;
    for (size_t i = 0; i < opt_count_all(p); i++) {
        const struct opt *o = opt_nth(p, i);
        if (name ? strcmp(o->name, name) != 0 : !letter || o->letter != letter)
            continue;
        if (opt_applies(o, command))
            return o;
        if (!other)
            other = o;
    }
    return other;
}

void opt_add_commands(const struct opt_program *p, const struct opt *o, struct text *out)
{
    const char *between = "";
    for (size_t k = 0; k < p->n_commands; k++) {
        if (!(o->commands >> k & 1U))
            continue;
        text_addf(out, "%s%s", between, p->commands[k].name);
        between = ", ";
    }
}

void opt_add_arg(const struct opt *o, struct text *out)
{
    if (o->kind == OPT_CHOICE)
        for (size_t i = 0; o->choices[i]; i++)
            text_addf(out, "%s%s", i ? "|" : "", o->choices[i]);
    else if (o->kind != OPT_FLAG)
        text_add(out, o->arg ? o->arg : "VALUE");
}

#define NEAR_MAX 40 /* longer names get no suggestion */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many letters to add, leave out, change or swap to make b of a. */
static unsigned distance(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b);
    unsigned d[NEAR_MAX + 1][NEAR_MAX + 1];
    if (n_a > NEAR_MAX || n_b > NEAR_MAX)
        return NEAR_MAX;
    for (unsigned i = 0; i <= n_a; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= n_b; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n_a; i++)
        for (size_t j = 1; j <= n_b; j++) {
            unsigned change = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = least(change, least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n_a][n_b];
}

/* Keeps the nearer of two names; a guess must share most of its letters. */
static void consider(const char *given, const char *name, const char **best, unsigned *best_d)
{
    unsigned d = distance(given, name);
    if (d < *best_d && d <= 1 + strlen(name) / 4 && d < strlen(name)) {
        *best = name;
        *best_d = d;
    }
}

void opt_add_nearest_option(const struct opt_program *p, const char *name, const char *dashes,
                            struct text *out)
{
    const char *best = NULL;
    unsigned best_d = NEAR_MAX;
    for (size_t i = 0; i < opt_count_all(p); i++)
        consider(name, opt_nth(p, i)->name, &best, &best_d);
    if (best)
        text_addf(out, "; did you mean '%s%s'?", dashes, best);
}

void opt_add_nearest_command(const struct opt_program *p, const char *name, struct text *out)
{
    const char *best = NULL;
    unsigned best_d = NEAR_MAX;
    for (size_t k = 0; k < p->n_commands; k++)
        consider(name, p->commands[k].name, &best, &best_d);
    if (best)
        text_addf(out, "; did you mean '%s'?", best);
}
