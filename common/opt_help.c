#include "common/opt_private.h"

#include <string.h>

#define WIDTH       80
#define HELP_COLUMN 27

static void put_word(struct opt_fill *fill, const char *word, int n)
{
    if (fill->column > fill->indent && fill->column + 1 + n > fill->width) {
        fputc('\n', fill->f);
        fill->column = 0;
    }
    if (fill->column < fill->indent)
        fill->column += fprintf(fill->f, "%*s", fill->indent - fill->column, "");
    else if (fill->column > fill->indent)
        fill->column += fprintf(fill->f, " ");
    fill->column += fprintf(fill->f, "%.*s", n, word);
}

void opt_fill_words(struct opt_fill *fill, const char *text)
{
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        int n = (int)strcspn(text, " ");
        put_word(fill, text, n);
        text += n;
    }
}

void opt_fill_end(struct opt_fill *fill)
{
    if (fill->column > 0)
        fputc('\n', fill->f);
    fill->column = 0;
}

static void help_usage(const struct opt_program *p, int command, FILE *f)
{
    const char *intro = "Usage:";
    if (p->n_commands == 0)
        fprintf(f, "Usage: %s [OPTION]...%s%s\n", p->name, p->args ? " " : "",
                p->args ? p->args : "");
    for (int k = 0; k < (int)p->n_commands; k++) {
        const struct opt_command *c = &p->commands[k];
        if (command >= 0 && k != command)
            continue;
        fprintf(f, "%-6s %s %s [OPTION]...%s%s\n", intro, p->name, c->name, c->args ? " " : "",
                c->args ? c->args : "");
        intro = "";
    }
}

static void help_line(const char *left, const char *help, FILE *f)
{
    struct opt_fill fill = {.f = f, .width = WIDTH, .indent = HELP_COLUMN};
    fill.column = fprintf(f, "%s", left);
    if (fill.column + 2 > HELP_COLUMN)
        opt_fill_end(&fill);
    opt_fill_words(&fill, help);
    opt_fill_end(&fill);
}

static void help_commands(const struct opt_program *p, FILE *f)
{
    char buf[256];
    fputs("\nCommands:\n", f);
    for (size_t k = 0; k < p->n_commands; k++) {
        struct text left = text_fixed(buf, sizeof buf);
        text_addf(&left, "  %s", p->commands[k].name);
        help_line(text_str(&left), p->commands[k].summary, f);
    }
}

/* Help, default, and for the help of all commands: which ones it is for. */
static void add_explanation(const struct opt_program *p, const struct opt *o, int command,
                            struct text *out)
{
    text_add(out, o->help);
    if (command < 0 && o->commands) {
        text_add(out, " (only for ");
        opt_add_commands(p, o, out);
        text_add(out, ")");
    }
    if (o->def && o->kind != OPT_FLAG)
        text_addf(out, " [%s]", o->def);
}

static void help_option(const struct opt_program *p, const struct opt *o, int command, FILE *f)
{
    char buf[256];
    struct text left = text_fixed(buf, sizeof buf);
    struct text right = text_heap(4096);
    if (o->letter)
        text_addf(&left, "  -%c, --%s", o->letter, o->name);
    else
        text_addf(&left, "      --%s", o->name);
    if (o->kind != OPT_FLAG)
        text_add(&left, " ");
    opt_add_arg(o, &left);
    add_explanation(p, o, command, &right);
    help_line(text_str(&left), text_str(&right), f);
    text_deinit(&right);
}

/* One example says how all variables are called. */
static void help_environment(const struct opt_program *p, FILE *f)
{
    char variable[OPT_VARIABLE_MAX];
    const struct opt *o = opt_nth(p, 0);
    for (size_t i = 0; i < p->n_opts && strchr(o->name, '-') == NULL; i++)
        o = &p->opts[i];
    if (p->n_opts == 0)
        return;
    opt_variable(p, o, variable);
    struct opt_fill fill = {.f = f, .width = WIDTH};
    char buf[512];
    struct text line = text_fixed(buf, sizeof buf);
    text_addf(&line,
              "Every setting also has an environment variable, for example %s for --%s. "
              "The command line outranks it, and it outranks the settings file.",
              variable, o->name);
    fputc('\n', f);
    opt_fill_words(&fill, text_str(&line));
    opt_fill_end(&fill);
}

void opt_help(const struct opt_program *p, int command, FILE *f)
{
    struct opt_fill fill = {.f = f, .width = WIDTH};
    help_usage(p, command, f);
    fputc('\n', f);
    opt_fill_words(&fill, command >= 0 ? p->commands[command].summary : p->summary);
    opt_fill_end(&fill);
    if (command < 0 && p->n_commands > 0)
        help_commands(p, f);
    fputs("\nOptions:\n", f);
    for (size_t i = 0; i < opt_count_all(p); i++)
        if (opt_applies(opt_nth(p, i), command))
            help_option(p, opt_nth(p, i), command, f);
    help_environment(p, f);
    if (!p->epilog)
        return;
    size_t n = strlen(p->epilog);
    fprintf(f, "\n%s%s", p->epilog, n > 0 && p->epilog[n - 1] == '\n' ? "" : "\n");
}
