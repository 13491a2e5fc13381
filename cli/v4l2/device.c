#include "cli/v4l2/device.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libv4l2.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define VIDEO_MAJOR 81 /* Documentation/admin-guide/devices.txt */

int device_ioctl(const struct device *d, unsigned long request, void *arg)
{
    int rc;
    do
        rc = d->converts ? v4l2_ioctl(d->fd, request, arg) : ioctl(d->fd, request, arg);
    while (rc < 0 && errno == EINTR);
    return rc;
}

struct fourcc_text fourcc_text(uint32_t fourcc)
{
    struct fourcc_text t = {{0}};
    for (int i = 0; i < 4; i++) {
        char c = (char)(fourcc >> (8 * i) & 0x7f);
        t.text[i] = isprint((unsigned char)c) ? c : '?';
    }
    for (int i = 3; i > 0 && t.text[i] == ' '; i--)
        t.text[i] = 0;
    return t;
}

/* --- what went wrong, in the user's words --- */

static bool has_open(const char *pid, const char *path)
{
    char dir[64], link[400], target[PATH_MAX];
    bool found = false;
    snprintf(dir, sizeof dir, "/proc/%.20s/fd", pid);
    DIR *fds = opendir(dir);
    for (struct dirent *f; fds && !found && (f = readdir(fds));) {
        snprintf(link, sizeof link, "%s/%s", dir, f->d_name);
        ssize_t n = readlink(link, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        found = strcmp(target, path) == 0;
    }
    if (fds)
        closedir(fds);
    return found;
}

static void read_line(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "re");
    out[0] = 0;
    if (f && fgets(out, (int)cap, f))
        out[strcspn(out, "\n")] = 0;
    if (f)
        fclose(f);
}

/* " by NAME (process N)", or "" where /proc does not tell: other users' are hidden. */
static void find_holder(const char *path, char *out, size_t cap)
{
    char real[PATH_MAX], comm[64], file[64];
    DIR *processes = opendir("/proc");
    out[0] = 0;
    if (!realpath(path, real))
        snprintf(real, sizeof real, "%s", path);
    for (struct dirent *p; processes && !out[0] && (p = readdir(processes));) {
        if (!isdigit((unsigned char)p->d_name[0]) || strtol(p->d_name, NULL, 10) == getpid() ||
            !has_open(p->d_name, real))
            continue;
        snprintf(file, sizeof file, "/proc/%.20s/comm", p->d_name);
        read_line(file, comm, sizeof comm);
        snprintf(out, cap, " by %s (process %.20s)", comm[0] ? comm : "another program", p->d_name);
    }
    if (processes)
        closedir(processes);
}

int device_explain(const char *path, const char *doing, struct err *e)
{
    char holder[128];
    if (!e) /* nobody wants to know, and looking for the holder takes a while */
        return -EXIT_UNREACHABLE;
    switch (errno) {
    case EBUSY:
        find_holder(path, holder, sizeof holder);
        return err_set(e, EXIT_UNREACHABLE, "%s: the camera is in use%s; end that first", path,
                       holder[0] ? holder : " by another program");
    case EACCES:
    case EPERM:
        return err_set(e, EXIT_UNREACHABLE,
                       "%s: no permission; be in the group video (sudo usermod -aG video $USER, "
                       "then log in again)",
                       path);
    case ENOSPC:
        return err_set(
            e, EXIT_UNREACHABLE,
            "%s: not enough USB bandwidth (it is not about the disk); ask for a smaller size, a "
            "lower rate or format=mjpg, or use a port of another USB controller",
            path);
    case ENOENT:
        return err_set(e, EXIT_UNREACHABLE,
                       "%s: no such device; `streamctl devices` lists the cameras", path);
    case ENODEV:
    case ENXIO:
        return err_set(e, EXIT_UNREACHABLE, "%s: the camera is gone", path);
    default:
        return err_errno(e, EXIT_UNREACHABLE, "%s: cannot %s the camera", path, doing);
    }
}

/* --- opening --- */

static int check_capable(struct device *d, const struct v4l2_capability *c, struct err *e)
{
    uint32_t caps = c->capabilities & V4L2_CAP_DEVICE_CAPS ? c->device_caps : c->capabilities;
    const char *kind =
        caps & (V4L2_CAP_META_CAPTURE | V4L2_CAP_META_OUTPUT)           ? "only metadata"
        : caps & (V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE)       ? "a video converter"
        : caps & (V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_VIDEO_OUTPUT_MPLANE) ? "a video output"
                                                                        : "no video";
    d->is_mplane = !(caps & V4L2_CAP_VIDEO_CAPTURE) && caps & V4L2_CAP_VIDEO_CAPTURE_MPLANE;
    d->streams = caps & V4L2_CAP_STREAMING;
    d->buf_type = d->is_mplane ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (caps & V4L2_CAP_VIDEO_CAPTURE || d->is_mplane)
        return 0;
    return err_set(
        e, EXIT_USAGE,
        "%s: not a capture device: \"%.32s\" has %s there; `streamctl devices` lists the cameras",
        d->path, (const char *)c->card, kind);
}

/* The serial number of the USB device that the node's interface belongs to. */
static void read_serial(struct device *d, dev_t node)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/dev/char/%u:%u/device/../serial", major(node), minor(node));
    read_line(path, d->serial, sizeof d->serial);
}

static bool is_video(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && major(st->st_rdev) == VIDEO_MAJOR;
}

bool device_is_node(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && is_video(&st);
}

static int identify(struct device *d, struct err *e)
{
    struct v4l2_capability c = {.capabilities = 0};
    struct stat st;
    if (fstat(d->fd, &st) < 0 || !is_video(&st))
        return err_set(e, EXIT_USAGE, "%s: not a camera", d->path);
    if (device_ioctl(d, VIDIOC_QUERYCAP, &c) < 0)
        return device_explain(d->path, "ask", e);
    snprintf(d->card, sizeof d->card, "%.31s", (const char *)c.card);
    snprintf(d->driver, sizeof d->driver, "%.15s", (const char *)c.driver);
    snprintf(d->bus, sizeof d->bus, "%.31s", (const char *)c.bus_info);
    read_serial(d, st.st_rdev);
    return check_capable(d, &c, e);
}

/* libv4l2 writes to stderr of what is no error: nothing there yet. */
static void quieten_libv4l2(void)
{
    if (!v4l2_log_file)
        v4l2_log_file = fopen("/dev/null", "we");
}

int device_open(struct device *d, const char *path, bool converts, struct err *e)
{
    *d = (struct device){.fd = -1};
    if (snprintf(d->path, sizeof d->path, "%s", path) >= (int)sizeof d->path)
        return err_set(e, EXIT_USAGE, "%.80s...: too long for a path of a camera", path);
    d->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (d->fd < 0)
        return device_explain(path, "open", e);
    int rc = identify(d, e);
    if (converts)
        quieten_libv4l2();
    if (rc == 0 && converts && v4l2_fd_open(d->fd, 0) < 0)
        rc = device_explain(path, "convert the pictures of", e);
    else
        d->converts = rc == 0 && converts;
    if (rc < 0)
        device_close(d);
    return rc;
}

void device_close(struct device *d)
{
    if (d->fd < 0)
        return;
    if (d->converts)
        v4l2_close(d->fd);
    else
        close(d->fd);
    d->fd = -1;
}

/* --- formats --- */

/* What the driver says, else what its colour space means (videodev2.h,
 * V4L2_MAP_QUANTIZATION_DEFAULT). */
static bool is_full_range(uint32_t quantization, uint32_t colorspace)
{
    if (quantization == V4L2_QUANTIZATION_DEFAULT)
        return colorspace == V4L2_COLORSPACE_JPEG;
    return quantization == V4L2_QUANTIZATION_FULL_RANGE;
}

void device_format_read(const struct device *d, const struct v4l2_format *from,
                        struct device_format *to)
{
    const struct v4l2_pix_format_mplane *m = &from->fmt.pix_mp;
    const struct v4l2_pix_format *p = &from->fmt.pix;
    *to = (struct device_format){.fourcc = d->is_mplane ? m->pixelformat : p->pixelformat,
                                 .width = d->is_mplane ? m->width : p->width,
                                 .height = d->is_mplane ? m->height : p->height,
                                 .n_planes = 1};
    to->full_range = d->is_mplane ? is_full_range(m->quantization, m->colorspace)
                                  : is_full_range(p->quantization, p->colorspace);
    if (!d->is_mplane) {
        to->stride[0] = p->bytesperline;
        to->size_bytes[0] = p->sizeimage;
        return;
    }
    to->n_planes = m->num_planes < VIDEO_MAX_PLANES ? m->num_planes : VIDEO_MAX_PLANES;
    for (unsigned i = 0; i < to->n_planes; i++) {
        to->stride[i] = m->plane_fmt[i].bytesperline;
        to->size_bytes[i] = m->plane_fmt[i].sizeimage;
    }
}

int device_get_format(const struct device *d, struct device_format *f)
{
    struct v4l2_format v = {.type = d->buf_type};
    if (device_ioctl(d, VIDIOC_G_FMT, &v) < 0)
        return -1;
    device_format_read(d, &v, f);
    return 0;
}

int device_set_format(const struct device *d, struct device_format *f)
{
    struct v4l2_format v = {.type = d->buf_type};
    if (d->is_mplane) {
        v.fmt.pix_mp.pixelformat = f->fourcc;
        v.fmt.pix_mp.width = f->width;
        v.fmt.pix_mp.height = f->height;
        v.fmt.pix_mp.field = V4L2_FIELD_ANY;
    } else {
        v.fmt.pix.pixelformat = f->fourcc;
        v.fmt.pix.width = f->width;
        v.fmt.pix.height = f->height;
        v.fmt.pix.field = V4L2_FIELD_ANY;
    }
    if (device_ioctl(d, VIDIOC_S_FMT, &v) < 0)
        return -1;
    device_format_read(d, &v, f);
    return 0;
}
