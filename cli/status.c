#include "cli/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LIVE_US         100000u
#define PLAIN_US        10000000u
#define BAR_CELLS       10
#define COLUMNS_DEFAULT 80

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0];
}

static bool is_live_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 && !is_set("CI");
}

void status_init(struct status *s, bool quiet, enum status_color color)
{
    *s = (struct status){.mode = is_live_terminal() ? STATUS_LIVE : STATUS_PLAIN};
    s->color = s->mode == STATUS_LIVE && !is_set("NO_COLOR");
    if (color != STATUS_COLOR_AUTO)
        s->color = color == STATUS_COLOR_ALWAYS;
    if (quiet)
        s->mode = STATUS_OFF;
}

/* Asked each time the line is drawn: that is how a new size is noticed (SIGWINCH would only
 * tell to ask). */
static unsigned terminal_columns(void)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : COLUMNS_DEFAULT;
}

static void add_bar(struct text *out, double share)
{
    int full = (int)(share * BAR_CELLS + 0.5);
    text_add_char(out, '[');
    for (int i = 0; i < BAR_CELLS; i++)
        text_add_char(out, i < full ? '#' : '.');
    text_add_char(out, ']');
}

void status_format(struct text *out, const struct status_view *v, unsigned columns, bool color)
{
    static const char *const paint[] = {"\033[32m", "\033[33m", "\033[31m"};
    char plain[256];
    struct text line = text_fixed(plain, sizeof plain);
    text_addf(&line, "%.20s", v->state);
    size_t state_bytes = line.len;
    text_addf(&line, "  %.1f/%.1f fps ", v->fps_now, v->fps_wanted);
    add_bar(&line, v->fps_wanted > 0.0 ? v->fps_now / v->fps_wanted : 0.0);
    text_addf(&line, "  latency p50 %.1f p99 %.1f ms", (double)v->p50_us / 1000.0,
              (double)v->p99_us / 1000.0);
    text_addf(&line, "  drops %.1f %%", v->drop_rate * 100.0);
    if (v->quality)
        text_addf(&line, "  quality %u, size %g", v->quality, v->scale);
    if (columns && line.len > columns)
        line.len = columns;
    if (state_bytes > line.len)
        state_bytes = line.len;
    text_add(out, color ? paint[v->mood] : "");
    text_add_bytes(out, plain, state_bytes);
    text_add(out, color ? "\033[0m" : "");
    text_add_bytes(out, plain + state_bytes, line.len - state_bytes);
}

bool status_is_due(const struct status *s, uint64_t now_us)
{
    uint64_t every_us = s->mode == STATUS_LIVE ? LIVE_US : PLAIN_US;
    return s->mode != STATUS_OFF && now_us >= s->shown_us + every_us;
}

static void put(const struct text *t)
{
    /* Nowhere to complain when standard error is gone. */
    ssize_t ignored = write(STDERR_FILENO, t->data, t->len);
    (void)ignored;
}

static void erase(struct status *s)
{
    if (!s->drawn)
        return;
    char bytes[] = "\r\033[K";
    struct text t = {.data = bytes, .len = sizeof bytes - 1};
    put(&t);
    s->drawn = false;
}

void status_show(struct status *s, const struct status_view *v, uint64_t now_us)
{
    char bytes[512];
    struct text t = text_fixed(bytes, sizeof bytes);
    if (!status_is_due(s, now_us))
        return;
    bool first = s->shown_us == 0;
    s->shown_us = now_us;
    if (s->mode == STATUS_LIVE) {
        text_add(&t, "\r");
        /* The last column stays free: a full line would wrap. */
        status_format(&t, v, terminal_columns() - 1, s->color);
        text_add(&t, "\033[K");
        s->drawn = true;
    } else if (!first) { /* the first ten seconds are not worth a line yet */
        text_add(&t, "streamctl: ");
        status_format(&t, v, 0, s->color);
        text_add(&t, "\n");
    }
    put(&t);
}

static void tell(struct status *s, const char *fmt, va_list ap)
{
    char bytes[1024];
    vsnprintf(bytes, sizeof bytes, fmt, ap);
    erase(s);
    dprintf(STDERR_FILENO, "streamctl: %s\n", bytes);
}

void status_say(struct status *s, const char *fmt, ...)
{
    va_list ap;
    if (s->mode == STATUS_OFF)
        return;
    va_start(ap, fmt);
    tell(s, fmt, ap);
    va_end(ap);
}

void status_fail(struct status *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tell(s, fmt, ap);
    va_end(ap);
}

void status_summary(struct status *s, const char *text)
{
    struct text t = {.data = (char[2048]){0}, .cap = 2048, .max = 2048};
    erase(s);
    text_add(&t, text);
    if (s->mode != STATUS_OFF)
        put(&t);
}
