/* opt_private.h - what the files of opt share, and nobody else includes.
 *
 * opt.c walks the sources in order of rank, opt_argv.c reads the command line,
 * opt_table.c finds options and the nearest name, opt_file.c reads and writes
 * settings files, opt_parse.c turns one text into one value, opt_help.c,
 * opt_mdoc.c and opt_bash.c tell the table to people, man pages and shells.
 *
 * Options are counted through the program's table first, then through those
 * that every program has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/opt.h"
#include "common/text.h"

/* Where a value came from; a higher one replaces a lower one. */
enum opt_source {
    OPT_FROM_DEFAULT,
    OPT_FROM_FILE,
    OPT_FROM_PUBLISHED, /* the variable in .env */
    OPT_FROM_VARIABLE,  /* PROGRAM_NAME */
    OPT_FROM_ARGV
};

struct option;

struct opt_origin {
    enum opt_source source;
    unsigned line; /* of the settings file, from 1; else 0 */
};

/* What an option was given: one text, or as many as a list has items. */
struct opt_setting {
    const char **text;
    struct opt_origin *from; /* one for each text */
    size_t n;
};

/* What stands behind opt_values.private. */
struct opt_state {
    const struct opt_program *program;
    int command;
    void *into;                  /* the program's struct; borrowed */
    struct opt_setting *setting; /* one for each option of the program's table */
    const char *file_path;       /* borrowed from argv or the environment */
    char *file;                  /* the bytes that values from the file point into */
    char **args;
};

/* The values of the options that every program has. */
struct opt_common {
    bool help, version, print_config, help_mdoc;
    const char *config;
    int completion; /* -1: not asked for */
};

/* The command line, read twice: first for its shape (command, positional
 * arguments, --help and its like), then, with the command known and the lower
 * sources applied, for the values. */
struct opt_cmdline {
    struct opt_state *state;
    struct opt_common common;
    int argc;
    char **argv;
    char *letters;
    struct option *longs; /* getopt_long's */
    int n_args;
};

int opt_cmdline_shape(struct opt_cmdline *c, struct err *e);
int opt_cmdline_values(struct opt_cmdline *c, struct err *e);
void opt_cmdline_deinit(struct opt_cmdline *c);

#define OPT_VARIABLE_MAX 128 /* bytes of a variable's name, with the terminator */

size_t opt_count_all(const struct opt_program *p);
const struct opt *opt_nth(const struct opt_program *p, size_t i);
bool opt_applies(const struct opt *o, int command); /* command -1: always */
bool opt_is_common(const struct opt *o);
bool opt_has_variable(const struct opt *o);
void opt_variable(const struct opt_program *p, const struct opt *o, char out[OPT_VARIABLE_MAX]);

/* The table's option of that name (or, when name is NULL, letter), the one that
 * applies to the command if there are several. NULL: none. */
const struct opt *opt_find(const struct opt_program *p, int command, const char *name, int letter);

/* Adds "stream, probe" for an option that is limited to these. */
void opt_add_commands(const struct opt_program *p, const struct opt *o, struct text *out);

/* Adds "TIME", or "text|json" for a choice, or nothing for a flag. */
void opt_add_arg(const struct opt *o, struct text *out);

/* Adds "; did you mean '--listen'?" when a name is near enough. */
void opt_add_nearest_option(const struct opt_program *p, const char *name, const char *dashes,
                            struct text *out);
void opt_add_nearest_command(const struct opt_program *p, const char *name, struct text *out);

/* Words in lines of at most .width columns; later lines begin at .indent. */
struct opt_fill {
    FILE *f;
    int width, indent;
    int column; /* where the next byte goes */
};

/* Adds the words of text, with a break or a blank before each but the first of
 * a line. opt_fill_end ends the line and begins the next at column 0. */
void opt_fill_words(struct opt_fill *fill, const char *text);
void opt_fill_end(struct opt_fill *fill);

/* Checks text and writes its value into the program's struct. Not for OPT_LIST. */
int opt_value_set(const struct opt *o, const char *text, void *into, struct err *e);

/* Gives option o (of the program's table) a text from somewhere: kept, checked,
 * written. Errors name the place. */
int opt_give(struct opt_state *s, const struct opt *o, struct opt_origin from, const char *text,
             struct err *e);

/* Reads the settings file of s->file_path and gives what it says. */
int opt_file_read(struct opt_state *s, struct err *e);

/* Every setting that applies to the command, in the form of a settings file. */
void opt_print_config(const struct opt_values *v, FILE *f);
