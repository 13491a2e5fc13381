#include "cli/status.h"

#define BAR_CELLS 10

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

void status_show(struct term *t, const struct status_view *v, uint64_t now_us)
{
    char bytes[512];
    struct text line = text_fixed(bytes, sizeof bytes);
    status_format(&line, v, term_columns(t), t->color);
    term_show(t, &line, now_us);
}
