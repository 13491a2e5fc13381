/* record.h - everything that is measured, in a form that can be added up.
 *
 * Every number in every report comes from one record. It holds counters and
 * histograms of a fixed layout only, so records of threads, processes and
 * machines are merged by adding, and the merged record equals the one that had
 * seen everything, bucket for bucket.
 *
 * A frame is due at a time that was fixed before the run. What becomes of it:
 *
 *   due  = sent + held_back + lost + unsent
 *   sent = answered + dropped + unanswered
 *
 * Frames due during the warm-up are in the series, second by second, and nowhere
 * else. A frame that was due and got no word at all is an infinitely late answer:
 * see record_missing.
 *
 * Ownership: record_init allocates, record_deinit frees. Threads: one at a time;
 * each thread fills its own and record_merge combines them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/hist.h"

/* Histograms. All in microseconds. */
enum record_time {
    RECORD_LATENCY,      /* due to answer: the headline */
    RECORD_RESPONSE,     /* sent (last byte taken by the kernel) to answer */
    RECORD_SLIP,         /* due to our looking at it: how late we are ourselves */
    RECORD_BLOCKED,      /* our looking at it to sent: the socket was full */
    RECORD_WAIT,         /* the server's word: arrival to start of work */
    RECORD_PIPELINE,     /* the server's word: the pipeline */
    RECORD_SERVER,       /* the server's word: arrival to reply */
    RECORD_NETWORK,      /* response without the server's part */
    RECORD_DROP_LATENCY, /* due to the message that it was dropped */
    RECORD_CONNECT,      /* dialed to TCP connected */
    RECORD_TLS,          /* TCP connected to TLS done */
    RECORD_UPGRADE,      /* from there to WebSocket open */
    RECORD_FIRST_ANSWER, /* a connection's first frame: sent to answer */
    RECORD_LOOP_LAG,     /* a reply in the kernel to our looking at it, sampled */
    RECORD_TIMES
};

enum record_count {
    RECORD_DUE,
    RECORD_SENT,
    RECORD_HELD_BACK, /* by --in-flight or --adapt */
    RECORD_LOST,      /* never sent whole: no connection, or the server did not read on */
    RECORD_UNSENT,    /* we never came to it: our own failure */
    RECORD_ANSWERED,
    RECORD_DROPPED,
    RECORD_UNANSWERED,
    RECORD_LATE, /* answered, but later than the budget after it was due */
    RECORD_DROPPED_REPLACED,
    RECORD_DROPPED_LATE,
    RECORD_DROPPED_BUSY,
    RECORD_DROPPED_RATE,
    RECORD_DROPPED_CLOSED,
    RECORD_DROPPED_MEMORY,
    RECORD_DROPPED_OTHER, /* no reason given, or one we do not know */
    RECORD_SLOW_DOWNS,
    RECORD_ERRORS, /* error messages of the server */
    RECORD_ODD,    /* messages that are not of the protocol, or about no frame of ours */
    RECORD_CONNECTS,
    RECORD_CONNECT_ERRORS,
    RECORD_DISCONNECTS, /* open connections that ended without our wish */
    RECORD_SENT_BYTES,
    RECORD_COUNTS
};

/* What each is called in JSON, gates and tables: "latency", "due". */
extern const char *const record_time_names[RECORD_TIMES];
extern const char *const record_count_names[RECORD_COUNTS];

/* The sessions of one profile. */
struct record_part {
    struct hist time[RECORD_TIMES];
    uint64_t count[RECORD_COUNTS];
};

/* One second of the run, by when things happened. */
struct record_second {
    uint32_t sessions; /* open at its end */
    uint32_t due, sent, answered, dropped, unanswered, late, slow_downs, connect_errors;
    uint32_t n_buckets; /* the latencies of answers that came in this second: */
    struct record_bucket {
        uint32_t bucket; /* as hist_bucket_of */
        uint32_t n;
    } * buckets; /* ascending, none empty */
    uint64_t max_us;
};

/* One session over the whole run, for the table of the worst. */
struct record_session {
    uint32_t index, profile;
    uint64_t due, answered, dropped, missing; /* missing: see record_missing */
    uint64_t p99_us, max_us;                  /* latency */
};

#define RECORD_WORST 10

struct record {
    size_t n_parts;
    struct record_part *part; /* one for each profile, in the order of the configuration */
    size_t n_seconds;
    struct record_second *second; /* counted from the start of the run, warm-up included */
    size_t n_worst;
    struct record_session worst[RECORD_WORST]; /* the worst first */
    /* Sessions that had frames due, and the sums of their answered shares in parts per million and
     * of the squares: Jain's index is share_sum^2 / (n * share_squares). */
    uint64_t n_sessions, share_sum, share_squares;
};

/* 0, or -1: out of memory. */
int record_init(struct record *r, size_t n_parts);
void record_deinit(struct record *r);

/* Adds all of `from`, which has as many parts. 0, or -1: out of memory (then `into` is
 * unusable, but may be deinited). */
int record_merge(struct record *into, const struct record *from);

/* The sum of all parts. */
void record_total(const struct record *r, struct record_part *out);

/* Frames that got no word at all: unanswered, lost, unsent. */
uint64_t record_missing(const struct record_part *p);

/* How many values of that time are infinite: those frames, where it ends with their answer. */
uint64_t record_infinite(const struct record_part *p, enum record_time time);

/* Adds a session at the end of its run: the sums and the table of the worst. */
void record_add_session(struct record *r, const struct record_session *s);

/* 1 when all sessions got the same share, 1/n when one got all; 0 without sessions. */
double record_fairness(const struct record *r);

/* Percentile of a histogram when `missing` more values are infinite: the value, or
 * UINT64_MAX when that percentile is one of them. has_data must be asked first. */
uint64_t record_percentile_us(const struct hist *h, uint64_t missing, double percent);

/* The second that is being filled: latencies go into a full histogram and are packed when
 * the next second begins. All zero is a valid start. */
struct record_now {
    size_t second;
    struct record_second counts;
    struct hist latency;
};

/* The counts of the second at since_start_us; packs the one before. Time never goes back.
 * NULL: out of memory. */
struct record_second *record_now_at(struct record *r, struct record_now *now,
                                    uint64_t since_start_us, uint32_t sessions);

/* Packs the last second. 0, or -1: out of memory. */
int record_now_end(struct record *r, struct record_now *now, uint32_t sessions);

/* Adds a packed second to a histogram; its min, max and sum are to the bucket's edge. */
void record_unpack(const struct record_second *s, struct hist *out);
