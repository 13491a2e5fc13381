/* hotplug.h - tells when a camera was plugged in or out.
 *
 * The kernel says it over netlink (NETLINK_KOBJECT_UEVENT), with or without udev. Where that
 * cannot be heard (containers), nothing is ever told: so who waits for a camera looks from time
 * to time as well.
 * Source: Documentation/core-api/kobject.rst; lib/kobject_uevent.c.
 *
 * Ownership: the caller's storage. Threads: the loop's thread.
 */
#pragma once

#include "common/loop.h"

struct hotplug {
    struct loop *loop;
    struct loop_watch watch;
    int fd; /* -1: not heard */
    void (*on_change)(void *ctx);
    void *ctx;
};

/* on_change: a node of video4linux came or went. */
void hotplug_open(struct hotplug *h, struct loop *l, void (*on_change)(void *ctx), void *ctx);
void hotplug_close(struct hotplug *h);
