/* minder.h - the thread that looks after the process of a worker: starts it, reads its stderr, ends
 * and reaps it.
 *
 * One thread for each worker, because PR_SET_PDEATHSIG counts the death of the thread that
 * forked: so a caller's thread may end while the process lives on. Killing and reaping take their
 * time here, and never delay a frame. The process has a group of its own, which is ended whole:
 * SIGTERM first, SIGKILL a third of a second later.
 *
 * Its stderr becomes log lines (event worker_stderr), at most 20 a second; the rest is counted.
 *
 * Ownership: the caller's storage; minder_deinit ends the process and the thread.
 * Threads:   one call at a time; minder_pid at any time.
 * Sources:   Linux man-pages prctl(2), signal-safety(7), setpgid(2), pidfd_open(2).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STDERR_LINE_MAX 512 /* bytes; longer lines are told in pieces */

/* Its stderr on the way to the log; belongs to the minder. */
struct chatter {
    char line[STDERR_LINE_MAX];
    size_t n;
    uint64_t window_us; /* when the second of these counts began */
    unsigned n_told, n_suppressed;
};

struct minder {
    const char *name;    /* of the pipeline; borrowed */
    char *shell_command; /* "exec CMD" */
    pthread_t thread;
    int wake_fd; /* -1: there is no thread */
    struct chatter chatter;

    pthread_mutex_t lock; /* for all below; never held while waiting */
    int child_fd;         /* the wish to start: its end of the socket; -1: none */
    pid_t pid;            /* 0: none */
    bool has_process;     /* from the wish to start until it is reaped */
    bool end_wanted;      /* of this process */
    bool quit;            /* of the thread too */
};

/* 0 or an errno. name is borrowed, shell_command ("exec CMD") is taken; NULL: there will be no
 * process, so no thread. */
int minder_init(struct minder *m, const char *name, char *shell_command);
void minder_deinit(struct minder *m);

/* Starts the process with child_fd as its stdin and stdout; takes the descriptor. Only while
 * there is no process. That it could not be started shows at the other end of the socket. */
void minder_start(struct minder *m, int child_fd);

/* Ends the process, some time soon. */
void minder_end(struct minder *m);

/* From minder_start until it is reaped. */
bool minder_has_process(struct minder *m);

/* 0: none. */
pid_t minder_pid(struct minder *m);
