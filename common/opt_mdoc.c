#include "common/opt_private.h"

#include <ctype.h>
#include <string.h>

#define WIDTH    78 /* mandoc's lint takes up to 80 bytes */
#define TEXT_MAX 8192

/* A word as roff prints it unchanged. In a word that is an option the dashes are
 * minus signs, which can be copied to a shell. */
static void add_escaped(const char *word, size_t n, struct text *out)
{
    bool is_option = n > 1 && word[0] == '-';
    if (n > 0 && (word[0] == '.' || word[0] == '\''))
        text_add(out, "\\&"); /* at the start of a line it would be a request */
    for (size_t i = 0; i < n; i++) {
        if (word[i] == '\\')
            text_add(out, "\\e");
        else if (word[i] == '-' && is_option)
            text_add(out, "\\-");
        else
            text_add_char(out, word[i]);
    }
}

static bool is_sentence_end(const char *s, size_t n)
{
    while (n > 0 && strchr(")\"'", s[n - 1]))
        n--;
    return n > 0 && strchr(".!?", s[n - 1]) &&
           isupper((unsigned char)s[n + strspn(s + n, ")\"' ")]);
}

/* Prose: each sentence begins a line, as mdoc(7) wants it, with a capital. */
static void mdoc_prose(const char *text, FILE *f)
{
    struct opt_fill fill = {.f = f, .width = WIDTH};
    bool is_first = true;
    while (*(text += strspn(text, " "))) {
        size_t n = strcspn(text, " ");
        struct text word = text_heap(TEXT_MAX);
        add_escaped(text, n, &word);
        if (text[n + strspn(text + n, " ")] == '\0')
            text_add(&word, ".");
        if (is_first && word.data)
            word.data[0] = (char)toupper((unsigned char)word.data[0]);
        is_first = false;
        opt_fill_words(&fill, text_str(&word));
        text_deinit(&word);
        if (is_sentence_end(text, n))
            opt_fill_end(&fill);
        text += n;
    }
    opt_fill_end(&fill);
}

/* Would a macro line take the word for a macro ("Fl"), punctuation or two words? */
static bool is_plain_argument(const char *text)
{
    bool like_macro =
        strlen(text) <= 3 && isupper((unsigned char)text[0]) && islower((unsigned char)text[1]);
    return isalnum((unsigned char)text[0]) && !like_macro && !strpbrk(text, " \"");
}

/* One argument of a macro. */
static void mdoc_argument(const char *text, FILE *f)
{
    struct text out = text_heap(TEXT_MAX);
    bool is_plain = is_plain_argument(text);
    text_add(&out, is_plain ? "" : "\"\\&");
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            text_add(&out, "\\(dq");
        else if (*c == '\\')
            text_add(&out, "\\e");
        else if (*c == '-')
            text_add(&out, "\\-");
        else
            text_add_char(&out, *c);
    }
    text_add(&out, is_plain ? "" : "\"");
    fputs(text_str(&out), f);
    text_deinit(&out);
}

static void mdoc_item(const struct opt *o, FILE *f)
{
    char buf[256];
    struct text arg = text_fixed(buf, sizeof buf);
    fputs(".It ", f);
    if (o->letter)
        fprintf(f, "Fl %c , ", o->letter);
    fprintf(f, "Fl -%s", o->name);
    opt_add_arg(o, &arg);
    if (arg.len > 0) {
        fputs(" Ar ", f);
        mdoc_argument(text_str(&arg), f);
    }
    fputc('\n', f);
}

static void mdoc_default(const struct opt *o, FILE *f)
{
    if (!o->def || o->kind == OPT_FLAG)
        return;
    fputs("The default is\n.Ql ", f);
    mdoc_argument(o->def, f);
    fputs(" .\n", f);
}

static void mdoc_variables(const struct opt_program *p, const struct opt *o, FILE *f)
{
    char variable[OPT_VARIABLE_MAX];
    if (!opt_has_variable(o))
        return;
    opt_variable(p, o, variable);
    fprintf(f, "Variable:\n.Ev %s", variable);
    if (o->env)
        fprintf(f, " ,\nor\n.Ev %s", o->env);
    fputs(" .\n", f);
}

static void mdoc_commands(const struct opt_program *p, const struct opt *o, FILE *f)
{
    char buf[256];
    struct text names = text_fixed(buf, sizeof buf);
    if (!o->commands)
        return;
    opt_add_commands(p, o, &names);
    fprintf(f, "Only for %s.\n", text_str(&names));
}

void opt_mdoc(const struct opt_program *p, FILE *f)
{
    fputs(".Bl -tag -width Ds\n", f);
    for (size_t i = 0; i < opt_count_all(p); i++) {
        const struct opt *o = opt_nth(p, i);
        mdoc_item(o, f);
        mdoc_prose(o->help, f);
        mdoc_commands(p, o, f);
        mdoc_default(o, f);
        mdoc_variables(p, o, f);
    }
    fputs(".El\n", f);
}
