#include "common/term.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LIVE_US         100000u
#define PLAIN_US        10000000u
#define COLUMNS_DEFAULT 80

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0];
}

bool term_is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 && !is_set("CI");
}

void term_init(struct term *t, const char *program, bool quiet, enum term_color color)
{
    *t = (struct term){.program = program, .mode = term_is_terminal() ? TERM_LIVE : TERM_PLAIN};
    t->color = t->mode == TERM_LIVE && !is_set("NO_COLOR");
    if (color != TERM_COLOR_AUTO)
        t->color = color == TERM_COLOR_ALWAYS;
    if (quiet)
        t->mode = TERM_OFF;
}

bool term_is_due(const struct term *t, uint64_t now_us)
{
    uint64_t every_us = t->mode == TERM_LIVE ? LIVE_US : PLAIN_US;
    return t->mode != TERM_OFF && now_us >= t->shown_us + every_us;
}

unsigned term_columns(const struct term *t)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    if (t->mode != TERM_LIVE)
        return 0;
    return (known ? size.ws_col : COLUMNS_DEFAULT) - 1; /* a full line would wrap */
}

static void put(const struct term *t, const char *bytes, size_t n)
{
    if (t->divert) {
        t->divert(t->divert_ctx, bytes, n);
        return;
    }
    ssize_t ignored = write(STDERR_FILENO, bytes, n); /* nowhere to complain */
    (void)ignored;
}

void term_divert(struct term *t, void (*divert)(void *ctx, const char *bytes, size_t n), void *ctx)
{
    t->divert = divert;
    t->divert_ctx = ctx;
}

static void erase(struct term *t)
{
    if (t->drawn)
        put(t, "\r\033[K", 4);
    t->drawn = false;
}

void term_show(struct term *t, const struct text *line, uint64_t now_us)
{
    char bytes[1024];
    struct text out = text_fixed(bytes, sizeof bytes);
    bool first = t->shown_us == 0;
    t->shown_us = now_us;
    if (t->mode == TERM_OFF || (t->mode == TERM_PLAIN && first))
        return;
    t->drawn = t->mode == TERM_LIVE;
    if (t->drawn)
        text_addf(&out, "\r%s\033[K", text_str(line));
    else
        text_addf(&out, "%s: %s\n", t->program, text_str(line));
    put(t, bytes, out.len);
}

static void tell(struct term *t, const char *fmt, va_list ap)
{
    char sentence[1024], bytes[1200];
    struct text out = text_fixed(bytes, sizeof bytes);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    text_addf(&out, "%s: %s\n", t->program, sentence);
    erase(t);
    put(t, bytes, out.len);
}

void term_say(struct term *t, const char *fmt, ...)
{
    va_list ap;
    if (t->mode == TERM_OFF)
        return;
    va_start(ap, fmt);
    tell(t, fmt, ap);
    va_end(ap);
}

void term_fail(struct term *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tell(t, fmt, ap);
    va_end(ap);
}

void term_end(struct term *t, const char *text)
{
    erase(t);
    if (t->mode != TERM_OFF)
        put(t, text, strlen(text));
}
