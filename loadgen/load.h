/* load.h - what is to be played, made ready once: read by every thread, changed by none.
 *
 * Ownership: load_deinit frees what hangs on it; the settings are borrowed.
 * Threads: read only once made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"
#include "common/err.h"
#include "loadgen/corpus.h"
#include "loadgen/options.h"
#include "loadgen/plan.h"
#include "loadgen/profile.h"
#include "loadgen/tls.h"

struct load {
    const struct settings *set;
    struct plan plan;
    struct profiles profiles;
    struct corpus *corpus; /* one for each profile; equal ones are shared */
    uint16_t *profile_of;  /* of each of plan.sessions */
    uint32_t segment, n_segments;
    uint64_t start_wall_us; /* --start-at; 0: when all are connected */

    struct address at;
    SSL_CTX *tls;           /* NULL: plain */
    char ip[64], host[300]; /* resolved once; what the Host header says */
    char **path;            /* one for each profile: its pipeline is in the query */
    size_t n_corpora;
    size_t message_bytes_max; /* the largest message, heads included */
};

/* Reads profiles and frames, resolves the address. 0, -EXIT_USAGE or -EXIT_UNREACHABLE.
 * load_deinit in either case. */
int load_init(struct load *l, const struct settings *set, const char *url, struct err *e);
void load_deinit(struct load *l);

/* Of all sessions, those that a segment plays: the i-th of them. */
uint64_t load_n_sessions(const struct load *l);
uint32_t load_session_index(const struct load *l, uint64_t i);
