#include "common/opt_private.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* getopt_long's codes: a letter is itself, the option with index i is LONG_CODE + i. */
#define LONG_CODE  256
#define POSITIONAL 1

static bool has_long(const struct opt_cmdline *c, const char *name)
{
    for (const struct option *l = c->longs; l->name; l++)
        if (strcmp(l->name, name) == 0)
            return true;
    return false;
}

/* The tables of getopt_long; the first of several options with one name stands for all. */
static bool make_tables(struct opt_cmdline *c)
{
    const struct opt_program *p = c->state->program;
    size_t n = opt_count_all(p);
    c->letters = malloc(2 * n + 3);
    c->longs = calloc(n + 1, sizeof *c->longs);
    if (!c->letters || !c->longs)
        return false;
    struct text letters = text_fixed(c->letters, 2 * n + 3);
    text_add(&letters, "-:"); /* positional arguments in their place; no messages */
    struct option *next = c->longs;
    for (size_t i = 0; i < n; i++) {
        const struct opt *o = opt_nth(p, i);
        if (o->letter && !strchr(text_str(&letters), o->letter))
            text_addf(&letters, "%c%s", o->letter, o->kind == OPT_FLAG ? "" : ":");
        if (!has_long(c, o->name))
            *next++ = (struct option){
                .name = o->name, .has_arg = o->kind != OPT_FLAG, .val = LONG_CODE + (int)i};
    }
    return true;
}

static const struct opt *opt_of_code(const struct opt_cmdline *c, int code)
{
    const struct opt_program *p = c->state->program;
    const char *name = code >= LONG_CODE ? opt_nth(p, (size_t)(code - LONG_CODE))->name : NULL;
    return opt_find(p, c->state->command, name, code);
}

static void add_flag_name(const struct opt_cmdline *c, int code, struct text *out)
{
    if (code >= LONG_CODE)
        text_addf(out, "'--%s'", opt_nth(c->state->program, (size_t)(code - LONG_CODE))->name);
    else
        text_addf(out, "'-%c'", code);
}

/* word: "--lisen=x", which getopt_long found unknown or short for several. */
static void explain_unknown(const struct opt_cmdline *c, const char *word, struct text *out)
{
    char name[64];
    struct text n = text_fixed(name, sizeof name);
    const char *begin = word + strspn(word, "-");
    size_t len = strcspn(begin, "=");
    text_addf(&n, "%.*s", len < sizeof name ? (int)len : (int)sizeof name - 1, begin);

    const char *between = "";
    struct text full = text_heap(256);
    size_t n_full = 0;
    for (const struct option *l = c->longs; l->name; l++)
        if (n.len > 0 && strncmp(l->name, name, n.len) == 0) {
            text_addf(&full, "%s'--%s'", between, l->name);
            between = " or ";
            n_full++;
        }
    if (n_full > 1) {
        text_addf(out, "'--%s' may be %s", name, text_str(&full));
    } else {
        text_addf(out, "unknown option '--%s'", name);
        opt_add_nearest_option(c->state->program, name, "--", out);
    }
    text_deinit(&full);
}

/* code: '?' or ':' from getopt_long, which left the culprit in optopt. */
static int refuse_word(const struct opt_cmdline *c, int code, struct err *e)
{
    char buf[400];
    struct text why = text_fixed(buf, sizeof buf);
    if (code == '?' && optopt == 0) {
        explain_unknown(c, c->argv[optind - 1], &why);
    } else if (code == '?' && optopt < LONG_CODE) {
        text_addf(&why, "unknown option '-%c'", optopt);
    } else {
        add_flag_name(c, optopt, &why);
        text_add(&why, code == ':' ? " needs a value: " : " takes no value");
        if (code == ':')
            opt_add_arg(opt_of_code(c, optopt), &why);
    }
    return err_set(e, EXIT_USAGE, "%s", text_str(&why));
}

static int refuse_command(const struct opt_cmdline *c, const struct opt *o, int code, struct err *e)
{
    const struct opt_program *p = c->state->program;
    char buf[256];
    struct text why = text_fixed(buf, sizeof buf);
    struct opt all = *o; /* and its namesakes */
    for (size_t i = 0; i < p->n_opts; i++)
        if (strcmp(p->opts[i].name, o->name) == 0)
            all.commands |= p->opts[i].commands;
    add_flag_name(c, code, &why);
    text_add(&why, " belongs to ");
    opt_add_commands(p, &all, &why);
    text_addf(&why, ", not to %s", p->commands[c->state->command].name);
    return err_set(e, EXIT_USAGE, "%s", text_str(&why));
}

static int set_common(struct opt_cmdline *c, const struct opt *o, const char *text, struct err *e)
{
    struct err why = {.text = ""};
    int rc = opt_value_set(o, text, &c->common, &why);
    return rc < 0 ? err_set(e, EXIT_USAGE, "--%s: %s", o->name, why.text) : 0;
}

static int read_shape(struct opt_cmdline *c, int code, const char *text, struct err *e)
{
    if (code == POSITIONAL) {
        c->state->args[c->n_args++] = optarg;
        return 0;
    }
    if (code == '?' || code == ':')
        return refuse_word(c, code, e);
    const struct opt *o = opt_of_code(c, code);
    return opt_is_common(o) ? set_common(c, o, text, e) : 0;
}

static int read_value(struct opt_cmdline *c, int code, const char *text, struct err *e)
{
    const struct opt *o = code == POSITIONAL ? NULL : opt_of_code(c, code);
    if (!o || opt_is_common(o))
        return 0;
    if (!opt_applies(o, c->state->command))
        return refuse_command(c, o, code, e);
    return opt_give(c->state, o, (struct opt_origin){OPT_FROM_ARGV, 0}, text, e);
}

static int walk(struct opt_cmdline *c,
                int (*read)(struct opt_cmdline *c, int code, const char *text, struct err *e),
                struct err *e)
{
    int rc = 0, code;
    optind = 0; /* 0, not 1: glibc then forgets the walk before */
    opterr = 0;
    while (rc == 0 && (code = getopt_long(c->argc, c->argv, c->letters, c->longs, NULL)) != -1)
        rc = read(c, code, optarg ? optarg : "true", e);
    return rc;
}

/* What stands behind "--", which getopt_long leaves alone. */
static void take_rest(struct opt_cmdline *c)
{
    for (int i = optind; i < c->argc; i++)
        c->state->args[c->n_args++] = c->argv[i];
}

static int find_command(const struct opt_program *p, const char *name)
{
    for (size_t k = 0; k < p->n_commands; k++)
        if (strcmp(p->commands[k].name, name) == 0)
            return (int)k;
    return -1;
}

static int take_command(struct opt_cmdline *c, struct err *e)
{
    const struct opt_program *p = c->state->program;
    if (p->n_commands == 0 || c->n_args == 0)
        return 0;
    const char *name = c->state->args[0];
    c->state->command = find_command(p, name);
    if (c->state->command >= 0)
        return 0;
    char buf[256];
    struct text why = text_fixed(buf, sizeof buf);
    text_addf(&why, "unknown command '%.80s'", name);
    opt_add_nearest_command(p, name, &why);
    return err_set(e, EXIT_USAGE, "%s", text_str(&why));
}

int opt_cmdline_shape(struct opt_cmdline *c, struct err *e)
{
    if (!make_tables(c))
        return err_set(e, EXIT_FAILED, "out of memory");
    int rc = walk(c, read_shape, e);
    if (rc < 0)
        return rc;
    take_rest(c);
    return take_command(c, e);
}

int opt_cmdline_values(struct opt_cmdline *c, struct err *e)
{
    return walk(c, read_value, e);
}

void opt_cmdline_deinit(struct opt_cmdline *c)
{
    free(c->letters);
    free(c->longs);
}
