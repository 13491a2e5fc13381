/* opt.h - one table of options per program, and everything that follows from it.
 *
 * A program describes each option once. From that table come: the parsing of
 * the command line (getopt_long), of the environment and of a settings file;
 * --help; --print-config; the OPTIONS part of the man page; bash completion.
 * Defaults are text and go through the same parser as the command line, so
 * help cannot lie about them. Precedence: command line, then environment, then
 * file, then default. A value that cannot be parsed or is out of range is
 * refused by naming the flag, variable or file line, the value, and what is
 * accepted (EXIT_USAGE).
 *
 * Every option NAME has the variable PROGRAM_NAME (upper case, '-' as '_'),
 * for example STREAMD_LOG_FORMAT; .env names a second, published one, which
 * the first outranks.
 *
 * Ownership: text values point into argv, the environment, or memory that
 * struct opt_values owns until opt_values_deinit. Threads: start-up only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum opt_kind {
    OPT_FLAG,    /* bool; no argument on the command line; 0/1/true/false/yes/no elsewhere */
    OPT_COUNT,   /* uint64_t: a whole number */
    OPT_REAL,    /* double */
    OPT_TIME_US, /* uint64_t in microseconds: "250us", "37ms", "1.5s", "2m", "1h"; unit required
                    unless the value is 0 */
    OPT_BYTES,   /* uint64_t: "4096", "64KiB", "64KB" (1000), "5MiB", "1GiB" */
    OPT_TEXT,    /* const char *; NULL when there is no default and none was given */
    OPT_CHOICE,  /* int: index into .choices; -1 when there is no default and none was given */
    OPT_LIST     /* struct opt_list: repeatable text; a higher source replaces the whole list;
                    one item per variable or file line entry, comma is not a separator */
};

struct opt_list {
    const char **item;
    size_t n;
};

struct opt {
    enum opt_kind kind;
    char letter;      /* short form, or 0 */
    const char *name; /* long form, without dashes */
    const char *arg;  /* what help calls the argument, for example "TIME"; NULL for a flag */
    const char *def;  /* default as text; NULL: unset, false or empty */
    double min, max;  /* both inclusive, in the target's unit; both 0: no limit;
                         max below min: no upper limit */
    /* OPT_TEXT and each item of an OPT_LIST: 0, or -EXIT_USAGE and what is wrong, or NULL. */
    int (*check)(const char *text, struct err *why);
    const char *const *choices; /* OPT_CHOICE: NULL-terminated names */
    size_t at;                  /* offset of the value in the program's struct: use OPT_AT */
    const char *env;            /* a second, published variable, or NULL */
    unsigned commands;          /* bit k: applies to command k; 0: applies to all. Options of
                                   different commands may share a name, a letter and .at */
    const char *help;           /* one or more sentences, no trailing period, no markup */
};

#define OPT_AT(type, member) .at = offsetof(struct type, member)

struct opt_command {
    const char *name;    /* "stream" */
    const char *args;    /* "SOURCE [URL]" */
    const char *summary; /* one line */
    int args_min, args_max;
};

struct opt_program {
    const char *name;    /* "streamd" */
    const char *summary; /* one line, for --help */
    const char *args;    /* positional arguments when there are no commands, or NULL */
    const char *version;
    const struct opt *opts;
    size_t n_opts;
    const struct opt_command *commands; /* NULL when the program has none */
    size_t n_commands;
    const char *epilog; /* shown at the end of --help (examples), or NULL */
};

/* What opt_parse found out beside the values. All zero is valid to deinit. */
struct opt_values {
    int command;         /* index into commands, -1 when the program has none */
    int n_args;          /* positional arguments */
    char **args;         /* borrowed from argv */
    bool done;           /* --help or the like was answered: exit EXIT_DONE */
    const void *private; /* sources and owned text, for opt_print_config */
};

/* Fills `into` (the program's struct of settings, n_bytes zeroed by this call)
 * from all four sources. Also there in every program, from no table:
 *   -h, --help            to stdout; `PROGRAM COMMAND --help` shows the command's options only
 *   --version             "streamd 0.1.0"
 *   --config FILE         settings file: lines "name = value", '#' comments
 *   --print-config        each effective value and where it came from, then done
 *   --completion bash     a completion script
 *   --help-mdoc           the OPTIONS part of the man page (mdoc), used by the Makefile
 * Options may stand before or after the command and between positional arguments.
 * Unknown options and commands: EXIT_USAGE, naming the nearest known name when
 * one is near. No command given: EXIT_USAGE with a one-line hint.
 * Returns 0 or -EXIT_USAGE (-EXIT_FAILED: out of memory, or help could not be written).
 * opt_values_deinit in either case. */
int opt_parse(const struct opt_program *p, int argc, char **argv, void *into, size_t n_bytes,
              struct opt_values *v, struct err *e);

void opt_values_deinit(struct opt_values *v);

/* Text to number at the rim; the rest of the program never sees "37ms".
 * Return 0, or -EXIT_USAGE with what was wrong with `text` in e. */
int opt_parse_time_us(const char *text, uint64_t *out, struct err *e);
int opt_parse_bytes(const char *text, uint64_t *out, struct err *e);
int opt_parse_count(const char *text, uint64_t *out, struct err *e);
int opt_parse_real(const char *text, double *out, struct err *e);
/* Two counts with a character between them: "640x480", "2/4". */
int opt_parse_two(const char *text, char between, uint64_t *a, uint64_t *b, struct err *e);

/* The parts, for the tests: written to f. command -1: all. */
void opt_help(const struct opt_program *p, int command, FILE *f);
void opt_mdoc(const struct opt_program *p, FILE *f);
void opt_completion_bash(const struct opt_program *p, FILE *f);
