/* A camera of this machine. It is in one of three states: capturing, waiting for its signal
 * (HDMI), or gone and looked for. Whatever goes wrong, the descriptor is closed at once and the
 * camera looked for; whether that takes a millisecond or a week is no other state. */
#include "cli/source.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cli/source_out.h"
#include "cli/v4l2/camera.h"
#include "cli/v4l2/capture.h"
#include "cli/v4l2/hotplug.h"
#include "common/clock.h"

#define LOOK_EVERY_US   500000u
#define LOOK_SOON_US    20000u /* after news of the kernel: its node is being made */
#define SIGNAL_EVERY_US 1000000u
#define QUICK_FAILURES  3 /* reopened at once that often without a picture */

struct v4l2_source {
    struct source_out out; /* first */
    struct loop *loop;
    struct camera_spec spec;
    struct camera_options camera_options;
    struct capture_options capture_options;
    bool reconnect;
    uint64_t stall_us;

    enum { V4L2_GONE, V4L2_NO_SIGNAL, V4L2_CAPTURING } state;
    struct camera camera;
    struct device was; /* who it is, for when it is gone */
    struct capture capture;
    struct loop_watch watch;
    struct loop_timer stall, again; /* again: look for it, or for its signal */
    struct hotplug hotplug;
    bool told_facts;
    char told[sizeof((struct err *)0)->text]; /* the last reason why it cannot be opened */
    unsigned n_failed;                        /* starts in a row without a picture */
};

/* Opening a camera takes its time: the turn's clock may be a second old. */
static void look_later(struct v4l2_source *s, uint64_t wait_us)
{
    loop_timer_set(s->loop, &s->again, clock_now_us() + wait_us);
}

static void watch_for_stall(struct v4l2_source *s)
{
    if (s->stall_us)
        loop_timer_set(s->loop, &s->stall, clock_now_us() + s->stall_us);
}

/* --- losing it --- */

/* At once: while a descriptor is open, the camera comes back under another number. */
static void let_go(struct v4l2_source *s)
{
    loop_timer_cancel(s->loop, &s->stall);
    loop_watch_remove(s->loop, &s->watch);
    capture_stop(&s->capture);
    camera_close(&s->camera);
    s->state = V4L2_GONE;
    s->told_facts = false;
}

static void lose(struct v4l2_source *s, bool reopen_now, const struct err *why)
{
    let_go(s);
    if (!s->reconnect) {
        source_out_end(&s->out, -EXIT_FAILED, why);
        return;
    }
    look_later(s, reopen_now && ++s->n_failed <= QUICK_FAILURES ? 0 : LOOK_EVERY_US);
    source_out_note(&s->out, why->text);
}

static void lose_by_errno(struct v4l2_source *s)
{
    struct err why;
    bool gone = errno == ENODEV || errno == ENXIO;
    if (gone)
        err_set(&why, EXIT_FAILED, "%s (%s) was unplugged; waiting until it is back", s->was.card,
                s->was.path);
    else
        err_set(&why, EXIT_FAILED, "%s (%s) failed: %s; opening it again", s->was.card, s->was.path,
                strerror(errno));
    lose(s, !gone, &why);
}

static void on_stall(void *ctx)
{
    struct v4l2_source *s = ctx;
    struct err why;
    source_out_hold(&s->out);
    err_set(&why, EXIT_FAILED, "%s (%s) gave no picture for %.1f s; opening it again", s->was.card,
            s->was.path, (double)s->stall_us / 1e6);
    lose(s, true, &why);
    source_out_release(&s->out);
}

/* --- pictures --- */

static void tell_facts(struct v4l2_source *s, const struct capture_news *news)
{
    static const char *const stamps[] = {[CAPTURE_STAMP_OURS] = "arrival",
                                         [CAPTURE_STAMP_END] = "end",
                                         [CAPTURE_STAMP_EXPOSURE] = "exposure"};
    struct fourcc_text format = fourcc_text(s->camera.format.fourcc);
    struct fourcc_text asked = fourcc_text(s->spec.wish.fourcc);
    struct source_facts f = camera_facts(&s->camera, &s->spec, &format, &asked);
    f.stamp = stamps[news->stamp];
    s->told_facts = true;
    s->told[0] = 0;
    s->n_failed = 0;
    source_out_facts(&s->out, &f);
}

static void tell(struct v4l2_source *s, const struct capture_news *news)
{
    bool any = news->picture != NULL;
    for (int f = 0; f < FRAME_FAULTS; f++)
        for (uint64_t i = 0; i < news->n_faulty[f]; i++)
            source_out_broken(&s->out, frame_fault_name((enum frame_fault)f));
    source_out_missed(&s->out, news->n_older, news->n_lost);
    if (any && !s->told_facts)
        tell_facts(s, news);
    if (any)
        source_out_picture(&s->out, news->picture);
}

/* The signal's timings changed: everything is set up anew. */
static void follow_signal(struct v4l2_source *s)
{
    struct v4l2_event event;
    bool changed = false;
    while (device_ioctl(&s->camera.device, VIDIOC_DQEVENT, &event) == 0)
        changed = changed || event.type == V4L2_EVENT_SOURCE_CHANGE;
    if (!changed)
        return;
    let_go(s);
    look_later(s, ++s->n_failed <= QUICK_FAILURES ? 0 : LOOK_EVERY_US); /* it may flap */
    source_out_note(&s->out, "the signal at the input has changed");
}

static void on_ready(void *ctx, int fd, uint32_t events)
{
    struct v4l2_source *s = ctx;
    struct capture_news news;
    (void)fd;
    source_out_hold(&s->out);
    int rc = capture_take(&s->capture, &news), why = errno;
    bool any = news.picture != NULL;
    if (any)
        watch_for_stall(s);
    tell(s, &news);
    errno = why;
    if (s->out.silent || s->state != V4L2_CAPTURING) {
        /* closed by what was told */
    } else if (rc < 0) {
        lose_by_errno(s);
    } else if (events & EPOLLPRI) {
        follow_signal(s);
    } else if (!any && events & (EPOLLERR | EPOLLHUP)) {
        errno = events & EPOLLHUP ? ENODEV : EIO;
        lose_by_errno(s);
    }
    source_out_release(&s->out);
}

/* --- starting --- */

static void wait_for_signal(struct v4l2_source *s)
{
    char note[256];
    struct text t = text_fixed(note, sizeof note);
    camera_describe(&s->camera, &t);
    camera_close(&s->camera);
    s->state = V4L2_NO_SIGNAL;
    look_later(s, SIGNAL_EVERY_US);
    if (strcmp(note, s->told) == 0)
        return;
    snprintf(s->told, sizeof s->told, "%s", note);
    source_out_note(&s->out, note);
}

/* From an open camera with a signal. false: it is closed again. */
static bool start(struct v4l2_source *s, struct err *e)
{
    s->was = s->camera.device;
    if (capture_start(&s->capture, &s->camera.device, &s->camera.format, &s->capture_options, e) <
        0) {
        camera_close(&s->camera);
        return false;
    }
    s->watch = (struct loop_watch){.on_ready = on_ready, .ctx = s, .fd = s->camera.device.fd};
    if (loop_watch_set(s->loop, &s->watch, EPOLLIN | EPOLLPRI, e) < 0) {
        let_go(s);
        return false;
    }
    s->state = V4L2_CAPTURING;
    watch_for_stall(s);
    return true;
}

/* It could not be opened (again). */
static void tell_why(struct v4l2_source *s, const struct err *why)
{
    if (!s->reconnect) {
        source_out_end(&s->out, -EXIT_FAILED, why);
        return;
    }
    look_later(s, LOOK_EVERY_US);
    bool absent = access(s->was.path, F_OK) < 0; /* which was told when it went */
    if (absent || strcmp(why->text, s->told) == 0)
        return;
    snprintf(s->told, sizeof s->told, "%s", why->text);
    source_out_note(&s->out, why->text);
}

static void look(struct v4l2_source *s)
{
    struct err why = {{0}};
    int rc = camera_open_again(&s->camera, &s->was, &s->spec, &s->camera_options, &why);
    bool has_signal = s->camera.signal == CAMERA_SIGNAL_FINE;
    if (rc == 0 && has_signal && start(s, &why))
        return;
    if (rc == 0 && !has_signal && s->reconnect) {
        wait_for_signal(s);
        return;
    }
    if (rc == 0 && !has_signal) {
        err_set(&why, EXIT_FAILED, "%s (%s): %s", s->was.card, s->was.path,
                camera_signal_text(s->camera.signal));
        camera_close(&s->camera);
    }
    tell_why(s, &why);
}

static void on_again(void *ctx)
{
    struct v4l2_source *s = ctx;
    source_out_hold(&s->out);
    look(s);
    source_out_release(&s->out);
}

static void on_plugged(void *ctx)
{
    struct v4l2_source *s = ctx;
    if (s->state != V4L2_CAPTURING)
        look_later(s, LOOK_SOON_US);
}

/* --- the seam --- */

static void free_source(struct source_out *o)
{
    struct v4l2_source *s = (struct v4l2_source *)o;
    let_go(s);
    loop_timer_cancel(s->loop, &s->again);
    hotplug_close(&s->hotplug);
    free(s);
}

static int open_camera(struct v4l2_source *s, struct err *e)
{
    int rc = camera_open(&s->camera, &s->spec, &s->camera_options, e);
    if (rc < 0)
        return rc;
    s->was = s->camera.device;
    if (s->camera.signal == CAMERA_SIGNAL_FINE)
        return start(s, e) ? 0 : -EXIT_UNREACHABLE;
    const char *signal = camera_signal_text(s->camera.signal);
    camera_close(&s->camera);
    s->state = V4L2_NO_SIGNAL;
    look_later(s, 0); /* tells what it waits for */
    return s->reconnect
               ? 0
               : err_set(e, EXIT_UNREACHABLE, "%s (%s): %s", s->was.card, s->was.path, signal);
}

static bool v4l2_matches(const char *spec)
{
    return camera_spec_matches(spec) || device_is_node(spec);
}

static int v4l2_open(struct source **out, const char *spec, const struct source_options *o,
                     struct loop *l, const struct source_sink *sink, struct err *e)
{
    struct camera_spec parsed;
    int rc = camera_spec_parse(&parsed, spec, e);
    if (rc < 0)
        return rc;
    struct v4l2_source *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, EXIT_FAILED, "out of memory");
    source_out_init(&s->out, l, sink, free_source);
    s->loop = l;
    s->spec = parsed;
    s->camera_options = (struct camera_options){.converts = o->libv4l2, .strict = o->strict};
    s->capture_options = (struct capture_options){.picture_bytes_max = o->picture_bytes_max,
                                                  .allow_truncated = o->allow_truncated};
    s->reconnect = o->reconnect;
    s->stall_us = o->stall_us;
    s->camera.device.fd = -1;
    s->stall = (struct loop_timer){.on_due = on_stall, .ctx = s};
    s->again = (struct loop_timer){.on_due = on_again, .ctx = s};
    hotplug_open(&s->hotplug, l, on_plugged, s);
    rc = open_camera(s, e);
    if (rc < 0)
        source_close(&s->out.source);
    else
        *out = &s->out.source;
    return rc;
}

const struct source_kind source_v4l2 = {
    .name = "v4l2",
    .spec = "/dev/videoN or v4l2:[card=|bus=|serial=TEXT], then [,size=WxH][,fps=F]"
            "[,format=mjpg|yuyv|auto][,input=N]",
    .matches = v4l2_matches,
    .open = v4l2_open,
};
