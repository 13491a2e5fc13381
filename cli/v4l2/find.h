/* find.h - which device node is the camera that is meant, now and after it was unplugged.
 *
 * Numbers of nodes mean nothing: a camera that was pulled out may come back under another one,
 * and every camera has nodes beside its own (metadata). So a camera is looked for among all
 * nodes by what it says about itself.
 *
 * Ownership: the caller's storage. Threads: any.
 */
#pragma once

#include "cli/v4l2/device.h"
#include "cli/v4l2/spec.h"

#define FIND_MAX 64

/* The paths of all nodes that may be cameras, by number. Gives how many. */
size_t find_nodes(char paths[FIND_MAX][32]);

/* Opens the camera that s names. 0, or -EXIT_UNREACHABLE: not there, busy, ...; -EXIT_USAGE:
 * something else is there. */
int find_open(struct device *d, const struct camera_spec *s, bool converts, struct err *e);

/* Opens the camera that `was` is again, wherever it is now: the one with its serial number, else
 * the one of its name on its bus, else the one of its name. */
int find_again(struct device *d, const struct device *was, struct err *e);
