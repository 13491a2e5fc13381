#include "cli/v4l2/hotplug.h"

#include <linux/netlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define KERNEL_GROUP 1

/* "add@/devices/...\0ACTION=add\0...SUBSYSTEM=video4linux\0..." */
static bool is_about_video(const char *bytes, size_t n)
{
    static const char wanted[] = "SUBSYSTEM=video4linux";
    for (const char *at = bytes; at < bytes + n; at += strlen(at) + 1)
        if (strcmp(at, wanted) == 0)
            return true;
    return false;
}

static void on_ready(void *ctx, int fd, uint32_t events)
{
    struct hotplug *h = ctx;
    char bytes[8192];
    bool changed = false;
    ssize_t n;
    (void)events;
    while ((n = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT)) > 0) {
        bytes[n] = 0;
        changed = changed || is_about_video(bytes, (size_t)n);
    }
    if (changed)
        h->on_change(h->ctx);
}

void hotplug_open(struct hotplug *h, struct loop *l, void (*on_change)(void *ctx), void *ctx)
{
    struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    *h = (struct hotplug){.loop = l, .on_change = on_change, .ctx = ctx};
    h->fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (h->fd < 0)
        return;
    h->watch = (struct loop_watch){.on_ready = on_ready, .ctx = h, .fd = h->fd};
    if (bind(h->fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        loop_watch_set(l, &h->watch, EPOLLIN, NULL) == 0)
        return;
    close(h->fd);
    h->fd = -1;
}

void hotplug_close(struct hotplug *h)
{
    if (!h->loop || h->fd < 0)
        return;
    loop_watch_remove(h->loop, &h->watch);
    close(h->fd);
    h->fd = -1;
}
