/* What server/pipelines/examples/worker.c does, in process: see pipelines.py. */
#include <streamd/plugin.h>

static int process(void *instance, void *session, const struct sp_frame *frame,
                   struct sp_sink *sink)
{
    (void)instance;
    (void)session;
    sink->number(sink, "bytes", (double)frame->n_bytes);
    sink->number(sink, "width", frame->width);
    sink->number(sink, "height", frame->height);
    return SP_OK;
}

static const struct sp_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi_major = SP_ABI_MAJOR,
    .abi_minor = SP_ABI_MINOR,
    .format = SP_JPEG,
    .name = "size",
    .process = process,
};

const struct sp_plugin *sp_plugin_entry(uint32_t host_major, uint32_t host_minor)
{
    (void)host_minor;
    return host_major == SP_ABI_MAJOR ? &plugin : NULL;
}
