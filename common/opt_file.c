#include "common/opt_private.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)

/* Reads all of f, terminated. The caller frees *out in either case. */
static int read_all(FILE *f, const char *path, char **out, struct err *e)
{
    *out = malloc(FILE_BYTES_MAX + 1);
    if (!*out)
        return err_set(e, EXIT_FAILED, "out of memory");
    size_t n = fread(*out, 1, FILE_BYTES_MAX + 1, f);
    if (ferror(f))
        return err_errno(e, EXIT_USAGE, "settings file %.200s", path);
    if (n > FILE_BYTES_MAX)
        return err_set(e, EXIT_USAGE, "settings file %.200s: larger than 1MiB", path);
    (*out)[n] = '\0';
    if (strlen(*out) != n)
        return err_set(e, EXIT_USAGE, "settings file %.200s: has a zero byte, so it is not text",
                       path);
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The text between blanks, in place. */
static char *trim(char *s)
{
    while (is_blank(*s))
        s++;
    char *end = s + strlen(s);
    while (end > s && is_blank(end[-1]))
        end--;
    *end = '\0';
    return s;
}

static const char escapes[][2] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'"', '"'}, {'\\', '\\'}};
#define N_ESCAPES (sizeof escapes / sizeof escapes[0])

static bool unescape(char c, char *out)
{
    for (size_t i = 0; i < N_ESCAPES; i++)
        if (escapes[i][0] == c) {
            *out = escapes[i][1];
            return true;
        }
    return false;
}

/* s is behind the opening quote. In place; gives what is wrong, or NULL. */
static const char *read_quoted(char *s)
{
    char *to = s;
    for (; *s && *s != '"'; s++, to++) {
        *to = *s;
        if (*s == '\\' && !unescape(*++s, to))
            return "has an unknown escape; known are \\\\ \\\" \\n \\t \\r";
    }
    if (*s != '"')
        return "has no closing quote";
    s = trim(s + 1);
    *to = '\0';
    return *s == '\0' || *s == '#' ? NULL : "has something behind the closing quote";
}

/* A '#' begins a comment only behind a blank: "http://cam/#live" is one value. */
static void cut_comment(char *value)
{
    for (char *s = value; *s; s++)
        if (*s == '#' && (s == value || is_blank(s[-1]))) {
            *s = '\0';
            return;
        }
}

/* The option of the program's table with that name, or NULL and why. */
static const struct opt *known_name(const struct opt_state *s, const char *name, struct text *why)
{
    const struct opt *o = opt_find(s->program, s->command, name, 0);
    if (o && !opt_is_common(o))
        return o;
    if (o) {
        text_addf(why, "'%.80s' belongs on the command line only", name);
        return NULL;
    }
    text_addf(why, "unknown name '%.80s'", name);
    opt_add_nearest_option(s->program, name, "", why);
    return NULL;
}

static int refuse_line(const struct opt_state *s, unsigned line, const char *why, struct err *e)
{
    return err_set(e, EXIT_USAGE, "%.200s:%u: %s", s->file_path, line, why);
}

/* line: one line of the file, changed in place; values stay in it. */
static int read_line(struct opt_state *s, char *line, unsigned number, struct err *e)
{
    char buf[256];
    struct text why = text_fixed(buf, sizeof buf);
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return 0;
    char *value = strchr(line, '=');
    if (!value) {
        text_addf(&why, "missing '=' in '%.80s'; a line is name = value", line);
        return refuse_line(s, number, text_str(&why), e);
    }
    *value++ = '\0';
    const struct opt *o = known_name(s, trim(line), &why);
    if (!o)
        return refuse_line(s, number, text_str(&why), e);

    value = trim(value);
    if (*value == '"') {
        const char *wrong = read_quoted(++value);
        if (wrong) {
            text_addf(&why, "the value of %s %s", o->name, wrong);
            return refuse_line(s, number, text_str(&why), e);
        }
    } else {
        cut_comment(value);
        value = trim(value);
    }
    return opt_give(s, o, (struct opt_origin){OPT_FROM_FILE, number}, value, e);
}

int opt_file_read(struct opt_state *s, struct err *e)
{
    FILE *f = fopen(s->file_path, "re");
    if (!f)
        return err_errno(e, EXIT_USAGE, "settings file %.200s", s->file_path);
    int rc = read_all(f, s->file_path, &s->file, e);
    fclose(f);
    char *next = rc == 0 ? s->file : NULL;
    for (unsigned number = 1; rc == 0 && next; number++) {
        char *line = next;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        rc = read_line(s, line, number, e);
    }
    return rc;
}

/* Would the text, written as it is, be read back as something else? */
static bool needs_quotes(const char *text)
{
    size_t n = strlen(text);
    return n == 0 || text[strcspn(text, "\"#\\\n\r\t")] || text[0] == ' ' || text[n - 1] == ' ';
}

static char escape_letter(char c)
{
    for (size_t i = 0; i < N_ESCAPES; i++)
        if (escapes[i][1] == c)
            return escapes[i][0];
    return '\0';
}

static void print_value(const char *text, FILE *f)
{
    if (!needs_quotes(text)) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        char letter = escape_letter(*text);
        if (letter)
            fputc('\\', f);
        fputc(letter ? letter : *text, f);
    }
    fputc('"', f);
}

static void print_origin(const struct opt_state *s, const struct opt *o, struct opt_origin from,
                         FILE *f)
{
    char variable[OPT_VARIABLE_MAX];
    switch (from.source) {
    case OPT_FROM_DEFAULT:
        fputs("default", f);
        break;
    case OPT_FROM_FILE:
        fprintf(f, "file %s:%u", s->file_path, from.line);
        break;
    case OPT_FROM_PUBLISHED:
        fprintf(f, "environment %s", o->env);
        break;
    case OPT_FROM_VARIABLE:
        opt_variable(s->program, o, variable);
        fprintf(f, "environment %s", variable);
        break;
    case OPT_FROM_ARGV:
        fputs("command line", f);
        break;
    }
}

void opt_print_config(const struct opt_values *v, FILE *f)
{
    const struct opt_state *s = v->private;
    for (size_t i = 0; i < s->program->n_opts; i++) {
        const struct opt *o = &s->program->opts[i];
        const struct opt_setting *set = &s->setting[i];
        if (!opt_applies(o, s->command))
            continue;
        if (set->n == 0) /* there is no text for "nothing", so the line is a comment */
            fprintf(f, o->kind == OPT_FLAG ? "%s = false    # default\n" : "# %s =    # default\n",
                    o->name);
        for (size_t k = 0; k < set->n; k++) {
            fprintf(f, "%s = ", o->name);
            print_value(set->text[k], f);
            fputs("    # ", f);
            print_origin(s, o, set->from[k], f);
            fputc('\n', f);
        }
    }
}
