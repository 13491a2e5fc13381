/* device.h - one open V4L2 capture device: who it is, and its ioctls.
 *
 * Single- and multi-planar devices differ in the buffer type and in where a format's
 * numbers stand; nobody else has to know. With `converts` calls go through libv4l2, which
 * turns the odd formats of old cameras into four plain ones.
 * Source: the kernel's "Linux Media Infrastructure userspace API", part I.
 *
 * Ownership: the caller's storage; device_close as soon as the camera is gone: while a
 * descriptor is open, the camera comes back under another number.
 * Threads: one at a time.
 */
#pragma once

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct device {
    int fd; /* -1: closed */
    bool converts, is_mplane;
    bool streams; /* by mmap; else by read() */
    uint32_t buf_type;
    char path[256];
    char card[32], driver[16], bus[32]; /* as VIDIOC_QUERYCAP says */
    char serial[64];                    /* of a USB camera; "" when it has none */
};

/* Opens path, which must be a video capture device. 0; -EXIT_UNREACHABLE: it is not there,
 * busy, gone or not allowed; -EXIT_USAGE: it is something else. */
int device_open(struct device *d, const char *path, bool converts, struct err *e);
void device_close(struct device *d);

/* Is there a device of V4L2 at path, whatever its name is? */
bool device_is_node(const char *path);

/* ioctl, again when a signal came in between. -1 and errno. */
int device_ioctl(const struct device *d, unsigned long request, void *arg);

/* What VIDIOC_S_FMT and its like take, filled from plain numbers; and back. */
struct device_format {
    uint32_t fourcc;
    unsigned width, height;
    unsigned n_planes; /* 1 unless the planes lie in memories of their own */
    unsigned stride[VIDEO_MAX_PLANES], size_bytes[VIDEO_MAX_PLANES];
    bool full_range;
};
void device_format_read(const struct device *d, const struct v4l2_format *from,
                        struct device_format *to);
int device_set_format(const struct device *d, struct device_format *f); /* -1 and errno */
int device_get_format(const struct device *d, struct device_format *f);

/* "YUYV", "MJPG": the four letters of a format; '?' for what is not printable. */
struct fourcc_text {
    char text[5];
};
struct fourcc_text fourcc_text(uint32_t fourcc);

/* e: what errno (as left by the call) means for somebody with a camera. `doing` is the
 * middle of the sentence: "open", "start", "set the format of". Returns -EXIT_UNREACHABLE. */
int device_explain(const char *path, const char *doing, struct err *e);
