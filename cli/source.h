/* source.h - where frames come from: the seam every kind of source stands behind.
 *
 * A source runs at full speed, always, and never waits for anybody downstream:
 * it hands each complete JPEG to its sink the moment it has it. Pacing,
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

#include "common/err.h"
#include "common/loop.h"

/* Room in front of every picture, for what the link puts there (the WebSocket
 * header of libwebsockets, the 16-byte frame header), so nobody copies it. */
#define PICTURE_HEADROOM 64

struct picture {
    uint64_t captured_us;   /* monotonic: when the last byte was there */
    double captured_wall_s; /* Unix seconds, for people */
    uint64_t index;         /* counts what the source gave, from 0 */
    unsigned quality;       /* of the JPEG, when it was encoded here; 0: as it came */
    unsigned halvings;      /* 1, 2: its sides are 1/2, 1/4 of what the source gives */
    size_t n_bytes;
    uint8_t *bytes; /* n_bytes of JPEG; PICTURE_HEADROOM writable bytes before it */
};

/* Copies n_bytes; NULL: out of memory. */
struct picture *picture_new(const void *bytes, size_t n_bytes, uint64_t captured_us);
void picture_free(struct picture *p); /* NULL is fine */

/* What a source tells. Any of them may call source_close. */
struct source_sink {
    void *ctx;
    void (*on_picture)(void *ctx, struct picture *p); /* takes p */
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
    uint64_t stall_us;        /* no frame for this long: reopen (http) */
    size_t picture_bytes_max; /* larger ones are broken */
    bool reconnect;           /* http: reopen with back-off when it ends or stalls */
    const char *netrc;        /* file with credentials, or NULL */
    const char *cacert;       /* file with CA certificates, or NULL */
    bool insecure;            /* do not verify the peer */
    uint64_t poll_us;         /* http: a single JPEG is asked for again this often */
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
extern const struct source_kind source_http, source_file, source_stdin, source_test;

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

/* The text without credentials: "user:pass@" is shown as three stars and "@". */
void source_display(const char *spec, char *out, size_t cap);

/* Overwrites credentials in place, keeping the length: for argv, which ps shows. */
void source_hide(char *spec);

/* Every kind embeds this first. */
struct source {
    void (*close)(struct source *s);
    void (*set_encoding)(struct source *s, unsigned quality, unsigned halvings); /* or NULL */
};
