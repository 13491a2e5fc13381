/* err.h - how a failure travels from where it happens to who can tell it.
 *
 * Functions that can fail return 0, or minus the exit code the program should
 * end with if nobody handles the failure; the sentence for people goes into
 * struct err, at the place that knows what was being tried. Whoever handles an
 * error logs it; whoever passes it on does not.
 *
 * Ownership: the caller's storage. Threads: a struct err belongs to one thread.
 */
#pragma once

/* Exit codes of all programs, so that a script can tell "slow" from "broken"
 * from "we cannot say". */
enum exit_code {
    EXIT_DONE = 0,         /* done, all gates pass */
    EXIT_FAILED = 1,       /* it failed while running */
    EXIT_USAGE = 2,        /* wrong usage or configuration */
    EXIT_UNREACHABLE = 3,  /* the peer or the source cannot be reached */
    EXIT_GATE = 4,         /* a gate failed */
    EXIT_INVALID = 5,      /* the measurement is invalid */
    EXIT_REGRESSION = 6,   /* worse than the baseline */
    EXIT_INTERRUPTED = 130 /* ended by SIGINT, as shells count */
};

struct err {
    char text[512]; /* one sentence, no newline; always terminated */
};

/* Writes the sentence and returns -code. e may be NULL. */
int err_set(struct err *e, enum exit_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with ": " and the text of errno at the end. errno is kept. */
int err_errno(struct err *e, enum exit_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
