#include "loadgen/outputs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loadgen/report_json.h"

#define OUTPUT_BYTES_MAX ((size_t)1 << 30)

static int write_all(int fd, const struct text *t)
{
    size_t done = 0;
    while (done < t->len) {
        ssize_t n = write(fd, t->data + done, t->len - done);
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

static bool is_plain_file(const char *path)
{
    return access(path, F_OK) < 0 || strncmp(path, "/dev/", 5) != 0;
}

/* Beside its place first, so that nobody finds half of it there. */
static int write_and_rename(const char *path, const struct text *t, struct err *e)
{
    char beside[4096];
    if (snprintf(beside, sizeof beside, "%s.part", path) >= (int)sizeof beside)
        return err_set(e, EXIT_FAILED, "%.100s...: the name is too long", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_errno(e, EXIT_FAILED, "cannot write %s", path);
    int failed = write_all(fd, t) < 0;
    failed |= close(fd) < 0;
    if (!failed && rename(beside, path) == 0)
        return 0;
    int rc = err_errno(e, EXIT_FAILED, "cannot write %s", path);
    unlink(beside);
    return rc;
}

static int write_through(const char *path, int flags, const struct text *t, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);
    int failed = fd < 0 || write_all(fd, t) < 0;
    int rc = failed ? err_errno(e, EXIT_FAILED, "cannot write %s", path) : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

int outputs_write_file(const char *path, const struct text *t, struct err *e)
{
    if (t->cut)
        return err_set(e, EXIT_FAILED, "%s: too large, or out of memory", path);
    if (strcmp(path, "-") == 0)
        return write_all(STDOUT_FILENO, t) < 0
                   ? err_errno(e, EXIT_FAILED, "cannot write to standard output")
                   : 0;
    return is_plain_file(path) ? write_and_rename(path, t, e) : write_through(path, 0, t, e);
}

static int write_one(const char *path, void (*write_it)(struct text *, const struct report *),
                     const struct report *r, struct err *e)
{
    struct text t = text_heap(OUTPUT_BYTES_MAX);
    write_it(&t, r);
    int rc = outputs_write_file(path, &t, e);
    text_deinit(&t);
    return rc;
}

static int append_step_summary(const struct report *r, struct err *e)
{
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    if (!path || !path[0])
        return 0;
    struct text t = text_heap(OUTPUT_BYTES_MAX);
    markdown_write(&t, r);
    int rc = write_through(path, O_CREAT | O_APPEND, &t, e);
    text_deinit(&t);
    return rc;
}

/* Workflow commands are read from either stream; standard output may be taken. */
static void annotate(const struct report *r, bool stdout_taken)
{
    const char *actions = getenv("GITHUB_ACTIONS");
    if (!actions || strcmp(actions, "true") != 0)
        return;
    struct text t = text_heap(OUTPUT_BYTES_MAX);
    annotations_write(&t, r);
    if (write_all(stdout_taken ? STDERR_FILENO : STDOUT_FILENO, &t) < 0)
        perror("annotations");
    text_deinit(&t);
}

int outputs_write(const struct report *r, const struct settings *set, struct err *e)
{
    const struct {
        const char *path;
        void (*write_it)(struct text *out, const struct report *r);
    } outputs[] = {{set->json, report_json_write},  {set->junit, junit_write},
                   {set->markdown, markdown_write}, {set->csv, csv_write},
                   {set->prom, prom_write},         {set->hdr, hdr_write},
                   {set->html, html_write}};
    bool stdout_taken = false;
    int rc = 0;
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        if (!outputs[i].path)
            continue;
        stdout_taken |= strcmp(outputs[i].path, "-") == 0;
        int one = write_one(outputs[i].path, outputs[i].write_it, r, rc == 0 ? e : NULL);
        rc = rc < 0 ? rc : one;
    }
    annotate(r, stdout_taken);
    int summary = append_step_summary(r, rc == 0 ? e : NULL);
    return rc < 0 ? rc : summary;
}
