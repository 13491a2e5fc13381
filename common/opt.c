#include "common/opt_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Answers what needs no settings. True: it did. */
static bool answer(const struct opt_cmdline *c)
{
    const struct opt_program *p = c->state->program;
    if (c->common.help)
        opt_help(p, c->state->command, stdout);
    else if (c->common.version)
        printf("%s %s\n", p->name, p->version);
    else if (c->common.completion >= 0)
        opt_completion_bash(p, stdout);
    else if (c->common.help_mdoc)
        opt_mdoc(p, stdout);
    else
        return false;
    return true;
}

static int no_command(const struct opt_program *p, struct err *e)
{
    char buf[256];
    struct text names = text_fixed(buf, sizeof buf);
    for (size_t k = 0; k < p->n_commands; k++)
        text_addf(&names, "%s%s", k == 0 ? "" : (k + 1 < p->n_commands ? ", " : " or "),
                  p->commands[k].name);
    return err_set(e, EXIT_USAGE, "no command given; use %s, or see '%s --help'", text_str(&names),
                   p->name);
}

/* Are there as many positional arguments as there should be? */
static int check_args(const struct opt_program *p, const struct opt_values *v, struct err *e)
{
    if (p->n_commands == 0 && v->n_args > 0 && !p->args)
        return err_set(e, EXIT_USAGE, "unexpected argument '%.80s'", v->args[0]);
    if (p->n_commands == 0)
        return 0;
    if (v->command < 0)
        return no_command(p, e);
    const struct opt_command *command = &p->commands[v->command];
    const char *usage = command->args ? command->args : "";
    if (v->n_args > command->args_max)
        return err_set(e, EXIT_USAGE, "unexpected argument '%.80s'; usage: %s %s [OPTION]... %s",
                       v->args[command->args_max], p->name, command->name, usage);
    if (v->n_args < command->args_min)
        return err_set(e, EXIT_USAGE, "%s needs %s: %s %s [OPTION]... %s", command->name,
                       command->args_min - v->n_args == 1 ? "one more argument" : "more arguments",
                       p->name, command->name, usage);
    return 0;
}

/* The variables: the published one first, so that the program's own outranks it. */
static int give_environment(struct opt_state *s, const struct opt *o, struct err *e)
{
    char name[OPT_VARIABLE_MAX];
    opt_variable(s->program, o, name);
    const char *published = o->env ? getenv(o->env) : NULL;
    const char *own = getenv(name);
    int rc = 0;
    if (published && *published)
        rc = opt_give(s, o, (struct opt_origin){OPT_FROM_PUBLISHED, 0}, published, e);
    if (rc == 0 && own && *own)
        rc = opt_give(s, o, (struct opt_origin){OPT_FROM_VARIABLE, 0}, own, e);
    return rc;
}

/* False for an option that has a namesake which applies to this command instead. */
static bool is_meant(const struct opt_state *s, const struct opt *o)
{
    return opt_find(s->program, s->command, o->name, 0) == o;
}

static int give_defaults(struct opt_state *s, struct err *e)
{
    for (size_t i = 0; i < s->program->n_opts; i++) {
        const struct opt *o = &s->program->opts[i];
        if (!is_meant(s, o))
            continue;
        if (o->kind == OPT_CHOICE)
            memcpy((char *)s->into + o->at, &(int){-1}, sizeof(int));
        int rc = o->def ? opt_give(s, o, (struct opt_origin){OPT_FROM_DEFAULT, 0}, o->def, e) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static const char *settings_path(const struct opt_program *p, const struct opt_common *common)
{
    char name[OPT_VARIABLE_MAX];
    opt_variable(p, opt_find(p, -1, "config", 0), name);
    const char *path = common->config ? common->config : getenv(name);
    return path && *path ? path : NULL;
}

/* All four sources, lowest first: every value is checked, the last one stays. */
static int give_all(struct opt_cmdline *c, struct err *e)
{
    struct opt_state *s = c->state;
    int rc = give_defaults(s, e);
    s->file_path = settings_path(s->program, &c->common);
    if (rc == 0 && s->file_path)
        rc = opt_file_read(s, e);
    for (size_t i = 0; rc == 0 && i < s->program->n_opts; i++) {
        const struct opt *o = &s->program->opts[i];
        if (is_meant(s, o))
            rc = give_environment(s, o, e);
    }
    return rc == 0 ? opt_cmdline_values(c, e) : rc;
}

/* The place as an error names it. */
static int refuse_value(const struct opt_state *s, const struct opt *o, struct opt_origin from,
                        const char *why, struct err *e)
{
    char variable[OPT_VARIABLE_MAX];
    switch (from.source) {
    case OPT_FROM_FILE:
        return err_set(e, EXIT_USAGE, "%.200s:%u: %s: %s", s->file_path, from.line, o->name, why);
    case OPT_FROM_PUBLISHED:
        return err_set(e, EXIT_USAGE, "%s: %s", o->env, why);
    case OPT_FROM_VARIABLE:
        opt_variable(s->program, o, variable);
        return err_set(e, EXIT_USAGE, "%s: %s", variable, why);
    case OPT_FROM_DEFAULT:
        return err_set(e, EXIT_USAGE, "default of --%s: %s", o->name, why);
    case OPT_FROM_ARGV:
        break;
    }
    return err_set(e, EXIT_USAGE, "--%s: %s", o->name, why);
}

static bool setting_add(struct opt_setting *set, struct opt_origin from, const char *text)
{
    const char **texts = realloc(set->text, (set->n + 1) * sizeof *texts);
    if (!texts)
        return false;
    set->text = texts;
    struct opt_origin *origins = realloc(set->from, (set->n + 1) * sizeof *origins);
    if (!origins)
        return false;
    set->from = origins;
    set->text[set->n] = text;
    set->from[set->n++] = from;
    return true;
}

int opt_give(struct opt_state *s, const struct opt *o, struct opt_origin from, const char *text,
             struct err *e)
{
    struct opt_setting *set = &s->setting[o - s->program->opts];
    struct err why = {.text = ""};
    if (o->kind != OPT_LIST && opt_value_set(o, text, s->into, &why) < 0)
        return refuse_value(s, o, from, why.text, e);
    if (o->check && o->check(text, &why) < 0)
        return refuse_value(s, o, from, why.text, e);
    if (o->kind != OPT_LIST || (set->n > 0 && set->from[0].source != from.source))
        set->n = 0;
    if (!setting_add(set, from, text))
        return err_set(e, EXIT_FAILED, "out of memory");
    struct opt_list list = {.item = set->text, .n = set->n};
    if (o->kind == OPT_LIST)
        memcpy((char *)s->into + o->at, &list, sizeof list);
    return 0;
}

static void state_free(struct opt_state *s)
{
    for (size_t i = 0; s->setting && i < s->program->n_opts; i++) {
        free(s->setting[i].text);
        free(s->setting[i].from);
    }
    free(s->setting);
    free(s->file);
    free(s->args);
    free(s);
}

static struct opt_state *state_new(const struct opt_program *p, int argc, void *into)
{
    struct opt_state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct opt_state){.program = p, .command = -1, .into = into};
    s->setting = calloc(p->n_opts + 1, sizeof *s->setting);
    s->args = calloc((size_t)argc + 1, sizeof *s->args);
    if (s->setting && s->args)
        return s;
    state_free(s);
    return NULL;
}

/* Help that did not arrive is a failure: the man page is made from it. */
static int check_stdout(struct err *e)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    return err_errno(e, EXIT_FAILED, "standard output");
}

static int parse_all(struct opt_cmdline *c, struct opt_values *v, struct err *e)
{
    struct opt_state *s = c->state;
    int rc = opt_cmdline_shape(c, e);
    if (rc < 0)
        return rc;
    bool has_command = s->command >= 0;
    v->command = s->command;
    v->args = s->args + has_command;
    v->n_args = c->n_args - has_command;
    v->done = answer(c);
    if (v->done)
        return check_stdout(e);
    if (!c->common.print_config)
        rc = check_args(s->program, v, e);
    if (rc == 0)
        rc = give_all(c, e);
    if (rc == 0 && c->common.print_config) {
        opt_print_config(v, stdout);
        v->done = true;
        rc = check_stdout(e);
    }
    return rc;
}

int opt_parse(const struct opt_program *p, int argc, char **argv, void *into, size_t n_bytes,
              struct opt_values *v, struct err *e)
{
    *v = (struct opt_values){.command = -1};
    memset(into, 0, n_bytes);
    for (size_t i = 0; i < p->n_opts; i++)
        assert(p->opts[i].at < n_bytes);
    struct opt_state *s = state_new(p, argc, into);
    if (!s)
        return err_set(e, EXIT_FAILED, "out of memory");
    v->private = s;
    struct opt_cmdline c = {.state = s, .common.completion = -1, .argc = argc, .argv = argv};
    int rc = parse_all(&c, v, e);
    opt_cmdline_deinit(&c);
    return rc;
}

void opt_values_deinit(struct opt_values *v)
{
    if (v->private)
        state_free((struct opt_state *)v->private);
    *v = (struct opt_values){.command = -1};
}
