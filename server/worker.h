/* worker.h - one out-of-process pipeline: frames to a program over a socket, one at a time.
 *
 * A worker is a program of any language that reads frames and writes lines (worker_proto.h). It may
 * crash, hang, write nonsense or never start: the frame then ends with a status that says so,
 * the program is killed with its whole process group (nothing is shared with it but this
 * socket, so killing is always safe), and started again after a pause of 100 ms that doubles up to
 * 10 s and is forgotten after a good answer.
 *
 * exec:CMD   /bin/sh -c "exec CMD" in a process group of its own. The socket is its stdin and its
 *            stdout; its stderr becomes log lines (event worker_stderr, at most 20 a second, the
 *            rest counted). It dies with streamd (PR_SET_PDEATHSIG), at the latest.
 * unix:PATH  connects to a worker that runs already; instead of killing, disconnects.
 *
 * Time: no call waits longer than it says; starting, killing and reaping go on behind it. While a
 * pause lasts a call returns at once. A frame whose own until_us comes before timeout_us is
 * given up, but not the worker: its late answer is awaited and discarded before it gets another.
 *
 * Ownership: worker_new gives a worker that worker_free takes. It borrows all that the options
 *            point to until then.
 * Threads:   one at a time, but worker_get_stats, worker_get_hello and worker_is_degraded from any
 *            at any time. An exec: worker has one thread of its own, which starts the process,
 * reads its stderr and reaps it: PR_SET_PDEATHSIG counts the death of the thread that forked.
 * Sources:   Linux man-pages prctl(2), signal-safety(7), unix(7), setpgid(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/text.h"
#include "server/worker_proto.h"

#define WORKER_START_US         10000000u
#define WORKER_TIMEOUT_US       1000000u
#define WORKER_PAUSE_US         100000u
#define WORKER_PAUSE_GROWTH_MAX 100u /* the longest pause is so many times the first */
#define WORKER_DEGRADED         5u   /* failures in a row */

struct worker_options {
    const char *name;    /* of the pipeline, for logs */
    const char *command; /* exec:, a command of the shell; or NULL and */
    const char *path;    /* unix:, the path of a socket */
    uint64_t start_us;   /* from the start to the hello, and for each warm-up answer; 0: 10 s */
    uint64_t timeout_us; /* for a frame, all in all; 0: 1 s */
    uint64_t pause_us;   /* before the first start anew; 0: 100 ms */

    /* Every process gets so many frames before it counts as ready, as a first run is often far
     * slower than timeout_us. Format jpeg gets this file, gray and rgb a plain grey picture
     * of its size. */
    unsigned n_warmup;
    const uint8_t *warmup_jpeg; /* NULL: no warm-up for format jpeg */
    size_t warmup_jpeg_bytes;
    uint32_t warmup_width, warmup_height; /* pixels of that JPEG; 0: no warm-up */
};

/* What became of a frame. */
enum worker_status {
    WORKER_OK,         /* the result is there */
    WORKER_ERROR,      /* the worker cannot process this frame, and goes on */
    WORKER_TIMEOUT,    /* no answer in time */
    WORKER_GARBAGE,    /* it wrote what is no answer */
    WORKER_CRASHED,    /* it closed its socket, or cannot be started or reached */
    WORKER_RESTARTING, /* not sent: it failed, the pause before its next start lasts */
    WORKER_STARTING,   /* not sent: its hello or its warm-up is still awaited */
    WORKER_STATUSES
};

/* "ok", "error", "timeout", "garbage", "crashed", "restarting", "starting" */
const char *worker_status_name(enum worker_status s);

/* A frame as worker_get_hello asked for it. */
struct worker_frame {
    const uint8_t *payload; /* borrowed for the call */
    uint32_t payload_bytes;
    uint32_t width, height;    /* pixels of the payload: after scaling; a JPEG's own size */
    enum worker_format format; /* what it was made for: when the process has said another */
    unsigned scale;            /* hello meanwhile, it is not sent, and the status is starting */
    uint64_t deadline_us;      /* told to the worker: it may stop then; 0: none */
    uint64_t until_us;         /* clock_now_us() after which the answer is useless; 0: none */
};

struct worker_stats {
    uint64_t n_started;                  /* processes or connections */
    uint64_t n_restarts;                 /* those but the first */
    uint64_t by_status[WORKER_STATUSES]; /* frames: every worker_run counts once */
    uint64_t n_late;                     /* answers that came too late */
    unsigned n_failed_in_a_row;          /* timeouts, garbage, crashes, also of starts; an answer
                                            with a result ends the row, an error does not */
    pid_t pid;                           /* exec: the process, 0 while there is none */
    char last_failure[256];              /* a sentence; "" before the first */
};

struct worker;

/* Neither starts a process nor connects: worker_prepare and worker_run do. NULL: e (may be
 * NULL) says why: neither or both of command and path, a path too long, out of memory, threads
 * or descriptors. */
struct worker *worker_new(const struct worker_options *o, struct err *e);

/* Ends the process group, SIGTERM first and SIGKILL a third of a second later, and reaps it. */
void worker_free(struct worker *w);

/* Starts it if it is not running and no pause lasts, and awaits hello and warm-up. OK: the next
 * frame can be sent. STARTING: timeout_us is over first. The first failure ends the wait. */
enum worker_status worker_prepare(struct worker *w, uint64_t timeout_us);

/* Sends one frame and awaits its answer, for timeout_us of the options at most, starting
 * included. result is emptied; OK puts the JSON object there, ERROR the worker's words. */
enum worker_status worker_run(struct worker *w, const struct worker_frame *f, struct text *result);

/* The newest hello in *out. false: there was none yet. Any thread. */
bool worker_get_hello(struct worker *w, struct worker_hello *out);

/* Any thread. */
struct worker_stats worker_get_stats(struct worker *w);

/* Whether WORKER_DEGRADED or more failures came in a row. Any thread. */
bool worker_is_degraded(struct worker *w);

/* The pause after n_failed failures in a row: pure. */
uint64_t worker_pause_us(uint64_t first_us, unsigned n_failed);
