#include "cli/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"

#define LINE_MAX_BYTES (4u * 1024u * 1024u) /* an answer is at most 1 MiB */

void output_init(struct output *o, int fd, int give_up_fd)
{
    *o = (struct output){.fd = fd, .give_up_fd = give_up_fd, .line = text_heap(LINE_MAX_BYTES)};
}

void output_deinit(struct output *o)
{
    text_deinit(&o->line);
}

/* Waits until a write of PIPE_BUF bytes does not block. */
static enum output_state wait_for_reader(const struct output *o)
{
    struct pollfd fds[2] = {{.fd = o->fd, .events = POLLOUT},
                            {.fd = o->give_up_fd, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0)
        if (errno != EINTR)
            return OUTPUT_FAILED;
    if (fds[0].revents & POLLERR)
        return OUTPUT_UNREAD;
    return fds[0].revents & POLLOUT ? OUTPUT_OPEN : OUTPUT_GAVE_UP;
}

static enum output_state write_all(const struct output *o, const char *bytes, size_t n)
{
    while (n) {
        enum output_state state = wait_for_reader(o);
        if (state != OUTPUT_OPEN)
            return state;
        ssize_t written = write(o->fd, bytes, n < PIPE_BUF ? n : PIPE_BUF);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return errno == EPIPE ? OUTPUT_UNREAD : OUTPUT_FAILED;
        if (written > 0) {
            bytes += written;
            n -= (size_t)written;
        }
    }
    return OUTPUT_OPEN;
}

static struct json begin(struct output *o, const char *event)
{
    text_clear(&o->line);
    struct json j = json_to(&o->line);
    json_object_begin(&j, NULL);
    json_str(&j, "event", event);
    return j;
}

static void end(struct output *o, struct json *j)
{
    json_object_end(j);
    text_add_char(&o->line, '\n');
    if (o->state == OUTPUT_OPEN && !o->line.cut)
        o->state = write_all(o, o->line.data, o->line.len);
}

static void add_ms(struct json *j, const char *key, uint64_t us)
{
    json_num(j, key, (double)us / 1000.0, 3);
}

void output_start(struct output *o, const char *source, const char *url, const char *pipeline)
{
    struct json j = begin(o, "start");
    json_str(&j, "source", source);
    json_str(&j, "url", url);
    json_str(&j, "pipeline", pipeline);
    json_str(&j, "version", VERSION);
    end(o, &j);
}

static void add_mode(struct json *j, const char *format, unsigned width, unsigned height,
                     double fps)
{
    if (*format)
        json_str(j, "format", format);
    if (width) {
        json_u64(j, "width", width);
        json_u64(j, "height", height);
    }
    if (fps > 0)
        json_num(j, "fps", fps, 3);
}

void output_source(struct output *o, const struct source_facts *f)
{
    struct json j = begin(o, "source");
    json_str(&j, "device", f->device);
    json_str(&j, "card", f->card);
    json_str(&j, "bus", f->bus);
    if (*f->serial)
        json_str(&j, "serial", f->serial);
    add_mode(&j, f->format, f->width, f->height, f->fps);
    json_object_begin(&j, "asked");
    add_mode(&j, f->asked_format, f->asked_width, f->asked_height, f->asked_fps);
    json_object_end(&j);
    if (*f->stamp)
        json_str(&j, "stamp", f->stamp);
    end(o, &j);
}

void output_connected(struct output *o, double connect_ms)
{
    struct json j = begin(o, "connected");
    json_num(&j, "connect_ms", connect_ms, 3);
    end(o, &j);
}

void output_disconnected(struct output *o, const char *why, uint64_t retry_us)
{
    struct json j = begin(o, "disconnected");
    json_str(&j, "detail", why);
    if (retry_us)
        add_ms(&j, "retry_ms", retry_us);
    end(o, &j);
}

static void add_timing(struct json *j, const struct proto_message *m)
{
    if (m->has_timing)
        proto_write_timing(j, &m->timing);
}

static struct json begin_answer(struct output *o, const char *event, const struct output_answer *a)
{
    struct json j = begin(o, event);
    json_u64(&j, "frame_index", a->message->frame_index);
    json_u64(&j, "frame", a->frame->source_index);
    json_num(&j, "captured", a->frame->captured_wall_s, 6);
    add_ms(&j, "latency_ms", a->latency_us);
    add_ms(&j, "age_ms", a->age_us);
    return j;
}

void output_result(struct output *o, const struct output_answer *a)
{
    struct json j = begin_answer(o, "result", a);
    if (a->frame->halvings)
        json_num(&j, "scale", ladder_scale(a->frame->halvings), 2);
    json_raw(&j, "result", a->message->result, strlen(a->message->result));
    add_timing(&j, a->message);
    end(o, &j);
}

void output_drop(struct output *o, const struct output_answer *a)
{
    struct json j = begin_answer(o, "drop", a);
    if (a->message->name[0])
        json_str(&j, "reason", a->message->name);
    add_timing(&j, a->message);
    end(o, &j);
}

void output_warning(struct output *o, const char *warning, const char *detail)
{
    struct json j = begin(o, "warning");
    json_str(&j, "warning", warning);
    if (detail)
        json_str(&j, "detail", detail);
    end(o, &j);
}

void output_slow_down(struct output *o, double wanted_per_s)
{
    struct json j = begin(o, "warning");
    json_str(&j, "warning", "slow_down");
    json_num(&j, "wanted_fps", wanted_per_s, 2);
    end(o, &j);
}

void output_error(struct output *o, const char *error, const char *detail)
{
    struct json j = begin(o, "error");
    json_str(&j, "error", error);
    json_str(&j, "detail", detail);
    end(o, &j);
}

static void add_hist(struct json *j, const char *key, const struct hist *h)
{
    json_object_begin(j, key);
    json_u64(j, "count", h->count);
    add_ms(j, "min_ms", h->min_us);
    json_num(j, "mean_ms", hist_mean_us(h) / 1000.0, 3);
    add_ms(j, "p50_ms", hist_percentile_us(h, 50));
    add_ms(j, "p90_ms", hist_percentile_us(h, 90));
    add_ms(j, "p99_ms", hist_percentile_us(h, 99));
    add_ms(j, "max_ms", h->max_us);
    json_object_end(j);
}

static void add_sent_as(struct json *j, const struct ladder_rung *rung)
{
    if (rung->quality)
        json_u64(j, "quality", rung->quality);
    json_num(j, "scale", ladder_scale(rung->halvings), 2);
}

void output_stats(struct output *o, const struct tally *t, double wanted_per_s,
                  const struct ladder_rung *sent_as, uint64_t now_us)
{
    struct json j = begin(o, "stats");
    const struct ledger *l = &t->ledger;
    struct hist recent;
    tally_recent(t, &recent);
    json_u64(&j, "processed", l->answered);
    json_u64(&j, "sent", l->sent);
    json_u64(&j, "skipped", l->skipped + l->paced_out + l->replaced);
    json_u64(&j, "dropped", l->dropped);
    json_u64(&j, "read", l->read);
    json_num(&j, "fps", rate_per_s(&t->answer_rate, now_us), 2);
    json_num(&j, "wanted_fps", wanted_per_s, 2);
    add_sent_as(&j, sent_as);
    add_hist(&j, "latency", &recent);
    end(o, &j);
}

static void add_ledger(struct json *j, const struct ledger *l)
{
    json_u64(j, "read", l->read);
    json_u64(j, "broken", l->broken);
    json_u64(j, "skipped", l->skipped);
    json_u64(j, "paced_out", l->paced_out);
    json_u64(j, "replaced", l->replaced);
    json_u64(j, "sent", l->sent);
    json_u64(j, "answered", l->answered);
    json_u64(j, "dropped", l->dropped);
    json_u64(j, "unanswered", l->unanswered);
}

static void add_broken(struct json *j, const struct tally *t)
{
    json_object_begin(j, "broken_by");
    for (size_t i = 0; i < TALLY_BROKEN_KINDS && t->broken_kind[i].why; i++)
        json_u64(j, t->broken_kind[i].why, t->broken_kind[i].n);
    json_object_end(j);
}

static void add_rates(struct json *j, const struct ledger *l, double duration_s)
{
    double per = duration_s > 0.0 ? 1.0 / duration_s : 0.0;
    json_num(j, "duration_s", duration_s, 3);
    json_num(j, "read_fps", (double)l->read * per, 2);
    json_num(j, "sent_fps", (double)l->sent * per, 2);
    json_num(j, "answered_fps", (double)l->answered * per, 2);
    json_num(j, "drop_rate", ledger_drop_rate(l), 4);
}

void output_end(struct output *o, const struct output_end *e)
{
    const struct tally *t = e->tally;
    struct json j = begin(o, "end");
    json_str(&j, "reason", e->reason);
    json_u64(&j, "exit_code", (uint64_t)e->exit_code);
    add_ledger(&j, &t->ledger);
    add_rates(&j, &t->ledger, e->duration_s);
    json_num(&j, "budget_ms", (double)e->budget_us / 1000.0, 3);
    add_broken(&j, t);
    json_u64(&j, "device_lost", t->device_lost);
    json_u64(&j, "late", t->late);
    json_u64(&j, "slow_downs", t->slow_downs);
    json_u64(&j, "reconnects", t->reconnects);
    json_u64(&j, "odd_messages", t->odd_messages);
    json_u64(&j, "sent_bytes", t->sent_bytes);
    add_sent_as(&j, &e->sent_as);
    add_hist(&j, "latency", &t->latency);
    add_hist(&j, "age", &t->age);
    end(o, &j);
}
