#include "cli/v4l2/camera.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/v4l2/find.h"

#define FPS_TOLERANCE 0.01 /* 29.97 is not 30 */

const char *camera_signal_text(enum camera_signal s)
{
    static const char *const texts[] = {
        [CAMERA_SIGNAL_FINE] = "",
        [CAMERA_SIGNAL_NONE] = "no signal at the input",
        [CAMERA_SIGNAL_UNLOCKED] = "a signal at the input that cannot be locked on to",
        [CAMERA_SIGNAL_UNFIT] = "a signal at the input that is out of range",
    };
    return texts[s];
}

/* --- input and signal --- */

static int select_input(const struct device *d, int input, struct err *e)
{
    if (input < 0 || device_ioctl(d, VIDIOC_S_INPUT, &input) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOTTY)
        return device_explain(d->path, "select the input of", e);
    return err_set(e, EXIT_USAGE, "%s: the camera has no input %d", d->path, input);
}

/* Takes over the timings of the signal, where the input has some, and its size. */
static enum camera_signal follow_signal(struct camera *c)
{
    const struct device *d = &c->device;
    struct v4l2_event_subscription wanted = {.type = V4L2_EVENT_SOURCE_CHANGE};
    struct v4l2_dv_timings t = {.type = 0};
    int input = 0;
    if (device_ioctl(d, VIDIOC_G_INPUT, &input) == 0)
        wanted.id = (uint32_t)input;
    device_ioctl(d, VIDIOC_SUBSCRIBE_EVENT, &wanted); /* webcams have none */
    if (device_ioctl(d, VIDIOC_QUERY_DV_TIMINGS, &t) == 0) {
        device_ioctl(d, VIDIOC_S_DV_TIMINGS, &t);
        c->signal_width = t.bt.width;
        c->signal_height = t.bt.height;
        return CAMERA_SIGNAL_FINE;
    }
    return errno == ENOLINK  ? CAMERA_SIGNAL_NONE
           : errno == ENOLCK ? CAMERA_SIGNAL_UNLOCKED
           : errno == ERANGE ? CAMERA_SIGNAL_UNFIT
                             : CAMERA_SIGNAL_FINE;
}

/* --- format and rate --- */

/* How many frames a second it gives, after asking for that many; 0: it does not say. */
static double set_rate(const struct device *d, double fps)
{
    struct v4l2_streamparm p = {.type = d->buf_type};
    struct v4l2_fract *t = &p.parm.capture.timeperframe;
    bool whole = fps == floor(fps);
    if (fps > 0) {
        t->numerator = whole ? 1 : 1000;
        t->denominator = (uint32_t)(whole ? fps : round(fps * 1000));
        device_ioctl(d, VIDIOC_S_PARM, &p); /* what it makes of it is asked next */
    }
    p = (struct v4l2_streamparm){.type = d->buf_type};
    if (device_ioctl(d, VIDIOC_G_PARM, &p) < 0 || !t->numerator)
        return 0.0;
    return (double)t->denominator / t->numerator;
}

static int refuse(const struct camera *c, const struct modes *m, const char *what, struct err *e)
{
    char list[300];
    struct text t = text_fixed(list, sizeof list);
    modes_list(m, &t);
    return err_set(e, EXIT_USAGE, "%s: %s; it has %s%s", c->device.path, what, list,
                   t.cut ? "..." : "");
}

bool camera_is_as_wished(const struct camera *c, const struct camera_spec *s)
{
    const struct mode_wish *w = &s->wish;
    bool size = !w->width || (w->width == c->format.width && w->height == c->format.height);
    bool format = !w->fourcc || w->fourcc == c->format.fourcc;
    bool fps = w->fps <= 0 || c->fps <= 0 || fabs(w->fps - c->fps) < FPS_TOLERANCE;
    return size && format && fps;
}

static int choose(struct camera *c, const struct modes *m, const struct camera_spec *s,
                  struct err *e)
{
    char what[64];
    struct mode_wish wish = s->wish;
    if (!wish.width) { /* a grabber's own size: nothing is scaled */
        wish.width = c->signal_width;
        wish.height = c->signal_height;
    }
    if (modes_choose(m->row, m->n, &wish, &c->asked))
        return 0;
    if (s->wish.fourcc)
        snprintf(what, sizeof what, "the camera has no %s", fourcc_text(s->wish.fourcc).text);
    else
        snprintf(what, sizeof what, "no format that can be sent (try --libv4l2)");
    return refuse(c, m, what, e);
}

static int apply(struct camera *c, const struct modes *m, const struct camera_spec *s,
                 const struct camera_options *o, struct err *e)
{
    char what[128];
    c->format = (struct device_format){
        .fourcc = c->asked.fourcc, .width = c->asked.width, .height = c->asked.height};
    if (device_set_format(&c->device, &c->format) < 0)
        return device_explain(c->device.path, "set the format of", e);
    c->fps = set_rate(&c->device, s->wish.fps > 0 ? s->wish.fps : c->asked.fps);
    if (!modes_is_usable(c->format.fourcc)) {
        snprintf(what, sizeof what, "the camera insists on %s, which cannot be sent",
                 fourcc_text(c->format.fourcc).text);
        return refuse(c, m, what, e);
    }
    if (!o->strict || camera_is_as_wished(c, s))
        return 0;
    snprintf(what, sizeof what,
             "not what was asked for (--strict): the camera gives %s %ux%u at %.4g fps",
             fourcc_text(c->format.fourcc).text, c->format.width, c->format.height, c->fps);
    return refuse(c, m, what, e);
}

int camera_set_up(struct camera *c, const struct camera_spec *s, const struct camera_options *o,
                  struct err *e)
{
    struct modes m = {0};
    int rc = select_input(&c->device, s->input, e);
    if (rc < 0)
        return rc;
    c->signal_width = c->signal_height = 0;
    c->signal = follow_signal(c);
    if (c->signal != CAMERA_SIGNAL_FINE)
        return 0;
    rc = modes_read(&m, &c->device, e);
    if (rc == 0)
        rc = choose(c, &m, s, e);
    if (rc == 0)
        rc = apply(c, &m, s, o, e);
    modes_deinit(&m);
    return rc;
}

static int set_up_opened(struct camera *c, const struct camera_spec *s,
                         const struct camera_options *o, struct err *e)
{
    int rc = camera_set_up(c, s, o, e);
    if (rc < 0)
        camera_close(c);
    return rc;
}

int camera_open(struct camera *c, const struct camera_spec *s, const struct camera_options *o,
                struct err *e)
{
    *c = (struct camera){.device.fd = -1};
    int rc = find_open(&c->device, s, o->converts, e);
    return rc < 0 ? rc : set_up_opened(c, s, o, e);
}

int camera_open_again(struct camera *c, const struct device *was, const struct camera_spec *s,
                      const struct camera_options *o, struct err *e)
{
    *c = (struct camera){.device.fd = -1};
    int rc = find_again(&c->device, was, e);
    return rc < 0 ? rc : set_up_opened(c, s, o, e);
}

void camera_close(struct camera *c)
{
    device_close(&c->device);
}

struct source_facts camera_facts(const struct camera *c, const struct camera_spec *s,
                                 const struct fourcc_text *format, const struct fourcc_text *asked)
{
    return (struct source_facts){.device = c->device.path,
                                 .card = c->device.card,
                                 .bus = c->device.bus,
                                 .serial = c->device.serial,
                                 .format = format->text,
                                 .width = c->format.width,
                                 .height = c->format.height,
                                 .fps = c->fps,
                                 .asked_format = s->wish.fourcc ? asked->text : "",
                                 .asked_width = s->wish.width,
                                 .asked_height = s->wish.height,
                                 .asked_fps = s->wish.fps,
                                 .stamp = ""};
}

void camera_describe(const struct camera *c, struct text *out)
{
    text_addf(out, "%s (%s)", c->device.card, c->device.path);
    if (c->signal != CAMERA_SIGNAL_FINE) {
        text_addf(out, ": %s", camera_signal_text(c->signal));
        return;
    }
    text_addf(out, ": %s %ux%u", fourcc_text(c->format.fourcc).text, c->format.width,
              c->format.height);
    if (c->fps > 0)
        text_addf(out, " at %.4g fps", c->fps);
}
