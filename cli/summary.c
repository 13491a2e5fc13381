#include "cli/summary.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *reason, *text;
} endings[] = {
    {"source_ended", "the source is over"},
    {"source_failed", "the source failed"},
    {"count", "all frames that were asked for are sent"},
    {"duration", "the time is up"},
    {"interrupted", "interrupted"},
    {"server_error", "the server reported an error"},
    {"connection_lost", "the connection was lost"},
    {"output_failed", "the output cannot be written"},
    {"unreachable", "the server cannot be reached"},
};

static const char *ending(const char *reason)
{
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (strcmp(endings[i].reason, reason) == 0)
            return endings[i].text;
    return reason;
}

static void add_hist(struct text *out, const char *name, const struct hist *h, const char *what)
{
    text_addf(out, "  %-9s p50 %.1f, p99 %.1f, max %.1f ms (%s)\n", name,
              (double)hist_percentile_us(h, 50) / 1000.0,
              (double)hist_percentile_us(h, 99) / 1000.0, (double)h->max_us / 1000.0, what);
}

static void add_answers(struct text *out, const struct output_end *end)
{
    const struct tally *t = end->tally;
    uint64_t answered = t->ledger.answered;
    if (answered == 0)
        return;
    add_hist(out, "latency", &t->latency, "sent to answered");
    add_hist(out, "age", &t->age, "captured to answered");
    text_addf(out, "  %-9s %.1f %% of the answers within %g ms\n", "budget",
              100.0 * (double)(answered - t->late) / (double)answered,
              (double)end->budget_us / 1000.0);
}

void summary_format(struct text *out, const struct output_end *end, const char *source,
                    const char *url)
{
    const struct ledger *l = &end->tally->ledger;
    double per_s = end->duration_s > 0.0 ? 1.0 / end->duration_s : 0.0;
    text_addf(out, "%s -> %s, %.1f s: %s\n", source, url, end->duration_s, ending(end->reason));
    text_addf(out, "  %-9s %" PRIu64 " (%.1f/s), broken %" PRIu64 "\n", "read", l->read,
              (double)l->read * per_s, l->broken);
    text_addf(out, "  %-9s skipped %" PRIu64 ", paced out %" PRIu64 ", replaced %" PRIu64 "\n",
              "not sent", l->skipped, l->paced_out, l->replaced);
    text_addf(out,
              "  %-9s %" PRIu64 " (%.1f/s): answered %" PRIu64 ", dropped %" PRIu64
              ", unanswered %" PRIu64 "\n",
              "sent", l->sent, (double)l->sent * per_s, l->answered, l->dropped, l->unanswered);
    add_answers(out, end);
    if (end->tally->slow_downs || end->tally->reconnects || end->tally->odd_messages)
        text_addf(
            out,
            "  %-9s slow-downs %" PRIu64 ", reconnects %" PRIu64 ", odd messages %" PRIu64 "\n",
            "server", end->tally->slow_downs, end->tally->reconnects, end->tally->odd_messages);
}
