/* controls.h - a camera's controls by name: brightness, exposure, focus, ...
 *
 * Names are those v4l2-ctl shows (the driver's label in lower case with '_'); a few that
 * kernels before 5.18 used still work. Values are texts: a number, on/off, the name of a menu's
 * item or its first word, 0x.. for bits, "a:b:c" for arrays (one element: for all), else text.
 * Source: the kernel's "Extended Controls API".
 *
 * Ownership: controls_read allocates, controls_deinit frees. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/v4l2/device.h"
#include "common/text.h"

struct control_item {
    int64_t index;
    char name[32]; /* of an integer menu: the number */
};

struct control {
    uint32_t id, type, flags; /* V4L2_CTRL_TYPE_..., V4L2_CTRL_FLAG_... */
    char name[40], label[40];
    int64_t min, max, step, def;
    uint32_t n_elems, elem_bytes; /* n_elems 1: not an array */
    size_t n_items;
    struct control_item *item; /* menus; there may be holes in the indices */
};

struct controls {
    struct control *control;
    size_t n;
};

int controls_read(struct controls *all, const struct device *d, struct err *e);
void controls_deinit(struct controls *c);

/* By name, also an old one; NULL: it has none of that name. */
const struct control *controls_find(const struct controls *c, const char *name);

/* "integer", "boolean", "menu", ... */
const char *control_type_name(const struct control *c);

/* Can people read it, can they change it? */
bool control_is_readable(const struct control *c);
bool control_is_writable(const struct control *c);

/* "-64 to 64, step 1", "0: Auto Mode, 1: Manual Mode", ...: what may be set. */
void control_range(const struct control *c, struct text *out);

/* Its value as text, menus with index and name. 0 or -EXIT_FAILED. */
int control_get(const struct device *d, const struct control *c, struct text *out, struct err *e);

/* Does text say a value that c can take? 0, or -EXIT_USAGE and what it can take. */
int control_check(const struct control *c, const char *text, struct err *e);

/* Sets it. -EXIT_USAGE as control_check; -EXIT_FAILED: the driver refuses. */
int control_set(const struct device *d, const struct control *c, const char *text, struct err *e);

/* Switches go first: a value that is on automatic cannot be set. */
bool control_is_switch(const struct control *c);
