/* v4l2shim - a camera that is not there, for tests on machines without drivers.
 *
 * Loaded by LD_PRELOAD it takes open, ioctl, mmap, read, close and stat of one path and plays a
 * V4L2 capture device; everything else goes to the kernel. The device's descriptor is a timerfd
 * that ticks at the frame rate, so poll and epoll work on it as they are; the buffers lie in a
 * memfd, so mmap does too. It is a stand-in: what real drivers do is tested in tests/vm.
 *
 *   V4L2SHIM_DEV     path, default /dev/video0
 *   V4L2SHIM_FRAME   file with the bytes of each frame; without one MJPG frames are garbage and
 *                    raw ones grey
 *   V4L2SHIM_CAPS    "stream" (default), "read", "mplane", "output", "meta"
 *   V4L2SHIM_FORMATS "MJPG,YUYV" (default) or others of four letters
 *   V4L2SHIM_STAMP   "exposure" (default), "end", "ahead", "none"
 *   V4L2SHIM_FAULT   kind@N,... at the N-th frame of each stream: error_flag, short, empty, huge,
 *                    padded, gap, burst, eio, enodev, stall
 *   V4L2SHIM_ERROR   call:errno,... for example open:EBUSY, streamon:ENOSPC, reqbufs:ENOMEM
 *   V4L2SHIM_SLOW_MS S_FMT and STREAMON take so long
 *   V4L2SHIM_ENCODE_MS so much longer does libjpeg-turbo take to encode planes
 *   V4L2SHIM_GONE    file: while it exists the device cannot be opened (ENOENT)
 *
 * One device, one opener at a time. Not seen by statically linked programs.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <time.h>
#include <turbojpeg.h>
#include <unistd.h>

#define BUFFERS_MAX 8
#define FRAME_MAX   (1u << 22)

static struct {
    int fd, memory_fd; /* -1: closed */
    bool on;
    uint32_t sequence;
    unsigned width, height, fps;
    uint32_t fourcc;
    unsigned n_buffers, n_queued;
    uint32_t queue[BUFFERS_MAX];
    size_t buffer_bytes;
    uint8_t *memory; /* our mapping of all buffers */
    uint8_t *frame;
    size_t frame_bytes;
} shim = {.fd = -1, .memory_fd = -1};

/* --- what it is told by its environment --- */

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static bool is_set_to(const char *name, const char *value, const char *otherwise)
{
    return strcmp(setting(name, otherwise), value) == 0;
}

/* Is "kind@N" among the faults, with N the frame that comes now? */
static bool has_fault(const char *kind)
{
    size_t n = strlen(kind);
    const char *at = setting("V4L2SHIM_FAULT", "");
    for (; (at = strstr(at, kind)); at += n)
        if (at[n] == '@' && strtoul(at + n + 1, NULL, 10) == shim.sequence)
            return true;
    return false;
}

/* -1 and errno when that call is to fail. */
static int fail_if_told(const char *call)
{
    static const struct {
        const char *name;
        int value;
    } errors[] = {{"EBUSY", EBUSY},   {"EACCES", EACCES}, {"ENOSPC", ENOSPC}, {"ENOMEM", ENOMEM},
                  {"EINVAL", EINVAL}, {"EIO", EIO},       {"ENODEV", ENODEV}, {"ENOTTY", ENOTTY}};
    size_t n = strlen(call);
    const char *at = setting("V4L2SHIM_ERROR", "");
    for (; (at = strstr(at, call)); at += n)
        for (size_t i = 0; at[n] == ':' && i < sizeof errors / sizeof errors[0]; i++)
            if (strncmp(at + n + 1, errors[i].name, strlen(errors[i].name)) == 0) {
                errno = errors[i].value;
                return -1;
            }
    return 0;
}

static void sleep_for(const char *milliseconds)
{
    long ms = strtol(setting(milliseconds, "0"), NULL, 10);
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static bool is_device(const char *path)
{
    return path && strcmp(path, setting("V4L2SHIM_DEV", "/dev/video0")) == 0;
}

/* The kernel's own calls: the C library's are the ones we stand in front of. */
static long kernel(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (r < 0 && r > -4096) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

/* --- formats --- */

static uint32_t format_at(unsigned index)
{
    const char *list = setting("V4L2SHIM_FORMATS", "MJPG,YUYV") + (size_t)index * 5;
    if (index && strlen(setting("V4L2SHIM_FORMATS", "MJPG,YUYV")) < (size_t)index * 5)
        return 0;
    return v4l2_fourcc((uint32_t)list[0], (uint32_t)list[1], (uint32_t)list[2], (uint32_t)list[3]);
}

static bool is_mplane(void)
{
    return is_set_to("V4L2SHIM_CAPS", "mplane", "stream");
}

static size_t picture_bytes(void)
{
    size_t pixels = (size_t)shim.width * shim.height;
    switch (shim.fourcc) {
    case V4L2_PIX_FMT_NV12:
    case V4L2_PIX_FMT_YUV420:
        return pixels * 3 / 2;
    case V4L2_PIX_FMT_GREY:
        return pixels;
    case V4L2_PIX_FMT_RGB24:
        return pixels * 3;
    default:
        return pixels * 2;
    }
}

/* Adjusts, as drivers do, and does not refuse. */
static void take_format(struct v4l2_format *f, bool apply)
{
    bool m = is_mplane(), known = false;
    uint32_t fourcc = m ? f->fmt.pix_mp.pixelformat : f->fmt.pix.pixelformat;
    unsigned w = m ? f->fmt.pix_mp.width : f->fmt.pix.width;
    unsigned h = m ? f->fmt.pix_mp.height : f->fmt.pix.height;
    for (unsigned i = 0; format_at(i); i++)
        known = known || format_at(i) == fourcc;
    if (apply) {
        shim.fourcc = known ? fourcc : format_at(0);
        shim.width = w < 160 ? 160 : w > 1920 ? 1920 : w & ~1u;
        shim.height = h < 120 ? 120 : h > 1080 ? 1080 : h & ~1u;
    }
    uint32_t stride = shim.fourcc == V4L2_PIX_FMT_YUYV    ? shim.width * 2
                      : shim.fourcc == V4L2_PIX_FMT_MJPEG ? 0
                                                          : shim.width;
    memset(&f->fmt, 0, sizeof f->fmt);
    if (m) {
        f->fmt.pix_mp.pixelformat = shim.fourcc;
        f->fmt.pix_mp.width = shim.width;
        f->fmt.pix_mp.height = shim.height;
        f->fmt.pix_mp.num_planes = 1;
        f->fmt.pix_mp.plane_fmt[0].bytesperline = stride;
        f->fmt.pix_mp.plane_fmt[0].sizeimage = (uint32_t)picture_bytes();
        return;
    }
    f->fmt.pix.pixelformat = shim.fourcc;
    f->fmt.pix.width = shim.width;
    f->fmt.pix.height = shim.height;
    f->fmt.pix.bytesperline = stride;
    f->fmt.pix.sizeimage = (uint32_t)picture_bytes();
}

static int query_capabilities(struct v4l2_capability *c)
{
    *c = (struct v4l2_capability){.version = 0x60100};
    strcpy((char *)c->driver, "shim");
    strcpy((char *)c->card, "shim camera");
    strcpy((char *)c->bus_info, "platform:shim");
    c->device_caps = is_mplane()                                ? V4L2_CAP_VIDEO_CAPTURE_MPLANE
                     : is_set_to("V4L2SHIM_CAPS", "output", "") ? V4L2_CAP_VIDEO_OUTPUT
                     : is_set_to("V4L2SHIM_CAPS", "meta", "")   ? V4L2_CAP_META_CAPTURE
                                                                : V4L2_CAP_VIDEO_CAPTURE;
    c->device_caps |=
        is_set_to("V4L2SHIM_CAPS", "read", "") ? V4L2_CAP_READWRITE : V4L2_CAP_STREAMING;
    c->capabilities = c->device_caps | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static int no_more(void)
{
    errno = EINVAL;
    return -1;
}

static int list_size(struct v4l2_frmsizeenum *s)
{
    static const unsigned sizes[][2] = {{320, 240}, {640, 480}, {1280, 720}};
    if (s->index >= sizeof sizes / sizeof sizes[0])
        return no_more();
    s->type = V4L2_FRMSIZE_TYPE_DISCRETE;
    s->discrete.width = sizes[s->index][0];
    s->discrete.height = sizes[s->index][1];
    return 0;
}

static int list_rate(struct v4l2_frmivalenum *s)
{
    static const unsigned rates[] = {60, 30, 15, 5};
    if (s->index >= sizeof rates / sizeof rates[0])
        return no_more();
    s->type = V4L2_FRMIVAL_TYPE_DISCRETE;
    s->discrete = (struct v4l2_fract){1, rates[s->index]};
    return 0;
}

static int take_rate(struct v4l2_streamparm *s, bool apply)
{
    struct v4l2_fract *t = &s->parm.capture.timeperframe;
    if (apply && t->numerator && t->denominator)
        shim.fps = t->denominator / t->numerator;
    shim.fps = shim.fps < 1 ? 1 : shim.fps > 100 ? 100 : shim.fps;
    memset(&s->parm, 0, sizeof s->parm);
    s->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    *t = (struct v4l2_fract){1, shim.fps};
    return 0;
}

/* --- buffers --- */

static void free_buffers(void)
{
    if (shim.memory)
        munmap(shim.memory, shim.buffer_bytes * shim.n_buffers);
    if (shim.memory_fd >= 0)
        kernel(SYS_close, shim.memory_fd, 0, 0, 0, 0, 0);
    shim.memory = NULL;
    shim.memory_fd = -1;
    shim.n_buffers = shim.n_queued = 0;
}

static int make_buffers(struct v4l2_requestbuffers *r)
{
    free_buffers();
    if (r->count == 0)
        return 0;
    r->count = r->count > BUFFERS_MAX ? BUFFERS_MAX : r->count;
    shim.buffer_bytes = (picture_bytes() + 4095) & ~(size_t)4095;
    shim.memory_fd = memfd_create("v4l2shim", MFD_CLOEXEC);
    if (shim.memory_fd < 0 || ftruncate(shim.memory_fd, (off_t)(shim.buffer_bytes * r->count)) < 0)
        return -1;
    shim.memory = (uint8_t *)kernel(SYS_mmap, 0, (long)(shim.buffer_bytes * r->count),
                                    PROT_READ | PROT_WRITE, MAP_SHARED, shim.memory_fd, 0);
    shim.n_buffers = r->count;
    return 0;
}

static int describe_buffer(struct v4l2_buffer *b)
{
    if (b->index >= shim.n_buffers)
        return no_more();
    uint32_t offset = (uint32_t)(b->index * shim.buffer_bytes);
    if (is_mplane()) {
        b->length = 1;
        b->m.planes[0].length = (uint32_t)shim.buffer_bytes;
        b->m.planes[0].m.mem_offset = offset;
    } else {
        b->length = (uint32_t)shim.buffer_bytes;
        b->m.offset = offset;
    }
    return 0;
}

static int queue_buffer(const struct v4l2_buffer *b)
{
    if (b->index >= shim.n_buffers || shim.n_queued == BUFFERS_MAX)
        return no_more();
    shim.queue[shim.n_queued++] = b->index;
    return 0;
}

static int switch_stream(bool on)
{
    struct itimerspec t = {.it_value = {0}};
    if (on)
        sleep_for("V4L2SHIM_SLOW_MS");
    if (on && fail_if_told("streamon") < 0)
        return -1;
    shim.on = on;
    if (on) {
        long ns = shim.fps > 1 ? 1000000000L / (long)shim.fps : 999999999L;
        t.it_value.tv_nsec = t.it_interval.tv_nsec = ns;
        shim.sequence = 0;
    } else {
        shim.n_queued = 0;
    }
    return timerfd_settime(shim.fd, 0, &t, NULL);
}

/* --- frames --- */

/* Puts the frame's bytes there; gives how many. */
static size_t fill(uint8_t *to, size_t room)
{
    static const char garbage[] = "this is no JPEG";
    if (shim.frame) {
        size_t n = shim.frame_bytes < room ? shim.frame_bytes : room;
        memcpy(to, shim.frame, n);
        if (!has_fault("padded"))
            return n;
        memset(to + n, 0, room - n);
        return room;
    }
    if (shim.fourcc == V4L2_PIX_FMT_MJPEG) {
        memcpy(to, garbage, sizeof garbage);
        return sizeof garbage;
    }
    memset(to, 16 + (int)(shim.sequence % 200), picture_bytes());
    return picture_bytes();
}

static void stamp(struct v4l2_buffer *b)
{
    const char *kind = setting("V4L2SHIM_STAMP", "exposure");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    b->timestamp.tv_sec = now.tv_sec + (strcmp(kind, "ahead") == 0 ? 10 : 0);
    b->timestamp.tv_usec = now.tv_nsec / 1000;
    b->flags = V4L2_BUF_FLAG_MAPPED;
    if (strcmp(kind, "none") != 0)
        b->flags |= V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    if (strcmp(kind, "exposure") == 0)
        b->flags |= V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
}

/* Waits for nothing: EAGAIN when no frame is due yet. */
static int wait_for_tick(void)
{
    uint64_t ticks;
    if (has_fault("burst") && shim.n_queued) /* two at once */
        return 0;
    if (kernel(SYS_read, shim.fd, (long)&ticks, sizeof ticks, 0, 0, 0) != sizeof ticks)
        return -1;
    shim.sequence += has_fault("gap") ? 3 : 0;
    return 0;
}

static int fail_at_frame(void)
{
    static const struct {
        const char *kind;
        int error;
    } rows[] = {{"enodev", ENODEV}, {"eio", EIO}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (has_fault(rows[i].kind)) {
            errno = rows[i].error;
            return -1;
        }
    if (!has_fault("stall"))
        return 0;
    struct itimerspec never = {.it_value = {0}};
    timerfd_settime(shim.fd, 0, &never, NULL);
    errno = EAGAIN;
    return -1;
}

static int take_buffer(struct v4l2_buffer *b)
{
    if (!shim.on)
        return no_more();
    if (fail_at_frame() < 0 || wait_for_tick() < 0)
        return -1;
    if (!shim.n_queued) { /* nowhere to put it: the camera does not wait */
        shim.sequence++;
        errno = EAGAIN;
        return -1;
    }
    b->index = shim.queue[0];
    memmove(shim.queue, shim.queue + 1, --shim.n_queued * sizeof shim.queue[0]);
    size_t n = fill(shim.memory + b->index * shim.buffer_bytes, shim.buffer_bytes);
    stamp(b);
    if (has_fault("error_flag"))
        b->flags |= V4L2_BUF_FLAG_ERROR;
    n = has_fault("short") ? n / 2 : has_fault("empty") ? 0 : n;
    b->sequence = shim.sequence++;
    b->bytesused = (uint32_t)n;
    if (is_mplane())
        b->m.planes[0].bytesused = (uint32_t)n;
    return describe_buffer(b);
}

/* read(): a whole frame at a time. */
static ssize_t read_frame(void *to, size_t room)
{
    if (fail_at_frame() < 0 || wait_for_tick() < 0)
        return -1;
    size_t n = fill(to, room);
    n = has_fault("short") ? n / 2 : has_fault("empty") ? 0 : n;
    shim.sequence++;
    return (ssize_t)n;
}

/* --- the calls --- */

static int device_call(unsigned long request, void *arg)
{
    switch ((unsigned)request) {
    case VIDIOC_QUERYCAP:
        return query_capabilities(arg);
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *f = arg;
        f->pixelformat = format_at(f->index);
        return f->pixelformat ? 0 : no_more();
    }
    case VIDIOC_ENUM_FRAMESIZES:
        return list_size(arg);
    case VIDIOC_ENUM_FRAMEINTERVALS:
        return list_rate(arg);
    case VIDIOC_G_FMT:
    case VIDIOC_TRY_FMT:
        take_format(arg, false);
        return 0;
    case VIDIOC_S_FMT:
        if (fail_if_told("s_fmt") < 0)
            return -1;
        sleep_for("V4L2SHIM_SLOW_MS");
        take_format(arg, true);
        return 0;
    case VIDIOC_G_PARM:
        return take_rate(arg, false);
    case VIDIOC_S_PARM:
        return take_rate(arg, true);
    case VIDIOC_REQBUFS:
        return fail_if_told("reqbufs") < 0 ? -1 : make_buffers(arg);
    case VIDIOC_QUERYBUF:
        return describe_buffer(arg);
    case VIDIOC_QBUF:
        return fail_if_told("qbuf") < 0 ? -1 : queue_buffer(arg);
    case VIDIOC_DQBUF:
        return take_buffer(arg);
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF:
        return switch_stream((unsigned)request == VIDIOC_STREAMON);
    }
    errno = ENOTTY;
    return -1;
}

static int device_open(int flags)
{
    const char *file = getenv("V4L2SHIM_FRAME"), *gone = getenv("V4L2SHIM_GONE");
    if (gone && access(gone, F_OK) == 0) {
        errno = ENOENT;
        return -1;
    }
    if (fail_if_told("open") < 0)
        return -1;
    if (shim.fd >= 0) {
        errno = EBUSY;
        return -1;
    }
    shim.fd = timerfd_create(CLOCK_MONOTONIC, (flags & O_NONBLOCK ? TFD_NONBLOCK : 0) |
                                                  (flags & O_CLOEXEC ? TFD_CLOEXEC : 0));
    shim.on = false;
    shim.width = 640;
    shim.height = 480;
    shim.fps = 30;
    shim.fourcc = format_at(0);
    if (is_set_to("V4L2SHIM_CAPS", "read", "stream")) /* as the kernel's do when they are polled */
        switch_stream(true);
    FILE *f = file ? fopen(file, "rb") : NULL;
    if (f && !shim.frame && (shim.frame = malloc(FRAME_MAX)))
        shim.frame_bytes = fread(shim.frame, 1, FRAME_MAX, f);
    if (f)
        fclose(f);
    return shim.fd;
}

static int device_close(int fd)
{
    free_buffers();
    free(shim.frame);
    shim.frame = NULL;
    shim.fd = -1;
    return (int)kernel(SYS_close, fd, 0, 0, 0, 0, 0);
}

static bool is_ours(int fd)
{
    return fd >= 0 && fd == shim.fd;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return is_device(path) ? device_open(flags)
                           : (int)kernel(SYS_openat, AT_FDCWD, (long)path, flags, mode, 0, 0);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *arg = va_arg(rest, void *);
    va_end(rest);
    return is_ours(fd) ? device_call(request, arg)
                       : (int)kernel(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    return (void *)kernel(SYS_mmap, (long)at, (long)n, protection, flags,
                          is_ours(fd) ? shim.memory_fd : fd, offset);
}

ssize_t read(int fd, void *to, size_t n)
{
    return is_ours(fd) ? read_frame(to, n)
                       : (ssize_t)kernel(SYS_read, fd, (long)to, (long)n, 0, 0, 0);
}

int close(int fd)
{
    return is_ours(fd) ? device_close(fd) : (int)kernel(SYS_close, fd, 0, 0, 0, 0, 0);
}

static int device_stat(struct stat *st)
{
    *st = (struct stat){.st_mode = S_IFCHR | 0660, .st_rdev = makedev(81, 0)};
    return 0;
}

int stat(const char *path, struct stat *st)
{
    return is_device(path) ? device_stat(st)
                           : (int)kernel(SYS_newfstatat, AT_FDCWD, (long)path, (long)st, 0, 0, 0);
}

int fstat(int fd, struct stat *st)
{
    return is_ours(fd) ? device_stat(st) : (int)kernel(SYS_fstat, fd, (long)st, 0, 0, 0, 0);
}

/* Of libjpeg-turbo. */
DLLEXPORT int tjCompressFromYUVPlanes(tjhandle handle, const unsigned char **planes, int width,
                                      const int *strides, int height, int subsampling,
                                      unsigned char **jpeg, unsigned long *n_bytes, int quality,
                                      int flags)
{
    int (*real)(tjhandle, const unsigned char **, int, const int *, int, int, unsigned char **,
                unsigned long *, int, int);
    *(void **)&real = dlsym(RTLD_NEXT, "tjCompressFromYUVPlanes");
    sleep_for("V4L2SHIM_ENCODE_MS");
    return real(handle, planes, width, strides, height, subsampling, jpeg, n_bytes, quality, flags);
}
