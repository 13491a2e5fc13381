#include "loadgen/run.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/term.h"
#include "loadgen/calibrate.h"
#include "loadgen/compare.h"
#include "loadgen/facts.h"
#include "loadgen/gate.h"
#include "loadgen/live.h"
#include "loadgen/load.h"
#include "loadgen/outputs.h"
#include "loadgen/shard.h"
#include "loadgen/verdict.h"

#define CONNECT_WAIT_US 30000000u
#define LEAD_US         100000u /* from "all are connected" to the first frame */
#define GLANCE_US       100000u

struct run {
    const struct settings *set;
    struct load load;
    struct term term;
    struct shard *shard;
    unsigned n_shards;
    struct shard_view view; /* the sum of all shards */
    int signal_fd;
    uint64_t start_us, end_us;
    double start_wall_s;
    uint64_t calibrated_us;
    bool spin, interrupted, aborted;
    uint64_t failing_since_us; /* a gate fails; 0: none does */
    uint64_t glanced_us, glanced_answers;
    double answered_per_s;
    struct report *report;
};

/* --- signals --- */

int run_block_signals(struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_errno(e, EXIT_FAILED, "block signals");
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? err_errno(e, EXIT_FAILED, "signalfd") : fd;
}

/* Waits a little, or until a signal comes. The second one ends the program at once. */
static void glance(struct run *r)
{
    struct signalfd_siginfo info;
    struct pollfd p = {.fd = r->signal_fd, .events = POLLIN};
    poll(&p, 1, GLANCE_US / 1000);
    while (read(r->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (r->interrupted)
            _exit(EXIT_INTERRUPTED);
        r->interrupted = true;
    }
}

/* --- the shards together --- */

static void look(struct run *r)
{
    struct record_part *part = r->view.part;
    memset(part, 0, r->load.profiles.n * sizeof *part);
    r->view = (struct shard_view){.part = part};
    for (unsigned i = 0; i < r->n_shards; i++)
        shard_add_view(&r->shard[i], &r->view);
}

static bool all(const struct run *r, bool (*is)(struct shard *))
{
    for (unsigned i = 0; i < r->n_shards; i++)
        if (!is(&r->shard[i]))
            return false;
    return true;
}

static bool is_ready(struct shard *s)
{
    return atomic_load(&s->ready);
}

static bool is_over(struct shard *s)
{
    return atomic_load(&s->over);
}

static void tell_end(struct run *r, uint64_t end_us)
{
    if (end_us < r->end_us) /* but a run that has not begun lasts for no time, not for less */
        r->end_us = end_us > r->start_us ? end_us : r->start_us;
    for (unsigned i = 0; i < r->n_shards; i++)
        shard_tell_end(&r->shard[i], end_us);
}

/* Answers per second since the line was shown last. */
static double answer_rate(struct run *r, uint64_t answered, uint64_t now_us)
{
    uint64_t us = clock_age_us(now_us, r->glanced_us);
    if (us >= 1000000 || r->glanced_us == 0) {
        r->answered_per_s =
            r->glanced_us ? (double)(answered - r->glanced_answers) * 1e6 / (double)us : 0.0;
        r->glanced_answers = answered;
        r->glanced_us = now_us;
    }
    return r->answered_per_s;
}

static void show(struct run *r)
{
    char bytes[512];
    struct text line = text_fixed(bytes, sizeof bytes);
    uint64_t now_us = clock_now_us();
    struct live_view v = {.duration_us = r->load.plan.duration_us,
                          .connecting = r->start_us == 0,
                          .sessions = r->view.sessions_open,
                          .sessions_wanted = (uint32_t)load_n_sessions(&r->load),
                          .budget_us = r->set->budget_us};
    if (!term_is_due(&r->term, now_us))
        return;
    for (size_t i = 0; i < r->load.profiles.n; i++) {
        v.answered += r->view.part[i].count[RECORD_ANSWERED];
        v.dropped += r->view.part[i].count[RECORD_DROPPED];
        v.slow_downs += r->view.part[i].count[RECORD_SLOW_DOWNS];
        v.missing += record_missing(&r->view.part[i]);
    }
    v.elapsed_us = r->start_us ? clock_age_us(now_us, r->start_us) : 0;
    v.answered_per_s = answer_rate(r, v.answered, now_us);
    v.p50_us = hist_percentile_us(&r->view.recent, 50);
    v.p99_us = hist_percentile_us(&r->view.recent, 99);
    live_format(&line, &v, term_columns(&r->term), r->term.color);
    term_show(&r->term, &line, now_us);
}

/* --- stages --- */

/* Until every session that is to be there at the start is open or has failed. */
static int connect_all(struct run *r, struct err *e)
{
    uint64_t patience_us = clock_now_us() + CONNECT_WAIT_US +
                           (uint64_t)(1e6 * (double)r->load.plan.sessions / r->set->connect_per_s);
    while (!all(r, is_ready) && !r->interrupted && clock_now_us() < patience_us) {
        glance(r);
        look(r);
        show(r);
    }
    look(r);
    if (r->interrupted)
        return err_set(e, EXIT_INTERRUPTED, "interrupted while connecting");
    if (r->view.sessions_open || !plan_wants(&r->load.plan, r->load.segment - 1, 0))
        return 0;
    return err_set(e, EXIT_UNREACHABLE, "no session could connect to %s: %s", r->load.host,
                   r->view.trouble[0] ? r->view.trouble : "no answer");
}

static uint64_t start_time_us(struct run *r)
{
    uint64_t now_us = clock_now_us(), wall_us = (uint64_t)(clock_wall_s() * 1e6);
    if (r->load.start_wall_us > wall_us)
        return now_us + (r->load.start_wall_us - wall_us);
    if (r->load.start_wall_us)
        term_say(&r->term, "--start-at is past by %.1f s: starting now, after other segments",
                 (double)(wall_us - r->load.start_wall_us) / 1e6);
    return now_us + LEAD_US;
}

/* The report as it would be if the run ended now, to judge it early. */
static bool gate_fails_now(struct run *r)
{
    struct report now = *r->report;
    now.duration_us = clock_age_us(clock_now_us(), r->start_us);
    now.record = (struct record){.n_parts = r->load.profiles.n, .part = r->view.part};
    for (size_t i = 0; i < now.n_gates; i++) {
        struct gate_verdict v;
        gate_judge_at(&now, i, &v);
        if (v.outcome == GATE_FAILED && v.measured.has_data)
            return true;
    }
    return false;
}

static void check_gates(struct run *r)
{
    uint64_t now_us = clock_now_us();
    if (!r->set->abort_us || now_us < r->start_us + r->set->warmup_us || r->aborted)
        return;
    if (!gate_fails_now(r))
        r->failing_since_us = 0;
    else if (!r->failing_since_us)
        r->failing_since_us = now_us;
    else if (now_us >= r->failing_since_us + r->set->abort_us)
        r->aborted = true;
}

static void play(struct run *r)
{
    bool told = false;
    r->start_us = start_time_us(r);
    term_say(&r->term, "%u of %llu sessions connected; the first frame is due in %.1f s",
             r->view.sessions_open, (unsigned long long)load_n_sessions(&r->load),
             (double)clock_age_us(r->start_us, clock_now_us()) / 1e6);
    r->end_us = r->start_us + r->load.plan.duration_us;
    r->start_wall_s = clock_wall_s() + ((double)r->start_us - (double)clock_now_us()) / 1e6;
    for (unsigned i = 0; i < r->n_shards; i++)
        shard_tell_start(&r->shard[i], r->start_us);
    while (!all(r, is_over)) {
        glance(r);
        look(r);
        show(r);
        check_gates(r);
        if ((r->interrupted || r->aborted) && !told) {
            tell_end(r, clock_now_us());
            told = true;
        }
    }
}

static int start_shards(struct run *r, struct err *e)
{
    int rc = 0;
    unsigned n = (unsigned)r->set->threads;
    r->shard = calloc(n, sizeof *r->shard);
    r->view.part = calloc(r->load.profiles.n, sizeof *r->view.part);
    if (!r->shard || !r->view.part)
        return err_set(e, EXIT_FAILED, "out of memory");
    /* All of them before the first thread: libwebsockets' start-up is not for several. */
    for (; rc == 0 && r->n_shards < n; r->n_shards++) {
        rc = shard_init(&r->shard[r->n_shards], &r->load, r->n_shards, n, e);
        r->shard[r->n_shards].spin = r->spin;
    }
    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = shard_start(&r->shard[i], e);
    return rc;
}

static void stop_shards(struct run *r)
{
    for (unsigned i = 0; i < r->n_shards; i++)
        shard_tell_end(&r->shard[i], 1); /* those that are over do not hear it */
    for (unsigned i = 0; i < r->n_shards; i++)
        shard_join(&r->shard[i]);
}

static void free_shards(struct run *r)
{
    for (unsigned i = 0; i < r->n_shards; i++)
        shard_deinit(&r->shard[i]);
    free(r->shard);
    free(r->view.part);
}

/* --- the report --- */

/* Sessions that are there for a second at least: the last one of a ramp that falls at once is not
 * missed. */
static uint32_t sessions_asked(const struct load *l)
{
    const struct plan *p = &l->plan;
    uint32_t n = 0;
    for (uint64_t i = 0; i < load_n_sessions(l); i++) {
        uint32_t index = load_session_index(l, i);
        uint64_t from_us = plan_wants(p, index, 0) ? 0 : plan_next_change_us(p, index, 0);
        uint64_t to_us = from_us == PLAN_NEVER ? 0 : plan_next_change_us(p, index, from_us);
        n += to_us > from_us + 1000000;
    }
    return n;
}

static void note_generator(struct run *r, struct report_generator *g)
{
    facts_machine(g);
    g->segment = r->load.segment;
    g->n_segments = r->load.n_segments;
    g->n_threads = r->n_shards;
    g->sessions_asked = sessions_asked(&r->load);
    g->calibrated_slip_us = r->calibrated_us;
    g->run_us = r->end_us - r->start_us;
    snprintf(g->wait, sizeof g->wait, "%s", r->spin ? "spin" : "sleep");
    for (unsigned i = 0; i < r->n_shards; i++) {
        const struct shard *s = &r->shard[i];
        g->sessions_achieved += s->peak_open;
        g->cpu_us += s->cpu_us;
        g->busiest_cpu_us = s->cpu_us > g->busiest_cpu_us ? s->cpu_us : g->busiest_cpu_us;
        g->run_queue_us = s->run_queue_us > g->run_queue_us ? s->run_queue_us : g->run_queue_us;
    }
}

static int collect(struct run *r, struct err *e)
{
    struct report *report = r->report;
    struct report_generator g = {0};
    bool complete = record_init(&report->record, r->load.profiles.n) == 0;
    for (unsigned i = 0; complete && i < r->n_shards; i++)
        complete = !r->shard[i].book.out_of_memory &&
                   record_merge(&report->record, &r->shard[i].book.record) == 0;
    note_generator(r, &g);
    report->started_wall_s = r->start_wall_s;
    report->duration_us = r->end_us - r->start_us;
    report->ended = strdup(r->interrupted ? "interrupted" : r->aborted ? "aborted" : "done");
    if (!complete || !report->ended)
        return err_set(e, EXIT_FAILED, "out of memory: the record is not complete");
    return report_add_generator(report, &g);
}

static void calibrate(struct run *r)
{
    struct hist late = {0};
    struct report_generator g;
    facts_machine(&g);
    calibrate_slip(&late);
    r->calibrated_us = hist_percentile_us(&late, 99);
    r->spin = calibrate_wants_spin((enum wait_mode)r->set->wait, r->calibrated_us,
                                   (unsigned)r->set->threads, g.n_cpus);
    term_say(&r->term, "waiting is late by p50 %.2f, p99 %.2f ms here; %s",
             (double)hist_percentile_us(&late, 50) / 1000.0, (double)r->calibrated_us / 1000.0,
             r->spin ? "spinning" : "sleeping");
}

static int run_shards(struct run *r, struct err *e)
{
    int rc = start_shards(r, e);
    if (rc == 0)
        rc = connect_all(r, e);
    if (rc == 0)
        play(r);
    stop_shards(r);
    if (rc == 0)
        rc = collect(r, e);
    if (rc == 0 && r->view.trouble[0])
        term_say(&r->term, "%s: %s", r->load.host, r->view.trouble);
    free_shards(r);
    return rc;
}

int run_load(const struct settings *set, const char *url, int signal_fd, struct report *report,
             struct err *e)
{
    struct run r = {.set = set, .signal_fd = signal_fd, .report = report};
    *report = (struct report){0};
    term_init(&r.term, "streamload", set->quiet, (enum term_color)set->color);
    int rc = load_init(&r.load, set, url, e);
    if (rc == 0)
        rc = facts_describe(report, &r.load, e);
    if (rc == 0) {
        calibrate(&r);
        rc = run_shards(&r, e);
    }
    term_end(&r.term, "");
    load_deinit(&r.load);
    return rc;
}

/* --- the command --- */

static int judge(const struct settings *set, const struct report *r, struct err *e)
{
    int code = (int)verdict_of(r);
    if (strcmp(r->ended, "interrupted") == 0)
        return EXIT_INTERRUPTED;
    if (code == EXIT_DONE && set->baselines.n)
        code = compare_with_baselines(r, set, e);
    return code;
}

static void print_summary(const struct settings *set, const struct report *r)
{
    struct term term;
    struct text t = text_heap(1 << 20);
    term_init(&term, "streamload", set->quiet, (enum term_color)set->color);
    summary_write(&t, r, term.color);
    term_end(&term, text_str(&t));
    text_deinit(&t);
}

int run_command(const struct settings *set, const char *url, struct err *e)
{
    struct report r = {0};
    struct err write_error = {0};
    int signal_fd = run_block_signals(e);
    int rc = signal_fd < 0 ? signal_fd : run_load(set, url, signal_fd, &r, e);
    int code = -rc;
    if (rc == 0) {
        print_summary(set, &r);
        rc = outputs_write(&r, set, &write_error);
        code = judge(set, &r, e);
    }
    if (rc < 0 && write_error.text[0]) {
        *e = write_error;
        code = -rc;
    }
    report_deinit(&r);
    if (signal_fd >= 0)
        close(signal_fd);
    return code;
}
