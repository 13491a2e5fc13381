#include "cli/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/source_file.h"
#include "cli/source_out.h"

#define NAME        "standard input"
#define CHUNK_BYTES 65536u /* what a pipe holds */

struct stdin_source {
    struct source_out out; /* first */
    struct loop *loop;
    struct loop_watch watch;
    struct mjpeg *mjpeg;
    int flags; /* of the descriptor, as they were: others share them */
    uint8_t chunk[CHUNK_BYTES];
};

static void end_reading(struct stdin_source *s, ssize_t n)
{
    struct err why = {{0}};
    int rc = 0;
    loop_watch_remove(s->loop, &s->watch);
    if (n < 0)
        rc = err_errno(&why, EXIT_FAILED, "cannot read " NAME);
    mjpeg_end(s->mjpeg);
    if (!rc && !s->out.n_pictures)
        rc = err_set(&why, EXIT_UNREACHABLE, NAME ": no JPEG pictures in it");
    source_out_end(&s->out, rc, &why);
}

static void on_ready(void *ctx, int fd, uint32_t events)
{
    (void)events;
    struct stdin_source *s = ctx;
    source_out_hold(&s->out);
    ssize_t n = read(fd, s->chunk, sizeof s->chunk);
    if (n > 0)
        mjpeg_feed(s->mjpeg, s->chunk, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        end_reading(s, n);
    source_out_release(&s->out);
}

static void free_source(struct source_out *o)
{
    struct stdin_source *s = (struct stdin_source *)o;
    loop_watch_remove(s->loop, &s->watch);
    (void)fcntl(STDIN_FILENO, F_SETFL, s->flags);
    mjpeg_free(s->mjpeg);
    free(s);
}

/* A copy of the descriptor, so that closing the source leaves standard input open. */
static int open_as_file(struct source **out, const struct source_options *o, struct loop *l,
                        const struct source_sink *sink, struct err *e)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(e, EXIT_UNREACHABLE, NAME);
    int rc = source_file_open_fd(out, fd, NAME, o, l, sink, e);
    if (rc)
        close(fd);
    return rc;
}

static int check_stdin(struct err *e)
{
    struct stat st;
    if (fstat(STDIN_FILENO, &st) < 0)
        return err_errno(e, EXIT_UNREACHABLE, NAME);
    if (S_ISDIR(st.st_mode))
        return err_set(e, EXIT_UNREACHABLE, NAME " is a directory: give its name instead of -");
    if (isatty(STDIN_FILENO))
        return err_set(e, EXIT_UNREACHABLE,
                       NAME
                       " is a terminal: pipe JPEGs into it (ffmpeg -i VIDEO -f mjpeg - | ...)");
    return 0;
}

static int open_stdin(struct source **out, const char *spec, const struct source_options *o,
                      struct loop *l, const struct source_sink *sink, struct err *e)
{
    (void)spec;
    int rc = check_stdin(e);
    if (rc)
        return rc;
    struct stdin_source *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, EXIT_FAILED, NAME ": out of memory");
    source_out_init(&s->out, l, sink, free_source);
    s->loop = l;
    s->watch = (struct loop_watch){.on_ready = on_ready, .ctx = s, .fd = STDIN_FILENO};
    s->flags = fcntl(STDIN_FILENO, F_GETFL);
    s->mjpeg = source_out_splitter(&s->out, o->picture_bytes_max);
    rc = s->mjpeg ? loop_watch_set(l, &s->watch, EPOLLIN, e)
                  : err_set(e, EXIT_FAILED, NAME ": out of memory");
    if (rc) {
        bool is_file = s->mjpeg && errno == EPERM; /* epoll takes no files; they never block */
        free_source(&s->out);
        return is_file ? open_as_file(out, o, l, sink, e) : rc;
    }
    (void)fcntl(STDIN_FILENO, F_SETFL, s->flags | O_NONBLOCK);
    *out = &s->out.source;
    return 0;
}

static bool matches_stdin(const char *spec)
{
    return !strcmp(spec, "-");
}

const struct source_kind source_stdin = {
    .name = "stdin",
    .spec = "-",
    .matches = matches_stdin,
    .open = open_stdin,
};
