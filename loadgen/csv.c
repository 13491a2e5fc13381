#include "loadgen/outputs.h"

static void add_ms(struct text *out, const struct hist *h, double percent)
{
    if (h->count)
        text_addf(out, ",%.3f", (double)hist_percentile_us(h, percent) / 1e3);
    else
        text_add_char(out, ',');
}

/* RFC 4180. */
void csv_write(struct text *out, const struct report *r)
{
    text_add(out, "second,warmup,sessions,due,sent,answered,dropped,unanswered,late,slow_downs,"
                  "connect_errors,p50_ms,p90_ms,p99_ms,max_ms\r\n");
    for (size_t i = 0; i < r->record.n_seconds; i++) {
        const struct record_second *s = &r->record.second[i];
        struct hist h = {0};
        record_unpack(s, &h);
        text_addf(out, "%zu,%d,%u,%u,%u,%u,%u,%u,%u,%u,%u", i, i * 1000000 < r->warmup_us,
                  s->sessions, s->due, s->sent, s->answered, s->dropped, s->unanswered, s->late,
                  s->slow_downs, s->connect_errors);
        add_ms(out, &h, 50);
        add_ms(out, &h, 90);
        add_ms(out, &h, 99);
        add_ms(out, &h, 100);
        text_add(out, "\r\n");
    }
}
