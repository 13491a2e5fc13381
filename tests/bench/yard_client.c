/* yard_client - cameras that cost next to nothing, so that it is the server that is measured.
 *
 *   yard_client [options] closed|open|idle PORT...
 *
 *   closed      each session sends its next frame when the answer to the last is there
 *   open        frame k of session i of N is due at start + (k + i/N) / fps
 *   idle        sessions that send nothing
 *
 *   -n N        sessions in all; of several ports they take turns          [16]
 *   -s BYTES    of a frame                                                 [46000]
 *   -f FPS      of a session, for open                                     [30]
 *   -t SECONDS  what is measured                                           [3]
 *   -w SECONDS  before that                                                [0.5]
 *   -P PID      the server: its CPU time and memory are told too
 *   -b          look for answers all the time instead of sleeping: no wake-up in the latency
 *
 * One thread. The frame is masked once and sent by everyone. Prints one line of JSON; times in us.
 * Each frame must be answered once, by its frame_index, else the client fails: what does not answer
 * properly is not measured. In open loop a frame that is not answered with a result
 * (dropped, or still out one second after the end) counts as infinitely late.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hist.h"

/* Frames of a session that are due and not answered: 133 ms at 30 fps. More would only fill the
 * kernel's memory for TCP, 2 GB on a machine of 24, at which it gives up connections. */
#define OUT_MAX     4
#define TARGETS_MAX 4
#define EVENTS_MAX  512
#define ANSWER_MAX  1024
#define GRACE_US    1000000u
#define HEAD_MAX    14

struct target { /* one port, and what is known of it */
    unsigned port;
    uint64_t n_due, n_results;             /* of the frames due in the window */
    struct hist from_due, from_sent, slip; /* slip: how late the client itself was */
};

struct session {
    struct target *target;
    int fd;
    uint64_t n_due, n_begun, n_answered;
    size_t sent; /* bytes of the frame that is going out; 0: none is */
    uint64_t due_us[OUT_MAX], begun_us[OUT_MAX]; /* by index; due_us is 0 once it is answered */
    size_t in_n;
    uint8_t in[ANSWER_MAX];
};

struct client {
    enum { CLOSED, OPEN, IDLE } mode;
    unsigned n_sessions, n_targets;
    size_t frame_bytes;
    double fps, seconds, warm_seconds;
    pid_t pid;
    bool busy;

    struct target target[TARGETS_MAX];
    struct session *session;
    uint8_t *message;
    size_t message_bytes;
    int epoll_fd;
    uint64_t now_us, start_us, begin_us, end_us; /* the window is from begin_us to end_us */
    uint64_t n_scheduled;                        /* frames of all sessions that were due so far */
    uint64_t n_out;                              /* frames due and not answered */
    uint64_t n_answers, n_dropped;
    struct sample {
        uint64_t at_us, n_answers;
        double server_cpu_us, own_cpu_us;
    } first, last; /* at the ends of the window */
};

static _Noreturn void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("yard_client: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* ---- the frame ---- */

/* RFC 6455, 5.2 and 5.3. */
static void make_message(struct client *c)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t n = c->frame_bytes, at = 0, length_bytes = n < 126 ? 0 : n < 65536 ? 2 : 8;
    uint8_t *m = c->message = malloc(HEAD_MAX + n);
    if (!m)
        fail("out of memory");
    m[at++] = 0x82;
    m[at++] = (uint8_t)(0x80 | (n < 126 ? n : n < 65536 ? 126 : 127));
    for (size_t i = length_bytes; i-- > 0;)
        m[at++] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(m + at, key, sizeof key);
    at += sizeof key;
    for (size_t i = 0; i < n; i++)
        m[at + i] = (uint8_t)(i * 2654435761u >> 7);
    m[at] = m[at + n - 2] = 0xff;
    m[at + 1] = 0xd8;
    m[at + n - 1] = 0xd9;
    for (size_t i = 0; i < n; i++)
        m[at + i] ^= key[i % 4];
    c->message_bytes = at + n;
}

/* ---- sessions ---- */

static void shake_hands(int fd)
{
    static const char request[] =
        "GET /ws/video/stream?pipeline_id=null HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: "
        "websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n";
    char answer[2048];
    size_t n = 0;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        fail("cannot send: %s", strerror(errno));
    do { /* no server says more before it is asked */
        ssize_t got = recv(fd, answer + n, sizeof answer - 1 - n, 0);
        if (got <= 0)
            fail("the server does not upgrade");
        n += (size_t)got;
        answer[n] = '\0';
    } while (!strstr(answer, "\r\n\r\n"));
    if (!strstr(answer, " 101 "))
        fail("the server does not upgrade: %s", answer);
}

static void session_open(struct client *c, struct session *s, struct target *target)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)target->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};
    int on = 1;
    s->target = target;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&at, sizeof at) < 0)
        fail("port %u: %s", target->port, strerror(errno));
    shake_hands(s->fd);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) < 0)
        fail("epoll: %s", strerror(errno));
}

static bool in_window(const struct client *c, uint64_t at_us)
{
    return at_us >= c->begin_us && at_us < c->end_us;
}

/* Sends what is due, as far as the kernel takes it. */
static void session_write(struct client *c, struct session *s)
{
    while (s->sent || s->n_begun < s->n_due) {
        if (!s->sent)
            s->begun_us[s->n_begun++ % OUT_MAX] = clock_now_us();
        ssize_t n = send(s->fd, c->message + s->sent, c->message_bytes - s->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            fail("cannot send: %s", strerror(errno));
        s->sent += (size_t)n;
        if (s->sent == c->message_bytes)
            s->sent = 0;
    }
}

static void session_due(struct client *c, struct session *s, uint64_t due_us)
{
    if (in_window(c, due_us)) {
        s->target->n_due++;
        hist_add(&s->target->slip, clock_age_us(clock_now_us(), due_us));
    }
    uint64_t *slot = &s->due_us[s->n_due % OUT_MAX];
    if (*slot)
        return; /* far behind: this one is never sent */
    *slot = due_us;
    s->n_due++;
    c->n_out++;
    session_write(c, s);
}

/* The first number in the text is the frame_index, with every server of the bench. A drop may
 * overtake the answer to an earlier frame. */
static void session_on_answer(struct client *c, struct session *s, char *text)
{
    bool is_result = strstr(text, "\"result\"") != NULL;
    if (!is_result && strstr(text, "slow_down"))
        return;
    uint64_t index = strtoull(text + strcspn(text, "0123456789"), NULL, 10);
    uint64_t due_us = s->due_us[index % OUT_MAX], begun_us = s->begun_us[index % OUT_MAX];
    if (index >= s->n_begun || index + OUT_MAX < s->n_begun || !due_us)
        fail("%llu frames were sent, none answered twice, and then came: %s",
             (unsigned long long)s->n_begun, text);
    s->due_us[index % OUT_MAX] = 0;
    s->n_answered++;
    c->n_out--;
    c->n_answers++;
    c->n_dropped += !is_result;
    if (!in_window(c, due_us) || !is_result)
        return;
    s->target->n_results++;
    hist_add(&s->target->from_due, c->now_us - due_us);
    hist_add(&s->target->from_sent, clock_age_us(c->now_us, begun_us));
}

/* All complete messages, which are texts of a server: not masked, below 64 KiB. */
static void session_take_answers(struct client *c, struct session *s)
{
    size_t at = 0;
    while (s->in_n - at >= 4) {
        size_t n = s->in[at + 1] & 0x7f, head = n == 126 ? 4 : 2;
        if (n == 126)
            n = (size_t)s->in[at + 2] << 8 | s->in[at + 3];
        if (s->in[at] != 0x81 || head + n >= ANSWER_MAX)
            fail("a message that begins with %02x %02x", s->in[at], s->in[at + 1]);
        if (s->in_n - at < head + n)
            break;
        uint8_t *end = s->in + at + head + n, kept = *end;
        *end = '\0';
        session_on_answer(c, s, (char *)s->in + at + head);
        *end = kept;
        at += head + n;
    }
    s->in_n -= at;
    memmove(s->in, s->in + at, s->in_n);
}

static void session_read(struct client *c, struct session *s)
{
    ssize_t got;
    size_t room; /* one byte is left for the end of a text */
    do {
        room = sizeof s->in - 1 - s->in_n;
        got = recv(s->fd, s->in + s->in_n, room, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0)
            fail("the server closed a session");
        s->in_n += (size_t)got;
        session_take_answers(c, s);
    } while ((size_t)got == room);
}

/* ---- time ---- */

static double cpu_us(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        fail("CPU time: %s", strerror(errno));
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct sample take_sample(const struct client *c)
{
    struct sample now = {.at_us = clock_now_us(),
                         .n_answers = c->n_answers,
                         .own_cpu_us = cpu_us(CLOCK_PROCESS_CPUTIME_ID)};
    clockid_t clock;
    if (c->pid) {
        if (clock_getcpuclockid(c->pid, &clock) != 0)
            fail("no process %d", (int)c->pid);
        now.server_cpu_us = cpu_us(clock);
    }
    return now;
}

static uint64_t scheduled_us(const struct client *c)
{
    return c->start_us + (uint64_t)((double)c->n_scheduled * 1e6 / (c->fps * c->n_sessions));
}

static void send_due(struct client *c)
{
    uint64_t due_us;
    while ((due_us = scheduled_us(c)) <= c->now_us && due_us < c->end_us)
        session_due(c, &c->session[c->n_scheduled++ % c->n_sessions], due_us);
}

/* Waits for answers, at most until something is due. */
static void turn(struct client *c, uint64_t until_us)
{
    struct epoll_event ready[EVENTS_MAX];
    uint64_t wait_us = c->busy ? 0 : clock_age_us(until_us, c->now_us);
    struct timespec timeout = {.tv_sec = (time_t)(wait_us / 1000000),
                               .tv_nsec = (long)(wait_us % 1000000) * 1000};
    int n = epoll_pwait2(c->epoll_fd, ready, EVENTS_MAX, &timeout, NULL);
    c->now_us = clock_now_us();
    for (int i = 0; i < n; i++) {
        struct session *s = ready[i].data.ptr;
        uint64_t n_answered = s->n_answered;
        if (ready[i].events & ~(unsigned)EPOLLOUT)
            session_read(c, s);
        if (c->mode == CLOSED && s->n_answered > n_answered && c->now_us < c->end_us)
            session_due(c, s, c->now_us);
        else
            session_write(c, s);
    }
}

static void run(struct client *c)
{
    c->now_us = c->start_us = clock_now_us();
    c->begin_us = c->start_us + (uint64_t)(c->warm_seconds * 1e6);
    c->end_us = c->begin_us + (uint64_t)(c->seconds * 1e6);
    for (unsigned i = 0; c->mode == CLOSED && i < c->n_sessions; i++)
        session_due(c, &c->session[i], c->now_us);
    while (c->now_us < c->end_us) {
        uint64_t until_us = c->now_us < c->begin_us ? c->begin_us : c->end_us;
        if (c->mode == OPEN && scheduled_us(c) < until_us)
            until_us = scheduled_us(c);
        turn(c, until_us);
        if (c->mode == OPEN)
            send_due(c);
        if (!c->first.at_us && c->now_us >= c->begin_us)
            c->first = take_sample(c);
    }
    c->last = take_sample(c);
    while (c->n_out && c->now_us < c->end_us + GRACE_US)
        turn(c, c->end_us + GRACE_US);
}

/* ---- the report ---- */

static double rss_bytes(pid_t pid)
{
    char path[64], line[128] = "";
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = pid ? fopen(path, "r") : NULL;
    if (!f)
        return 0;
    char *rest = fgets(line, sizeof line, f);
    fclose(f);
    if (!rest)
        return 0;
    strtoul(line, &rest, 10);
    return (double)strtoul(rest, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}

/* Of all frames due, those without a result included: null is never. */
static void print_percentile(const char *name, const struct target *t, const struct hist *h,
                             double percent)
{
    double rank = percent / 100 * (double)t->n_due;
    if (!h->count || rank > (double)h->count)
        printf("\"%s\":null,", name);
    else
        printf("\"%s\":%llu,", name,
               (unsigned long long)hist_percentile_us(h, 100 * rank / (double)h->count));
}

static void print_target(const struct target *t)
{
    printf("{\"due\":%llu,\"results\":%llu,", (unsigned long long)t->n_due,
           (unsigned long long)t->n_results);
    print_percentile("p50", t, &t->from_due, 50);
    print_percentile("p99", t, &t->from_due, 99);
    print_percentile("sent_p50", t, &t->from_sent, 50);
    print_percentile("sent_p99", t, &t->from_sent, 99);
    printf("\"slip_p99\":%llu}", (unsigned long long)hist_percentile_us(&t->slip, 99));
}

static void print_report(const struct client *c)
{
    double n = (double)(c->last.n_answers - c->first.n_answers);
    double wall_us = (double)(c->last.at_us - c->first.at_us);
    printf("{\"frames_per_s\":%.1f,\"dropped\":%llu,", n / wall_us * 1e6,
           (unsigned long long)c->n_dropped);
    printf("\"client_cpu\":%.3f,", (c->last.own_cpu_us - c->first.own_cpu_us) / wall_us);
    double cpu = c->last.server_cpu_us - c->first.server_cpu_us;
    if (c->pid)
        printf("\"server_cpu\":%.3f,", cpu / wall_us);
    if (c->pid && n > 0)
        printf("\"cpu_us_per_frame\":%.3f,", cpu / n);
    printf("\"targets\":[");
    for (unsigned i = 0; i < c->n_targets; i++) {
        printf("%s", i ? "," : "");
        print_target(&c->target[i]);
    }
    printf("]}\n");
}

/* ---- start ---- */

static _Noreturn void usage(void)
{
    fputs("usage: yard_client [-n SESSIONS] [-s BYTES] [-f FPS] [-t SECONDS] [-w SECONDS] [-P PID] "
          "[-b] closed|open|idle PORT...\n",
          stderr);
    exit(2);
}

static void read_arguments(struct client *c, int argc, char **argv)
{
    static const char *const modes[] = {"closed", "open", "idle"};
    int option;
    while ((option = getopt(argc, argv, "n:s:f:t:w:P:b")) != -1) {
        double value = optarg ? strtod(optarg, NULL) : 0;
        switch (option) {
        case 'n':
            c->n_sessions = (unsigned)value;
            break;
        case 's':
            c->frame_bytes = (size_t)value;
            break;
        case 'f':
            c->fps = value;
            break;
        case 't':
            c->seconds = value;
            break;
        case 'w':
            c->warm_seconds = value;
            break;
        case 'P':
            c->pid = (pid_t)value;
            break;
        case 'b':
            c->busy = true;
            break;
        default:
            usage();
        }
    }
    if (argc - optind < 2 || argc - optind - 1 > TARGETS_MAX || c->n_sessions < 1 ||
        c->frame_bytes < 4 || c->fps <= 0)
        usage();
    while (strcmp(argv[optind], modes[c->mode]) != 0)
        if (++c->mode > IDLE)
            usage();
    for (int i = optind + 1; i < argc; i++)
        c->target[c->n_targets++].port = (unsigned)strtoul(argv[i], NULL, 10);
}

int main(int argc, char **argv)
{
    static struct client c = {
        .n_sessions = 16, .frame_bytes = 46000, .fps = 30, .seconds = 3, .warm_seconds = 0.5};
    read_arguments(&c, argc, argv);
    alarm((unsigned)(c.seconds + c.warm_seconds) + 60);
    prctl(PR_SET_TIMERSLACK, 1);
    make_message(&c);
    c.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c.session = calloc(c.n_sessions, sizeof *c.session);
    if (!c.session || c.epoll_fd < 0)
        fail("out of memory or descriptors");
    double before = rss_bytes(c.pid);
    for (unsigned i = 0; i < c.n_sessions; i++)
        session_open(&c, &c.session[i], &c.target[i % c.n_targets]);
    run(&c);
    if (c.mode == IDLE)
        printf("{\"bytes_per_session\":%.0f}\n", (rss_bytes(c.pid) - before) / c.n_sessions);
    else
        print_report(&c);
    return 0;
}
