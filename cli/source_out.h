/* source_out.h - the way out of a source: what all kinds do alike towards the sink.
 *
 * It numbers pictures, turns what the MJPEG splitter finds into pictures, and
 * makes it safe that any callback of the sink may close the source: the source
 * counts who still works with it, falls silent at once, and is freed when the
 * last call into it has returned. So every function of a kind that the loop
 * calls begins with source_out_hold and ends with source_out_release.
 *
 * Ownership: a kind embeds struct source_out first and frees itself in free.
 * Threads: the loop's thread.
 */
#pragma once

#include "cli/source.h"
#include "common/mjpeg.h"

struct source_out {
    struct source source;
    struct source_sink sink;
    const struct loop *loop;
    void (*free)(struct source_out *o); /* stops everything, then frees */
    uint64_t n_pictures;                /* given so far */
    unsigned n_holders;                 /* the owner, and calls on the stack */
    bool silent;                        /* closed or ended: nothing more is told */
};

/* Sets up the part all kinds share; the caller holds it once, until source_close. */
void source_out_init(struct source_out *o, const struct loop *l, const struct source_sink *sink,
                     void (*free_source)(struct source_out *o));

void source_out_hold(struct source_out *o);
/* May free the source: nothing of it may be touched afterwards. */
void source_out_release(struct source_out *o);

/* Takes p, numbers it and gives it to the sink. */
void source_out_picture(struct source_out *o, struct picture *p);
/* The same from n borrowed bytes, captured now. */
void source_out_bytes(struct source_out *o, const uint8_t *bytes, size_t n);
void source_out_missed(struct source_out *o, uint64_t n_older, uint64_t n_lost);
void source_out_facts(struct source_out *o, const struct source_facts *f);
void source_out_broken(struct source_out *o, const char *why);
void source_out_note(struct source_out *o, const char *sentence);
/* The last thing a source tells. why may be NULL when rc is 0. */
void source_out_end(struct source_out *o, int rc, const struct err *why);

/* A splitter whose pictures go straight to the sink. NULL: out of memory. */
struct mjpeg *source_out_splitter(struct source_out *o, size_t picture_bytes_max);
