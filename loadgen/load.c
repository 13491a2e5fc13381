#include "loadgen/load.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/proto.h"
#include "common/text.h"
#include "common/wsframe.h"

#define PATH_MAX_BYTES 2048

static int no_memory(struct err *e)
{
    return err_set(e, EXIT_FAILED, "out of memory");
}

static int read_segment(struct load *l, const char *text, struct err *e)
{
    uint64_t i = 1, n = 1;
    bool good = !text || (opt_parse_two(text, '/', &i, &n, NULL) == 0 && i >= 1 && i <= n &&
                          n <= l->plan.sessions);
    l->segment = (uint32_t)i;
    l->n_segments = (uint32_t)n;
    if (good)
        return 0;
    return err_set(e, EXIT_USAGE,
                   "--segment '%s': I/N, as in 2/4 for the second of four, and no more than "
                   "there are sessions",
                   text);
}

static int read_start_at(struct load *l, const char *text, struct err *e)
{
    double wall_s = 0.0;
    struct err why;
    if (!text)
        return 0;
    if (opt_parse_real(text, &wall_s, &why) < 0 || wall_s < 1e9 || wall_s > 1e11)
        return err_set(e, EXIT_USAGE, "--start-at '%s': Unix seconds, as `date +%%s` prints them",
                       text);
    l->start_wall_us = (uint64_t)(wall_s * 1e6);
    return 0;
}

static int make_plan(struct load *l, struct err *e)
{
    const struct settings *set = l->set;
    l->plan = (struct plan){.sessions = set->sessions,
                            .duration_us = set->duration_us,
                            .phase = (enum phase)set->phase,
                            .seed = set->seed};
    int rc = set->stages ? plan_parse_stages(&l->plan, set->stages, e) : 0;
    if (rc == 0 && set->warmup_us >= l->plan.duration_us)
        rc = err_set(e, EXIT_USAGE, "--warmup: nothing is left of the run to be counted");
    if (rc == 0)
        rc = read_segment(l, set->segment, e);
    return rc < 0 ? rc : read_start_at(l, set->start_at, e);
}

/* --- frames --- */

static bool same_frames(const struct profile *a, const struct profile *b)
{
    if (a->frames || b->frames)
        return a->frames && b->frames && strcmp(a->frames, b->frames) == 0;
    return a->size_bytes == b->size_bytes && a->width == b->width && a->height == b->height;
}

static int fill_corpus(struct load *l, size_t i, struct err *e)
{
    const struct profile *p = &l->profiles.item[i];
    l->n_corpora = i + 1;
    for (size_t k = 0; k < i; k++) {
        if (same_frames(p, &l->profiles.item[k])) {
            l->corpus[i] = l->corpus[k];
            return 0;
        }
    }
    return p->frames ? corpus_load(&l->corpus[i], p->frames, e)
                     : corpus_make(&l->corpus[i], p->width, p->height, p->size_bytes, e);
}

static int fill_corpora(struct load *l, struct err *e)
{
    int rc = 0;
    l->corpus = calloc(l->profiles.n, sizeof *l->corpus);
    if (!l->corpus)
        return no_memory(e);
    for (size_t i = 0; rc == 0 && i < l->profiles.n; i++) {
        rc = fill_corpus(l, i, e);
        size_t fragment = l->profiles.item[i].fragment_bytes, largest = l->corpus[i].bytes_max;
        size_t room = wsframe_room(largest, fragment);
        if (rc == 0 && wsframe_count(largest, fragment) > WSFRAME_FRAGMENTS_MAX)
            rc = err_set(e, EXIT_USAGE, "--fragment: more than %d pieces", WSFRAME_FRAGMENTS_MAX);
        l->message_bytes_max = room > l->message_bytes_max ? room : l->message_bytes_max;
    }
    return rc;
}

static void free_corpora(struct load *l)
{
    for (size_t i = l->n_corpora; i-- > 0;) { /* the first of those that share is freed last */
        bool shared = false;
        for (size_t k = 0; k < i; k++)
            shared |= l->corpus[k].frame == l->corpus[i].frame;
        if (!shared)
            corpus_free(&l->corpus[i]);
    }
    free(l->corpus);
}

/* --- where to --- */

static int resolve(struct load *l, struct err *e)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    snprintf(port, sizeof port, "%u", l->at.port);
    int rc = getaddrinfo(l->at.host, port, &hints, &found);
    if (rc != 0 || !found)
        return err_set(e, EXIT_UNREACHABLE, "%s: %s", l->at.host, gai_strerror(rc));
    /* "localhost" is ::1 first, and a server may be at 127.0.0.1 only: take what answers. */
    struct addrinfo *good = NULL;
    for (struct addrinfo *a = found; a && !good; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
            good = a;
        if (fd >= 0)
            close(fd);
    }
    rc = getnameinfo((good ? good : found)->ai_addr, (good ? good : found)->ai_addrlen, l->ip,
                     sizeof l->ip, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    if (!good)
        return err_errno(e, EXIT_UNREACHABLE, "cannot reach %s port %u", l->at.host, l->at.port);
    return rc == 0 ? 0 : err_set(e, EXIT_UNREACHABLE, "%s: %s", l->at.host, gai_strerror(rc));
}

static int make_paths(struct load *l, struct err *e)
{
    bool bare = !strchr(l->at.host, ':');
    snprintf(l->host, sizeof l->host, "%s%s%s:%u", bare ? "" : "[", l->at.host, bare ? "" : "]",
             l->at.port);
    l->path = calloc(l->profiles.n, sizeof *l->path);
    for (size_t i = 0; l->path && i < l->profiles.n; i++) {
        struct text t = text_heap(PATH_MAX_BYTES);
        text_add(&t, l->at.path);
        text_add(&t, "?pipeline_id=");
        proto_add_escaped(&t, l->profiles.item[i].pipeline);
        text_add(&t, "&timing=1");
        l->path[i] = t.data; /* the text's memory is its owner's now */
        if (t.cut)
            return err_set(e, EXIT_USAGE, "--pipeline: too long");
    }
    return l->path ? 0 : no_memory(e);
}

int load_init(struct load *l, const struct settings *set, const char *url, struct err *e)
{
    *l = (struct load){.set = set};
    int rc = address_parse(&l->at, url, e);
    if (rc == 0 && l->at.tls && !(l->tls = tls_new(set->cacert, e)))
        rc = -EXIT_USAGE;
    if (rc == 0)
        rc = make_plan(l, e);
    if (rc == 0)
        rc = profiles_load(&l->profiles, set, e);
    if (rc == 0)
        rc = fill_corpora(l, e);
    if (rc == 0)
        rc = make_paths(l, e);
    if (rc < 0)
        return rc;
    l->profile_of = malloc(l->plan.sessions * sizeof *l->profile_of);
    if (!l->profile_of)
        return no_memory(e);
    profiles_assign(&l->profiles, l->profile_of, l->plan.sessions);
    return resolve(l, e);
}

void load_deinit(struct load *l)
{
    for (size_t i = 0; l->path && i < l->profiles.n; i++)
        free(l->path[i]);
    free(l->path);
    free(l->profile_of);
    tls_free(l->tls);
    free_corpora(l);
    profiles_free(&l->profiles);
    *l = (struct load){0};
}

/* Every n-th, so that each segment is a small picture of the whole. */
uint64_t load_n_sessions(const struct load *l)
{
    return (l->plan.sessions - l->segment) / l->n_segments + 1;
}

uint32_t load_session_index(const struct load *l, uint64_t i)
{
    return (uint32_t)(i * l->n_segments + l->segment - 1);
}
