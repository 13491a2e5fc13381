/* Files are paced on an absolute schedule, so the rate holds however long reading takes. A
 * directory or FILE.jpg is a list of names, read one file a picture; any other file goes
 * through the splitter, chunk by chunk, as pictures fall due. */
#include "cli/source_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/source_out.h"
#include "common/clock.h"
#include "common/jpeg.h"

#define CHUNK_BYTES     16384u
#define CHUNKS_PER_TURN 64u /* then the loop has its turn, in a file without pictures */
#define FPS_DEFAULT     30.0

enum progress { PROGRESS_PICTURE, PROGRESS_MORE, PROGRESS_END };

struct file_source {
    struct source_out out; /* first */
    struct loop *loop;
    struct loop_timer timer;
    char *shown; /* the name for people */
    double interval_us;
    size_t picture_bytes_max;
    bool again; /* from the start at the end */

    double start_us; /* the schedule: picture k is due at start + k intervals */
    uint64_t n_due;
    uint64_t n_at_start; /* pictures given before this pass */

    char **names; /* a list of files, one picture each ... */
    size_t n_names, next_name;

    int fd; /* ... or one file of many pictures, else -1 */
    off_t fd_start;
    struct mjpeg *mjpeg;
    bool fd_ended;
    struct picture **queue; /* found in the last chunk and not due yet */
    size_t queue_head, queue_tail, queue_cap;
};

/* Orders */

static int compare_numbers(const char **a, const char **b)
{
    while (**a == '0')
        ++*a;
    while (**b == '0')
        ++*b;
    size_t n_a = strspn(*a, "0123456789"), n_b = strspn(*b, "0123456789");
    int order = n_a != n_b ? (n_a < n_b ? -1 : 1) : strncmp(*a, *b, n_a);
    *a += n_a;
    *b += n_b;
    return order;
}

int source_file_compare(const char *a, const char *b)
{
    const char *whole_a = a, *whole_b = b;
    while (*a && *b) {
        int order = 0;
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b))
            order = compare_numbers(&a, &b);
        else
            order = (unsigned char)*a++ - (unsigned char)*b++;
        if (order)
            return order;
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return strcmp(whole_a, whole_b); /* img2 and img02: any order, but always the same */
}

static int by_name(const void *a, const void *b)
{
    return source_file_compare(*(char *const *)a, *(char *const *)b);
}

/* The queue of pictures that one chunk held */

static void queue_put(struct file_source *s, struct picture *p)
{
    if (s->queue_tail == s->queue_cap) {
        size_t cap = s->queue_cap ? s->queue_cap * 2 : 16;
        struct picture **grown = realloc(s->queue, cap * sizeof *grown);
        if (!grown) {
            picture_free(p);
            source_out_broken(&s->out, "no memory");
            return;
        }
        s->queue = grown;
        s->queue_cap = cap;
    }
    s->queue[s->queue_tail++] = p;
}

static struct picture *queue_pop(struct file_source *s)
{
    if (s->queue_head == s->queue_tail)
        return NULL;
    struct picture *p = s->queue[s->queue_head++];
    if (s->queue_head == s->queue_tail)
        s->queue_head = s->queue_tail = 0;
    return p;
}

static void on_split(void *ctx, const uint8_t *bytes, size_t n, bool mended)
{
    (void)mended;
    struct file_source *s = ctx;
    struct picture *p = picture_new(bytes, n, s->loop->now_us);
    if (p)
        queue_put(s, p);
    else
        source_out_broken(&s->out, "no memory");
}

static void on_split_broken(void *ctx, const char *why)
{
    struct file_source *s = ctx;
    source_out_broken(&s->out, why);
}

/* Reading */

static void give(struct file_source *s, struct picture *p)
{
    p->captured_us = s->loop->now_us; /* a file's picture happens when it is due */
    p->captured_wall_s = clock_wall_s();
    source_out_picture(&s->out, p);
}

static void read_chunk(struct file_source *s)
{
    uint8_t chunk[CHUNK_BYTES];
    struct err why;
    ssize_t n = read(s->fd, chunk, sizeof chunk);
    if (n > 0) {
        mjpeg_feed(s->mjpeg, chunk, (size_t)n);
    } else if (n == 0) {
        s->fd_ended = true;
        mjpeg_end(s->mjpeg); /* may complete a last picture */
    } else if (errno != EINTR && errno != EAGAIN) {
        int rc = err_errno(&why, EXIT_FAILED, "cannot read %s", s->shown);
        source_out_end(&s->out, rc, &why);
    }
}

static enum progress next_of_stream(struct file_source *s)
{
    for (unsigned i = 0; i < CHUNKS_PER_TURN && !s->out.silent; i++) {
        struct picture *p = queue_pop(s);
        if (p) {
            give(s, p);
            return PROGRESS_PICTURE;
        }
        if (s->fd_ended)
            return PROGRESS_END;
        read_chunk(s);
    }
    return PROGRESS_MORE;
}

/* Reads a whole file; NULL with a word or two on what is wrong with it. */
static struct picture *read_picture(const char *name, size_t bytes_max, const char **why)
{
    struct stat st;
    struct picture *p = NULL;
    int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO must not hold us up */
    *why = "unreadable";
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        goto close_fd;
    *why = "too large";
    if ((uint64_t)st.st_size > bytes_max)
        goto close_fd;
    *why = "no memory";
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    if (!bytes)
        goto close_fd;
    ssize_t n = read(fd, bytes, (size_t)st.st_size);
    *why = "unreadable";
    if (n == st.st_size) {
        *why = jpeg_check(bytes, (size_t)n) == JPEG_ENDS_OK ? NULL : "not a JPEG";
        p = *why ? NULL : picture_new(bytes, (size_t)n, 0);
    }
    free(bytes);
close_fd:
    close(fd);
    return p;
}

static enum progress next_of_list(struct file_source *s)
{
    const char *why = NULL;
    if (s->next_name == s->n_names)
        return PROGRESS_END;
    struct picture *p = read_picture(s->names[s->next_name++], s->picture_bytes_max, &why);
    if (p)
        give(s, p);
    else
        source_out_broken(&s->out, why ? why : "no memory");
    return p ? PROGRESS_PICTURE : PROGRESS_MORE;
}

static enum progress next(struct file_source *s)
{
    return s->names ? next_of_list(s) : next_of_stream(s);
}

/* The schedule */

static void rewind_source(struct file_source *s)
{
    s->n_at_start = s->out.n_pictures;
    s->next_name = 0;
    if (!s->names) {
        s->fd_ended = false;
        (void)lseek(s->fd, s->fd_start, SEEK_SET); /* fails: the next read tells the end */
    }
}

static void tell_end(struct file_source *s)
{
    struct err why;
    if (s->out.n_pictures)
        source_out_end(&s->out, 0, NULL);
    else
        source_out_end(&s->out,
                       err_set(&why, EXIT_UNREACHABLE,
                               "%s: no JPEG pictures in it (other video: ffmpeg -i VIDEO -f mjpeg "
                               "- | streamctl stream -)",
                               s->shown),
                       &why);
}

/* Late by more than an interval (the program was stopped, say): a new schedule begins, rather
 * than a burst of pictures. */
static uint64_t next_due(struct file_source *s)
{
    double now_us = (double)s->loop->now_us;
    double due_us = s->start_us + (double)++s->n_due * s->interval_us;
    if (due_us + s->interval_us < now_us) {
        s->start_us = due_us = now_us;
        s->n_due = 0;
    }
    return due_us > now_us ? (uint64_t)due_us : s->loop->now_us + 1;
}

static void on_due(void *ctx)
{
    struct file_source *s = ctx;
    source_out_hold(&s->out);
    if (s->start_us < 0)
        s->start_us = (double)s->loop->now_us;
    enum progress got = next(s);
    if (got == PROGRESS_END && s->again && s->out.n_pictures > s->n_at_start) {
        rewind_source(s);
        got = next(s);
    }
    if (got == PROGRESS_END)
        tell_end(s);
    if (!s->out.silent)
        loop_timer_set(s->loop, &s->timer,
                       got == PROGRESS_MORE ? s->loop->now_us + 1 : next_due(s));
    source_out_release(&s->out);
}

/* Opening and closing */

static void free_source(struct source_out *o)
{
    struct file_source *s = (struct file_source *)o;
    struct picture *p;
    loop_timer_cancel(s->loop, &s->timer);
    while ((p = queue_pop(s)))
        picture_free(p);
    free(s->queue);
    mjpeg_free(s->mjpeg);
    if (s->fd >= 0)
        close(s->fd);
    for (size_t i = 0; i < s->n_names; i++)
        free(s->names[i]);
    free(s->names);
    free(s->shown);
    free(s);
}

static struct file_source *new_source(const char *shown, const struct source_options *o,
                                      struct loop *l, const struct source_sink *sink)
{
    struct file_source *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    source_out_init(&s->out, l, sink, free_source);
    s->loop = l;
    s->timer = (struct loop_timer){.on_due = on_due, .ctx = s};
    s->interval_us = 1e6 / (o->fps > 0 ? o->fps : FPS_DEFAULT);
    s->picture_bytes_max = o->picture_bytes_max;
    s->again = o->loop;
    s->start_us = -1;
    s->fd = -1;
    s->shown = strdup(shown);
    if (!s->shown) {
        free(s);
        return NULL;
    }
    return s;
}

static bool is_jpeg_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && *name != '.' && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"));
}

/* Takes name. */
static int add_name(struct file_source *s, char *name)
{
    char **grown = name ? realloc(s->names, (s->n_names + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(name);
        return -1;
    }
    s->names = grown;
    s->names[s->n_names++] = name;
    return 0;
}

static char *join(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int list_directory(struct file_source *s, const char *dir, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d)
        return err_errno(e, EXIT_UNREACHABLE, "cannot open directory %s", s->shown);
    int rc = 0;
    for (struct dirent *at; !rc && (at = readdir(d));)
        if (is_jpeg_name(at->d_name))
            rc = add_name(s, join(dir, at->d_name));
    closedir(d);
    if (rc)
        return err_set(e, EXIT_FAILED, "%s: out of memory", s->shown);
    if (!s->n_names)
        return err_set(e, EXIT_UNREACHABLE, "%s: no pictures (*.jpg, *.jpeg) in this directory",
                       s->shown);
    qsort(s->names, s->n_names, sizeof s->names[0], by_name);
    return 0;
}

static int use_stream(struct file_source *s, int fd, struct err *e)
{
    struct mjpeg_sink found = {.ctx = s, .on_picture = on_split, .on_broken = on_split_broken};
    s->mjpeg = mjpeg_new(s->picture_bytes_max, &found);
    if (!s->mjpeg)
        return err_set(e, EXIT_FAILED, "%s: out of memory", s->shown);
    off_t at = lseek(fd, 0, SEEK_CUR);
    s->fd_start = at > 0 ? at : 0;
    s->fd = fd;
    return 0;
}

/* Opening at once tells at once what is wrong; a picture is read when it is due. */
static int use_file(struct file_source *s, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, EXIT_UNREACHABLE, "cannot open %s", s->shown);
    int rc = 0;
    if (!is_jpeg_name(path + (strrchr(path, '/') ? strrchr(path, '/') + 1 - path : 0)))
        rc = use_stream(s, fd, e);
    else if (add_name(s, strdup(path)))
        rc = err_set(e, EXIT_FAILED, "%s: out of memory", s->shown);
    if (rc || s->fd < 0)
        close(fd);
    return rc;
}

static int use_path(struct file_source *s, const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(e, EXIT_UNREACHABLE, "cannot open %s", s->shown);
    if (S_ISDIR(st.st_mode))
        return list_directory(s, path, e);
    if (S_ISREG(st.st_mode))
        return use_file(s, path, e);
    return err_set(e, EXIT_UNREACHABLE,
                   "%s is neither a file nor a directory (a pipe: streamctl stream - < %s)",
                   s->shown, s->shown);
}

static int start(struct source **out, struct file_source *s, int rc)
{
    if (rc) {
        free_source(&s->out);
        return rc;
    }
    loop_timer_set(s->loop, &s->timer, s->loop->now_us);
    *out = &s->out.source;
    return 0;
}

static int open_file(struct source **out, const char *spec, const struct source_options *o,
                     struct loop *l, const struct source_sink *sink, struct err *e)
{
    char shown[256];
    source_display(spec, shown, sizeof shown);
    struct file_source *s = new_source(shown, o, l, sink);
    if (!s)
        return err_set(e, EXIT_FAILED, "%s: out of memory", shown);
    return start(out, s, use_path(s, spec, e));
}

int source_file_open_fd(struct source **out, int fd, const char *name,
                        const struct source_options *o, struct loop *l,
                        const struct source_sink *sink, struct err *e)
{
    struct file_source *s = new_source(name, o, l, sink);
    if (!s)
        return err_set(e, EXIT_FAILED, "%s: out of memory", name);
    return start(out, s, use_stream(s, fd, e));
}

/* What is there, and what was meant to be: a path, or a name that ends like a picture. */
static bool matches_file(const char *spec)
{
    static const char *const ends[] = {".jpg", ".jpeg", ".mjpeg", ".mjpg"};
    struct stat st;
    if (stat(spec, &st) == 0)
        return true;
    if (strstr(spec, "://"))
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t n = strlen(spec), n_end = strlen(ends[i]);
        if (n > n_end && !strcasecmp(spec + n - n_end, ends[i]))
            return true;
    }
    return strchr(spec, '/') != NULL;
}

const struct source_kind source_file = {
    .name = "file",
    .spec = "FILE.jpg, DIRECTORY, FILE.mjpeg",
    .matches = matches_file,
    .open = open_file,
};
