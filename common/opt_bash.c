#include "common/opt_private.h"

#include <string.h>

/* "-l|--listen": the patterns of a case. */
static void write_patterns(const struct opt *o, FILE *f)
{
    if (o->letter)
        fprintf(f, "-%c|", o->letter);
    fprintf(f, "--%s", o->name);
}

static void write_choices(const struct opt_program *p, FILE *f)
{
    for (size_t i = 0; i < opt_count_all(p); i++) {
        const struct opt *o = opt_nth(p, i);
        if (o->kind != OPT_CHOICE)
            continue;
        fputs("        ", f);
        write_patterns(o, f);
        fputs(")\n            words='", f);
        for (size_t k = 0; o->choices[k]; k++)
            fprintf(f, "%s%s", k ? " " : "", o->choices[k]);
        fputs("' ;;\n", f);
    }
}

static void write_takes_value(const struct opt_program *p, FILE *f)
{
    const char *between = "";
    for (size_t i = 0; i < opt_count_all(p); i++) {
        const struct opt *o = opt_nth(p, i);
        if (o->kind == OPT_FLAG)
            continue;
        fputs(between, f);
        write_patterns(o, f);
        between = "|";
    }
}

static void write_options(const struct opt_program *p, int command, FILE *f)
{
    const char *between = "";
    fputs("words='", f);
    for (size_t i = 0; i < opt_count_all(p); i++) {
        const struct opt *o = opt_nth(p, i);
        if (!opt_applies(o, command))
            continue;
        fprintf(f, "%s--%s", between, o->name);
        between = " ";
    }
    fputs("'", f);
}

static void write_command_names(const struct opt_program *p, const char *between, FILE *f)
{
    for (size_t k = 0; k < p->n_commands; k++)
        fprintf(f, "%s%s", k ? between : "", p->commands[k].name);
}

/* Finds the command among the words before the cursor, stepping over values. */
static void write_find_command(const struct opt_program *p, FILE *f)
{
    if (p->n_commands == 0)
        return;
    fputs("    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n        ",
          f);
    write_takes_value(p, f);
    fputs(")\n"
          "            [[ ${COMP_WORDS[i + 1]} == = ]] && i=$((i + 1))\n"
          "            i=$((i + 1)) ;;\n        ",
          f);
    write_command_names(p, "|", f);
    fputs(")\n"
          "            command=${COMP_WORDS[i]}\n"
          "            break ;;\n"
          "        esac\n"
          "    done\n",
          f);
}

static void write_words(const struct opt_program *p, FILE *f)
{
    fputs("    elif [[ $cur == -* ]]; then\n        case $command in\n", f);
    for (size_t k = 0; k < p->n_commands; k++) {
        fprintf(f, "        %s)\n            ", p->commands[k].name);
        write_options(p, (int)k, f);
        fputs(" ;;\n", f);
    }
    fputs("        *)\n            ", f);
    write_options(p, -1, f);
    fputs(" ;;\n        esac\n", f);
    if (p->n_commands > 0) {
        fputs("    elif [[ -z $command ]]; then\n        words='", f);
        write_command_names(p, " ", f);
        fputs("'\n", f);
    }
    fputs("    fi\n", f);
}

/* The name of a function of the shell: "_streamd". */
static void function_name(const struct opt_program *p, char *out, size_t cap)
{
    struct text name = text_fixed(out, cap);
    text_addf(&name, "_%s", p->name);
    for (char *c = out; *c; c++)
        if (*c == '-' || *c == '.')
            *c = '_';
}

void opt_completion_bash(const struct opt_program *p, FILE *f)
{
    char name[128];
    function_name(p, name, sizeof name);
    fprintf(f, "# bash completion for %s; files are left to readline (-o default)\n", p->name);
    fprintf(f, "%s()\n{\n", name);
    fputs("    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local command= words= is_value= i\n"
          "    COMPREPLY=()\n"
          "    # readline makes a word of the = in --name=value\n"
          "    [[ $cur == = ]] && cur=\n"
          "    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}\n",
          f);
    write_find_command(p, f);
    fputs("    case $prev in\n    ", f);
    write_takes_value(p, f);
    fputs(")\n        is_value=1 ;;\n    esac\n"
          "    if [[ -n $is_value ]]; then\n"
          "        case $prev in\n",
          f);
    write_choices(p, f);
    fputs("        esac\n", f);
    write_words(p, f);
    fprintf(f,
            "    [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
            "    return 0\n"
            "}\n"
            "complete -o default -F %s %s\n",
            name, p->name);
}
