#include "cli/v4l2/find.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long number_of(const char *path)
{
    return strtol(path + strlen("/dev/video"), NULL, 10);
}

static int by_number(const void *a, const void *b)
{
    long x = number_of(a), y = number_of(b);
    return (x > y) - (x < y);
}

static bool is_node(const char *name)
{
    size_t n = strlen("video");
    if (strncmp(name, "video", n) != 0 || !name[n])
        return false;
    for (const char *c = name + n; *c; c++)
        if (!isdigit((unsigned char)*c))
            return false;
    return strlen(name) < 16;
}

size_t find_nodes(char paths[FIND_MAX][32])
{
    size_t n = 0;
    DIR *dev = opendir("/dev");
    for (struct dirent *f; dev && n < FIND_MAX && (f = readdir(dev));)
        if (is_node(f->d_name))
            snprintf(paths[n++], sizeof paths[0], "/dev/%.16s", f->d_name);
    if (dev)
        closedir(dev);
    qsort(paths, n, sizeof paths[0], by_number);
    return n;
}

static bool is_meant(const struct device *d, const struct camera_spec *s)
{
    switch (s->by) {
    case CAMERA_BY_CARD:
        return strcasestr(d->card, s->text);
    case CAMERA_BY_BUS:
        return strcmp(d->bus, s->text) == 0;
    case CAMERA_BY_SERIAL:
        return strcmp(d->serial, s->text) == 0;
    default:
        return true;
    }
}

static int not_found(const struct camera_spec *s, const struct err *why, struct err *e)
{
    static const char *const words[] = {[CAMERA_BY_CARD] = " whose name has",
                                        [CAMERA_BY_BUS] = " on the bus",
                                        [CAMERA_BY_SERIAL] = " with the serial number"};
    if (why->text[0])
        return err_set(e, EXIT_UNREACHABLE, "%s", why->text);
    if (s->by == CAMERA_ANY)
        return err_set(e, EXIT_UNREACHABLE, "there is no camera here (no /dev/video*)");
    return err_set(e, EXIT_UNREACHABLE,
                   "there is no camera%s \"%.100s\"; `streamctl devices` lists those there are",
                   words[s->by], s->text);
}

int find_open(struct device *d, const struct camera_spec *s, bool converts, struct err *e)
{
    char paths[FIND_MAX][32];
    struct err why = {{0}}, first = {{0}};
    if (s->by == CAMERA_BY_PATH)
        return device_open(d, s->text, converts, e);
    size_t n = find_nodes(paths);
    for (size_t i = 0; i < n; i++) {
        int rc = device_open(d, paths[i], converts, &why);
        if (rc == 0 && is_meant(d, s))
            return 0;
        if (rc == 0)
            device_close(d);
        else if (rc == -EXIT_UNREACHABLE && !first.text[0])
            first = why; /* it may be the one */
    }
    return not_found(s, &first, e);
}

/* How sure it is that d is the camera that `was` was; 0: it is not. */
static int likeness(const struct device *d, const struct device *was)
{
    if (strcmp(d->card, was->card) != 0 || strcmp(d->serial, was->serial) != 0)
        return 0;
    if (strcmp(d->bus, was->bus) == 0)
        return 3;
    return was->serial[0] ? 2 : 1;
}

int find_again(struct device *d, const struct device *was, struct err *e)
{
    char paths[FIND_MAX][32];
    const char *best = NULL;
    int best_likeness = 0;
    size_t n = find_nodes(paths);
    for (size_t i = 0; i < n; i++) {
        if (device_open(d, paths[i], false, NULL) < 0)
            continue;
        int now = likeness(d, was);
        device_close(d);
        if (now > best_likeness) {
            best_likeness = now;
            best = paths[i];
        }
    }
    /* A node that is not in /dev by that name (a link, a container's) is tried as it was. */
    int rc = device_open(d, best ? best : was->path, was->converts, e);
    if (rc < 0 || likeness(d, was))
        return rc;
    device_close(d);
    return err_set(e, EXIT_UNREACHABLE, "%s: another camera is there now", was->path);
}
