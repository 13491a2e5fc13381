/* camera.h - a camera found, set up and known: what was asked of it and what it gives.
 *
 * Setting up is the same at the start, after a replug and after a new signal: input, DV
 * timings, format, rate, in this order, because each changes what the next may be.
 *
 * Ownership: the caller's storage; camera_close when it was opened. Threads: one at a time.
 */
#pragma once

#include "cli/source.h"
#include "cli/v4l2/device.h"
#include "cli/v4l2/modes.h"
#include "cli/v4l2/spec.h"
#include "common/text.h"

enum camera_signal {
    CAMERA_SIGNAL_FINE, /* or nothing that has one: a webcam */
    CAMERA_SIGNAL_NONE,
    CAMERA_SIGNAL_UNLOCKED, /* there, but the receiver cannot follow it */
    CAMERA_SIGNAL_UNFIT     /* there, but not what the receiver can take */
};

struct camera {
    struct device device;
    struct mode_choice asked; /* what was chosen of what it offers */
    struct device_format format;
    double fps; /* what it says it gives; 0: it does not say */
    enum camera_signal signal;
    unsigned signal_width, signal_height; /* of an HDMI input's picture; 0: it has none */
};

struct camera_options {
    bool converts; /* through libv4l2 */
    bool strict;   /* refuse what is not exactly what was asked for */
};

/* Finds, opens and sets up. Without a signal it is open, but not set up: see camera_set_up.
 * 0; -EXIT_UNREACHABLE; -EXIT_USAGE: it has not got what was asked for. */
int camera_open(struct camera *c, const struct camera_spec *s, const struct camera_options *o,
                struct err *e);

/* The same camera again, after it was gone. */
int camera_open_again(struct camera *c, const struct device *was, const struct camera_spec *s,
                      const struct camera_options *o, struct err *e);

/* For an open device: again when the signal changed. */
int camera_set_up(struct camera *c, const struct camera_spec *s, const struct camera_options *o,
                  struct err *e);

void camera_close(struct camera *c);

/* "no signal at the input", ...; "" when it is fine. */
const char *camera_signal_text(enum camera_signal s);

/* Is what it gives what s wishes? */
bool camera_is_as_wished(const struct camera *c, const struct camera_spec *s);

/* The same in plain values. The texts are those of c, *format and *asked; stamp is left empty:
 * only a picture tells. */
struct source_facts camera_facts(const struct camera *c, const struct camera_spec *s,
                                 const struct fourcc_text *format, const struct fourcc_text *asked);

/* "HD Webcam C920 (/dev/video0): MJPG 1280x720 at 30 fps". */
void camera_describe(const struct camera *c, struct text *out);
