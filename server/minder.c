#include "server/minder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/worker_proto.h"

#define TERM_GRACE_US    300000u  /* from SIGTERM to SIGKILL */
#define GIVE_UP_US       5000000u /* from SIGKILL; then the kernel keeps it (state D) */
#define END_POLL_MS      5
#define STDERR_LINES_MAX 20u /* in STDERR_WINDOW_US */
#define STDERR_WINDOW_US 1000000u
#define READ_BYTES       ((size_t)64 << 10)

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void begin_event(struct log_line *l, enum log_level level, const char *event_type,
                        const char *pipeline)
{
    log_begin(l, level, event_type);
    log_str(l, "pipeline", pipeline);
}

/* ---- stderr: on the minder's thread ---- */

static void tell_suppressed(struct minder *m, struct chatter *c)
{
    struct log_line l;
    if (c->n_suppressed == 0)
        return;
    begin_event(&l, LOG_WARN, "worker_stderr", m->name);
    log_u64(&l, "suppressed", c->n_suppressed);
    log_end(&l);
    c->n_suppressed = 0;
}

static void tell_line(struct minder *m, struct chatter *c)
{
    char bytes[STDERR_LINE_MAX + 1];
    struct text text = text_fixed(bytes, sizeof bytes);
    struct log_line l;
    uint64_t now_us = clock_now_us();
    size_t n = c->n;
    c->n = 0;
    if (clock_age_us(now_us, c->window_us) >= STDERR_WINDOW_US) {
        tell_suppressed(m, c);
        c->window_us = now_us;
        c->n_told = 0;
    }
    if (c->n_told >= STDERR_LINES_MAX) {
        c->n_suppressed++;
        return;
    }
    c->n_told++;
    worker_add_printable(&text, c->line, n, sizeof c->line);
    begin_event(&l, LOG_INFO, "worker_stderr", m->name);
    log_str(&l, "text", text_str(&text));
    log_end(&l);
}

static void hear(struct minder *m, const char *bytes, size_t n)
{
    struct chatter *c = &m->chatter;
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n')
            c->line[c->n++] = bytes[i];
        if (c->n == sizeof c->line || (bytes[i] == '\n' && c->n))
            tell_line(m, c);
    }
}

/* Reads what is there, at most READ_BYTES: the pipe holds as much. Closed at its end. */
static void read_stderr(struct minder *m, int *fd)
{
    char bytes[4096];
    for (size_t done = 0; *fd >= 0 && done < READ_BYTES;) {
        ssize_t n = read(*fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close_fd(fd);
            return;
        }
        hear(m, bytes, (size_t)n);
        done += (size_t)n;
    }
}

/* ---- the process: on the minder's thread ---- */

struct process {
    pid_t pid;
    int pidfd;     /* readable when it is dead; -1: not to be had, so look now and then */
    int stderr_fd; /* -1 after its end */
    uint64_t term_us, kill_us; /* when the signals were sent; 0: not yet */
};

/* In the child of a process with threads: only what signal-safety(7) allows, and system calls.
 * Never returns. */
static _Noreturn void become_worker(const char *command, int fd, int err_fd, pid_t host)
{
    char *const argv[] = {"sh", "-c", (char *)command, NULL};
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != host) /* it died before prctl could count */
        _exit(127);
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &dfl, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* The host may have closed its own 0, 1 or 2, so that these are among them. */
    fd = fcntl(fd, F_DUPFD, 3);
    err_fd = fcntl(err_fd, F_DUPFD, 3);
    if (dup2(fd, 0) < 0 || dup2(fd, 1) < 0 || dup2(err_fd, 2) < 0)
        _exit(127);
    syscall(SYS_close_range, 3u, ~0u, 0u); /* what a library forgot to mark CLOEXEC */
    execv("/bin/sh", argv);
    _exit(127);
}

static void set_pid(struct minder *m, pid_t pid)
{
    pthread_mutex_lock(&m->lock);
    m->pid = pid;
    pthread_mutex_unlock(&m->lock);
}

/* Takes fd. A failure closes it, which the caller's end sees as a crash. */
static int spawn(struct minder *m, int fd, struct process *p)
{
    struct log_line l;
    int ends[2] = {-1, -1};
    pid_t host = getpid();
    int problem = pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;
    *p = (struct process){.pid = problem ? -1 : fork(), .pidfd = -1, .stderr_fd = ends[0]};
    if (p->pid == 0)
        become_worker(m->shell_command, fd, ends[1], host);
    if (p->pid < 0 && !problem)
        problem = errno;
    close_fd(&fd);
    close_fd(&ends[1]);
    begin_event(&l, problem ? LOG_ERROR : LOG_INFO, "worker_start", m->name);
    if (problem) {
        log_str(&l, "error", strerrordesc_np(problem));
        close_fd(&p->stderr_fd);
    } else {
        setpgid(p->pid, p->pid); /* both sides do: whoever is first, a kill finds the group */
        fcntl(p->stderr_fd, F_SETFL, O_NONBLOCK);
        p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0u);
        set_pid(m, p->pid);
        log_u64(&l, "pid", (uint64_t)p->pid);
    }
    log_end(&l);
    return problem ? -1 : 0;
}

/* Not reaped yet: as long as it is a zombie, no other process can get its number. */
static bool is_dead(const struct process *p)
{
    siginfo_t info = {.si_pid = 0};
    int rc = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid == p->pid || (rc < 0 && errno == ECHILD);
}

static void end_if_wanted(struct minder *m, struct process *p)
{
    pthread_mutex_lock(&m->lock);
    bool wanted = m->end_wanted || m->quit;
    pthread_mutex_unlock(&m->lock);
    uint64_t now_us = clock_now_us();
    if (wanted && !p->term_us) {
        kill(-p->pid, SIGTERM);
        p->term_us = now_us;
    } else if (p->term_us && !p->kill_us && now_us - p->term_us >= TERM_GRACE_US) {
        kill(-p->pid, SIGKILL);
        p->kill_us = now_us;
    }
}

static int minder_wait_ms(const struct minder *m, const struct process *p)
{
    if (p->term_us)
        return END_POLL_MS;
    return m->chatter.n_suppressed || p->pidfd < 0 ? 200 : -1;
}

static void watch(struct minder *m, struct process *p)
{
    eventfd_t ignored;
    while (!is_dead(p)) {
        end_if_wanted(m, p);
        if (p->kill_us && clock_now_us() - p->kill_us >= GIVE_UP_US)
            return;
        struct pollfd fds[] = {{.fd = m->wake_fd, .events = POLLIN},
                               {.fd = p->pidfd, .events = POLLIN},
                               {.fd = p->stderr_fd, .events = POLLIN}};
        poll(fds, 3, minder_wait_ms(m, p));
        eventfd_read(m->wake_fd, &ignored);
        read_stderr(m, &p->stderr_fd);
        if (clock_age_us(clock_now_us(), m->chatter.window_us) >= STDERR_WINDOW_US)
            tell_suppressed(m, &m->chatter);
    }
}

/* What it started ends with it; then its last words, then its status. */
static void bury(struct minder *m, struct process *p)
{
    struct log_line l;
    int status = 0;
    kill(-p->pid, SIGKILL);
    pid_t reaped = waitpid(p->pid, &status, WNOHANG);
    read_stderr(m, &p->stderr_fd);
    if (m->chatter.n)
        tell_line(m, &m->chatter);
    tell_suppressed(m, &m->chatter);
    close_fd(&p->stderr_fd);
    close_fd(&p->pidfd);
    set_pid(m, 0);
    begin_event(&l, LOG_INFO, "worker_exit", m->name);
    log_u64(&l, "pid", (uint64_t)p->pid);
    if (reaped != p->pid)
        log_str(&l, "status", "unknown");
    else if (WIFSIGNALED(status))
        log_u64(&l, "signal", (uint64_t)WTERMSIG(status));
    else
        log_u64(&l, "status", (uint64_t)WEXITSTATUS(status));
    log_end(&l);
}

/* Waits for the wish to start, and takes its descriptor. false: the end of the worker. */
static bool await_wish(struct minder *m, int *fd)
{
    for (;;) {
        eventfd_t ignored;
        struct pollfd wake = {.fd = m->wake_fd, .events = POLLIN};
        pthread_mutex_lock(&m->lock);
        bool quit = m->quit;
        *fd = m->child_fd;
        m->child_fd = -1;
        pthread_mutex_unlock(&m->lock);
        if (quit)
            close_fd(fd);
        if (quit || *fd >= 0)
            return !quit;
        poll(&wake, 1, -1);
        eventfd_read(m->wake_fd, &ignored);
    }
}

static void *mind(void *arg)
{
    struct minder *m = arg;
    struct process p;
    int fd;
    while (await_wish(m, &fd)) {
        if (spawn(m, fd, &p) == 0) {
            watch(m, &p);
            bury(m, &p);
        }
        pthread_mutex_lock(&m->lock);
        m->has_process = false;
        pthread_mutex_unlock(&m->lock);
    }
    return NULL;
}

/* The host's signal handlers are for its own threads, hence none gets through here; the child
 * takes its mask back. */
static int start_minder(struct minder *m)
{
    sigset_t all, before;
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->wake_fd < 0)
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&m->thread, NULL, mind, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        close_fd(&m->wake_fd);
    return rc;
}

bool minder_has_process(struct minder *m)
{
    pthread_mutex_lock(&m->lock);
    bool has = m->has_process;
    pthread_mutex_unlock(&m->lock);
    return has;
}

/* Takes the descriptor. Only while there is no process. */
void minder_start(struct minder *m, int child_fd)
{
    pthread_mutex_lock(&m->lock);
    m->child_fd = child_fd;
    m->has_process = true;
    m->end_wanted = false;
    pthread_mutex_unlock(&m->lock);
    eventfd_write(m->wake_fd, 1);
}

void minder_end(struct minder *m)
{
    if (m->wake_fd < 0)
        return;
    pthread_mutex_lock(&m->lock);
    m->end_wanted = true;
    pthread_mutex_unlock(&m->lock);
    eventfd_write(m->wake_fd, 1);
}

/* 0 or an errno. shell_command is taken; NULL: no thread. */
int minder_init(struct minder *m, const char *name, char *shell_command)
{
    *m = (struct minder){
        .name = name, .shell_command = shell_command, .wake_fd = -1, .child_fd = -1};
    pthread_mutex_init(&m->lock, NULL);
    return shell_command ? start_minder(m) : 0;
}

void minder_deinit(struct minder *m)
{
    if (m->wake_fd >= 0) {
        pthread_mutex_lock(&m->lock);
        m->quit = true;
        pthread_mutex_unlock(&m->lock);
        eventfd_write(m->wake_fd, 1);
        pthread_join(m->thread, NULL);
    }
    close_fd(&m->wake_fd);
    pthread_mutex_destroy(&m->lock);
    free(m->shell_command);
}

pid_t minder_pid(struct minder *m)
{
    pthread_mutex_lock(&m->lock);
    pid_t pid = m->pid;
    pthread_mutex_unlock(&m->lock);
    return pid;
}
