/* source.h - where frames come from: the seam every kind of source stands behind.
 *
 * A source runs at full speed, always, and never waits for anybody downstream:
 * it hands each complete picture to its sink the moment it has it. Pacing,
 * skipping and dropping are the sink's business. Sources live in the event
 * loop (common/loop.h) and never block it.
 *
 * Ownership: on_picture takes the picture (picture_free). A source owns its
 * descriptors and buffers until source_close. Threads: the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/picture.h"
#include "common/err.h"
#include "common/loop.h"

/* What a camera gives, and what was asked of it. Texts are borrowed for the call. */
struct source_facts {
    const char *device, *card, *bus, *serial; /* serial "" when there is none */
    const char *format;                       /* "MJPG", "YUYV", ... */
    unsigned width, height;
    double fps;               /* 0: it does not say */
    const char *asked_format; /* "" when it was left to us; numbers are 0 then */
    unsigned asked_width, asked_height;
    double asked_fps;
    const char *stamp; /* of a picture: "exposure", "end" (of the frame), "arrival" */
};

/* What a source tells. Any of them may call source_close. */
struct source_sink {
    void *ctx;
    void (*on_picture)(void *ctx, struct picture *p); /* takes p */
    /* Pictures there were and will not come: n_older whole ones in whose place the next one
     * comes, n_lost that the camera's driver dropped. NULL: nobody wants to know. */
    void (*on_missed)(void *ctx, uint64_t n_older, uint64_t n_lost);
    /* A camera was set up, again perhaps. NULL: nobody wants to know. */
    void (*on_facts)(void *ctx, const struct source_facts *f);
    /* Something was seen that should have been a picture and is not (truncated, too
     * large, not a JPEG); why is one or two words. Counted as `broken`. */
    void (*on_broken)(void *ctx, const char *why);
    /* Something to tell people: reconnecting, stalled, an odd stream. One sentence. */
    void (*on_note)(void *ctx, const char *sentence);
    /* The source is over. rc 0: all was read; else -exit_code and why. Comes once,
     * last. */
    void (*on_end)(void *ctx, int rc, const struct err *why);
};

struct source_options {
    double fps;               /* directories, files: pace them at this rate; 0: 30 */
    bool loop;                /* files: start again at the end */
    uint64_t stall_us;        /* no frame for this long: reopen (http, cameras) */
    size_t picture_bytes_max; /* larger ones are broken */
    bool reconnect;           /* http, cameras: reopen when it ends or stalls */
    const char *netrc;        /* file with credentials, or NULL */
    const char *cacert;       /* file with CA certificates, or NULL */
    bool insecure;            /* do not verify the peer */
    uint64_t poll_us;         /* http: a single JPEG is asked for again this often */
    bool strict;              /* cameras: refuse a difference to what is asked for */
    bool allow_truncated;     /* cameras: take JPEGs without an end */
    bool libv4l2;             /* cameras: let libv4l2 convert odd formats */
};

struct source;

struct source_kind {
    const char *name;
    const char *spec; /* what users type, for --help: "test:[WxH][@FPS]" */
    bool (*matches)(const char *spec);
    int (*open)(struct source **out, const char *spec, const struct source_options *o,
                struct loop *l, const struct source_sink *sink, struct err *e);
};

/* All kinds, first match wins, NULL-terminated. */
extern const struct source_kind *const source_kinds[];
extern const struct source_kind source_http, source_file, source_stdin, source_test, source_v4l2;

/* The kind that takes this text, or NULL; and the error for when none does. */
const struct source_kind *source_find(const char *spec);
int source_unknown(const char *spec, struct err *e);

/* Finds the kind and opens it. 0; -EXIT_USAGE: no kind takes this text, or its
 * options are wrong; -EXIT_UNREACHABLE: there, but cannot be opened. Nothing is
 * handed to the sink before this returns. */
int source_open(struct source **out, const char *spec, const struct source_options *o,
                struct loop *l, const struct source_sink *sink, struct err *e);

/* Stops and frees; no callback comes after it. NULL is fine. */
void source_close(struct source *s);

/* Quality, and halvings of the sides, of the pictures from now on. false: the source does not
 * encode them itself. */
bool source_set_encoding(struct source *s, unsigned quality, unsigned halvings);

/* on_broken and on_note of a sink that has but people to tell: on standard error. */
void source_say_broken(void *ctx, const char *why);
void source_say_note(void *ctx, const char *sentence);

/* The text without credentials: "user:pass@" is shown as three stars and "@". */
void source_display(const char *spec, char *out, size_t cap);

/* Overwrites credentials in place, keeping the length: for argv, which ps shows. */
void source_hide(char *spec);

/* Every kind embeds this first. */
struct source {
    void (*close)(struct source *s);
    void (*set_encoding)(struct source *s, unsigned quality, unsigned halvings); /* or NULL */
};
