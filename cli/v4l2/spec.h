/* spec.h - a camera as users name it, and what they want of it, from one text.
 *
 *   /dev/video0,size=1280x720,fps=30,format=mjpg,input=1
 *   v4l2:card=C920,size=640x480     v4l2:serial=8A2F,fps=15     v4l2:
 *
 * Threads: any; pure.
 */
#pragma once

#include <stdbool.h>

#include "cli/v4l2/modes.h"
#include "common/err.h"

struct camera_spec {
    enum camera_by {
        CAMERA_ANY, /* "v4l2:": the first one */
        CAMERA_BY_PATH,
        CAMERA_BY_CARD, /* a part of its name, in any case */
        CAMERA_BY_BUS,  /* "usb-0000:00:14.0-1" */
        CAMERA_BY_SERIAL
    } by;
    char text[256];
    struct mode_wish wish;
    int input; /* -1: as it is */
};

/* Does the text look like a camera: /dev/video..., /dev/v4l/..., v4l2:...? */
bool camera_spec_matches(const char *text);

/* 0 or -EXIT_USAGE. */
int camera_spec_parse(struct camera_spec *s, const char *text, struct err *e);
