/* pipeline.h - what a pipeline is: JPEG in, members of a JSON object out.
 *
 * A kind is code (`motion`); a pipeline is a kind with a name and parameters
 * (`--pipeline door=motion:threshold=20`); clients ask for the name. Each
 * session has its own state, made and freed with it, so a background model
 * never sees two cameras.
 *
 * Threads: session_new and session_free run on the session's I/O thread, process on a
 * worker, or on that I/O thread while it is cheap (cheap.h) or there are no workers. Never two of
 * them at once for one session, but many sessions at once: a kind keeps nothing outside its
 * state but constant tables, and what is under a lock in its instance.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/json.h"

#define PIPELINE_PARAMS_MAX 8
#define PIPELINE_NAME_MAX   64
#define PIPELINE_WORD_MAX   64 /* bytes of a name or version that somebody else gives */
#define PIPELINE_ERRORS_MAX 8

struct pipeline_param {
    const char *name; /* "ms" in "delay:ms=40" */
    double def, min, max;
    const char *help;
};

struct decode;

struct pipeline_frame {
    const uint8_t *jpeg; /* borrowed; passed the SOI/EOI check and nothing more */
    size_t jpeg_bytes;
    struct decode *decode; /* the worker's, at the beginning of this JPEG: gives its pixels */
    uint64_t index;        /* frame_index of the session: gaps are dropped frames */
    uint64_t deadline_us;  /* monotonic: an answer after that is late; 0: no budget */
};

/* How a pipeline that can fall ill is. */
struct pipeline_health {
    bool degraded;       /* its worker keeps dying: frames are answered with a status */
    uint64_t n_restarts; /* of workers */
    struct pipeline_error {
        const char *kind; /* NULL: the end */
        uint64_t n;       /* frames that were answered with that status in place of a result */
    } errors[PIPELINE_ERRORS_MAX + 1];
};

/* What is known of the code or the model behind it. Borrowed, or "" where nobody says. */
struct pipeline_about {
    char model[PIPELINE_WORD_MAX + 1], version[PIPELINE_WORD_MAX + 1];
    const char *licence;
    const char *format; /* of the frames: "jpeg", "gray" or "rgb" */
    const char *source; /* where it comes from: "built-in", a file, a command, a socket */
};

struct pipeline;

struct pipeline_kind {
    const char *name;
    const char *summary; /* one line for GET /pipelines and the man page */
    const char *format;  /* of the frames that it works on; NULL: "jpeg" */
    const struct pipeline_param *params;
    size_t n_params;
    /* A text parameter: the value of this key; or, with text_is_rest, whatever stands behind
     * the others ("exec:workers=2,python3 worker.py"), and text is what help calls it. */
    const char *text;
    bool text_is_rest; /* must be given, so the kind is not there under its own name */
    const char *text_default;

    /* Once for each pipeline, before the first session; sets p->instance. 0 or -EXIT_...
     * With a text_default that does not work the kind is left out. NULL: nothing to do. */
    int (*open)(struct pipeline *p, struct err *e);
    void (*close)(struct pipeline *p);
    void (*health)(const struct pipeline *p, struct pipeline_health *out); /* any thread */
    /* Says it better than the defaults in *out. Any thread. */
    void (*about)(const struct pipeline *p, struct pipeline_about *out);
    /* Whether process may wait for others, however quick it was before. NULL: it does not. */
    bool (*waits)(const struct pipeline *p);

    /* Makes a session's state. NULL: out of memory. Kinds without state leave both
     * functions NULL and get state NULL. */
    void *(*session_new)(const struct pipeline *p);
    void (*session_free)(void *state);

    /* Adds the members of `result` (the object is already open). 0, or -1 when
     * the frame cannot be processed: the client then gets pipeline_failure. */
    int (*process)(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result);
};

struct pipeline {
    const struct pipeline_kind *kind;
    char name[PIPELINE_NAME_MAX];      /* what clients ask for */
    double param[PIPELINE_PARAMS_MAX]; /* in the order of kind->params */
    char *text;                        /* see kind->text; owned by the set */
    unsigned every;                    /* runs on each n-th frame; 0 and 1: on all */
    const struct pipeline_set *set;    /* that it is in, for kinds made of others */
    void *instance;                    /* of open */
};

/* The built-in kinds, NULL-terminated. */
extern const struct pipeline_kind *const pipeline_kinds[];

extern const struct pipeline_kind pipeline_null, pipeline_delay, pipeline_spin, pipeline_inspect,
    pipeline_motion, pipeline_face, pipeline_apriltag, pipeline_exec, pipeline_unix,
    pipeline_plugin, pipeline_chain;

/* The pipelines of this process: every kind under its own name, then those that
 * were asked for; a later one of the same name replaces an earlier one. */
struct pipeline_set {
    struct pipeline *item;
    size_t n;
};

/* specs: n texts "NAME=KIND[:key=value,...]". Opens them all. 0; -EXIT_USAGE naming the text and
 * what is known; or why one cannot be opened. Free with pipeline_set_deinit in either case. */
int pipeline_set_init(struct pipeline_set *set, const char *const *specs, size_t n, struct err *e);
void pipeline_set_deinit(struct pipeline_set *set);

/* A session's state for p into *state; it may be NULL. -1: out of memory. I/O thread. */
int pipeline_session_new(const struct pipeline *p, void **state);
void pipeline_session_free(const struct pipeline *p, void *state);

/* kind->process; with `every` the last result again for the frames between, and in it how many
 * frames old it is: stale_frames. Threads: as kind->process. */
int pipeline_process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                     struct json *result);

/* Whether what it took for some frames says nothing of the next one: it leaves frames out, or may
 * wait for others. */
bool pipeline_is_uneven(const struct pipeline *p);

/* Of p; all zero where the kind has nothing that can fall ill. */
struct pipeline_health pipeline_health_of(const struct pipeline *p);

struct pipeline_about pipeline_about(const struct pipeline *p);

/* The pipeline of that name, or NULL. Borrowed from the set. */
const struct pipeline *pipeline_find(const struct pipeline_set *set, const char *name);

/* Everything that clients may ask for, as GET /pipelines tells it, and as a table. */
void pipeline_set_json(const struct pipeline_set *set, struct text *out);
void pipeline_set_table(const struct pipeline_set *set, struct text *out);
