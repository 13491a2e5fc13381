/* The smallest useful plugin: how bright the picture is, 0 (black) to 255. Copy it, and begin here.
 *
 *     cc -shared -fPIC -fvisibility=hidden -o example.so example.c
 *     streamd --pipeline light=plugin:./example.so
 */
#include <streamd/plugin.h>

static int process(void *instance, void *session, const struct sp_frame *frame,
                   struct sp_sink *sink)
{
    uint64_t sum = 0;
    (void)instance; /* what open gave; there is no open here */
    (void)session;  /* what session_open gave */
    for (uint32_t y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data + (size_t)y * frame->stride;
        for (uint32_t x = 0; x < frame->width; x++)
            sum += row[x];
    }
    sink->number(sink, "brightness", (double)sum / ((double)frame->width * frame->height));
    return SP_OK;
}

static const struct sp_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi_major = SP_ABI_MAJOR,
    .abi_minor = SP_ABI_MINOR,
    .format = SP_GRAY,
    .scale = 8, /* an eighth is enough, and decodes much faster */
    .name = "example",
    .version = "1.0",
    .licence = "MIT",
    .summary = "how bright the picture is",
    .process = process,
};

const struct sp_plugin *sp_plugin_entry(uint32_t host_major, uint32_t host_minor)
{
    (void)host_minor; /* for plugins that need something newer than 1.0 */
    return host_major == SP_ABI_MAJOR ? &plugin : NULL;
}
