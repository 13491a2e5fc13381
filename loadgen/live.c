#include "loadgen/live.h"

#define BAR_CELLS 12

static void add_bar(struct text *out, double share)
{
    int full = (int)((share > 1.0 ? 1.0 : share) * BAR_CELLS + 0.5);
    text_add_char(out, '[');
    for (int i = 0; i < BAR_CELLS; i++)
        text_add_char(out, i < full ? '#' : '.');
    text_add_char(out, ']');
}

static double share(uint64_t part, uint64_t all)
{
    return all ? (double)part / (double)all : 0.0;
}

static void add_playing(struct text *out, const struct live_view *v)
{
    uint64_t all = v->answered + v->dropped + v->missing;
    add_bar(out, share(v->elapsed_us, v->duration_us));
    text_addf(out, " %.0f/%.0f s  %u sessions  %.0f fps", (double)v->elapsed_us / 1e6,
              (double)v->duration_us / 1e6, v->sessions, v->answered_per_s);
    text_addf(out, "  p50 %.1f p99 %.1f ms", (double)v->p50_us / 1000.0,
              (double)v->p99_us / 1000.0);
    text_addf(out, "  drops %.1f %%", 100.0 * share(v->dropped + v->missing, all));
    if (v->slow_downs)
        text_addf(out, "  slow-downs %llu", (unsigned long long)v->slow_downs);
}

void live_format(struct text *out, const struct live_view *v, unsigned columns, bool color)
{
    char bytes[256];
    struct text line = text_fixed(bytes, sizeof bytes);
    bool late = !v->connecting && v->p99_us > v->budget_us;
    if (v->connecting)
        text_addf(&line, "connecting: %u of %u sessions", v->sessions, v->sessions_wanted);
    else
        add_playing(&line, v);
    if (columns && line.len > columns)
        line.len = columns;
    text_add(out, !color ? "" : late ? "\033[33m" : "\033[32m");
    text_add_bytes(out, bytes, line.len);
    text_add(out, color ? "\033[0m" : "");
}
