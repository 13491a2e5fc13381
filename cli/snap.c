#include "cli/snap.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/annotate.h"
#include "cli/ask.h"
#include "cli/encode.h"
#include "common/address.h"
#include "common/clock.h"

struct snap {
    uint64_t n_skip;
    struct picture *picture; /* the one, once it is there */
    bool over;
    int rc; /* of the source's end */
    struct err why;
};

static void on_picture(void *ctx, struct picture *p)
{
    struct snap *s = ctx;
    if (s->n_skip > 0 || s->picture) {
        s->n_skip -= s->n_skip > 0;
        picture_free(p);
        return;
    }
    s->picture = p;
    s->over = true;
}

static void on_missed(void *ctx, uint64_t n_older, uint64_t n_lost)
{
    struct snap *s = ctx;
    (void)n_lost;
    s->n_skip -= n_older < s->n_skip ? n_older : s->n_skip;
}

static void on_end(void *ctx, int rc, const struct err *why)
{
    struct snap *s = ctx;
    s->over = true;
    s->rc = rc;
    s->why = *why;
}

static int wait_for_picture(struct snap *s, const struct settings *set, const char *spec,
                            struct loop *l, struct source **source, struct err *e)
{
    struct source_options o = settings_source_options(set);
    struct source_sink sink = {.ctx = s,
                               .on_picture = on_picture,
                               .on_missed = on_missed,
                               .on_broken = source_say_broken,
                               .on_note = source_say_note,
                               .on_end = on_end};
    o.reconnect = false;
    l->now_us = clock_now_us();
    int rc = source_open(source, spec, &o, l, &sink, e);
    while (rc == 0 && !s->over) {
        struct pollfd ready = {.fd = l->epoll_fd, .events = POLLIN};
        if (poll(&ready, 1, -1) > 0)
            loop_turn(l);
    }
    if (rc < 0 || s->picture)
        return rc;
    return s->rc < 0 ? err_set(e, (enum exit_code) - s->rc, "%s", s->why.text)
                     : err_set(e, EXIT_FAILED, "the source ended before the picture came");
}

static int write_all(FILE *f, const struct picture *p, const char *path, struct err *e)
{
    bool ok = fwrite(p->bytes, 1, p->n_bytes, f) == p->n_bytes;
    ok = fflush(f) == 0 && ok;
    return ok ? 0 : err_errno(e, EXIT_FAILED, "%s", path);
}

static int write_file(const struct picture *p, const char *path, struct err *e)
{
    if (strcmp(path, "-") == 0)
        return write_all(stdout, p, "standard output", e);
    FILE *f = fopen(path, "wbe");
    if (!f)
        return err_errno(e, EXIT_FAILED, "%s", path);
    int rc = write_all(f, p, path, e);
    if (fclose(f) != 0 && rc == 0)
        rc = err_errno(e, EXIT_FAILED, "%s", path);
    return rc;
}

static int encode_and_write(struct snap *s, const char *path, struct err *e)
{
    struct encode encode = {0};
    struct picture *made = NULL;
    const char *why = "";
    if (s->picture->raw.fourcc)
        made = encode_picture(&encode, s->picture, 0, 0, &why);
    int rc = s->picture->raw.fourcc && !made
                 ? err_set(e, EXIT_FAILED, "the picture cannot be encoded: %s", why)
                 : write_file(made ? made : s->picture, path, e);
    picture_free(made);
    encode_deinit(&encode);
    return rc;
}

static int snap_plain(const struct settings *set, const char *source_spec, const char *path,
                      struct err *e)
{
    struct snap s = {.n_skip = set->skip};
    struct source *source = NULL;
    struct loop l;
    int rc = loop_init(&l, e);
    if (rc < 0)
        return rc;
    rc = wait_for_picture(&s, set, source_spec, &l, &source, e);
    if (rc == 0)
        rc = encode_and_write(&s, path, e);
    picture_free(s.picture);
    source_close(source);
    loop_deinit(&l);
    return rc;
}

static int draw_and_write(const struct answer *a, const char *path, struct err *e)
{
    const char *why = "";
    struct picture *drawn = NULL;
    if (a->found.n == 0)
        fprintf(stderr,
                "streamctl: nothing was found in %" PRIu64 " picture%s: the last one is "
                "written as it is\n",
                a->n_asked, a->n_asked == 1 ? "" : "s");
    else
        drawn = annotate_picture(a->picture, &a->found, &why);
    int rc = a->found.n && !drawn ? err_set(e, EXIT_FAILED, "cannot draw on the picture: %s", why)
                                  : write_file(drawn ? drawn : a->picture, path, e);
    picture_free(drawn);
    return rc;
}

static int snap_annotated(const struct settings *set, const char *source_spec, const char *url,
                          const char *path, struct err *e)
{
    struct answer a;
    int rc = ask_server(set, source_spec, url, &a, e);
    if (rc == 0)
        rc = draw_and_write(&a, path, e);
    picture_free(a.picture);
    return rc;
}

int snap_run(const struct settings *set, const char *source, const char *url, struct err *e)
{
    const char *path = set->output ? set->output : "-";
    if (!set->output && isatty(STDOUT_FILENO))
        return -err_set(e, EXIT_USAGE, "where to? -o FILE.jpg, or -o - for standard output");
    if (url && !set->annotate)
        return -err_set(e, EXIT_USAGE, "%s: no server is asked without --annotate", url);
    return -(set->annotate ? snap_annotated(set, source, url ? url : ADDRESS_DEFAULT, path, e)
                           : snap_plain(set, source, path, e));
}
