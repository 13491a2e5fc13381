#include "server/pipeline.h"

#include "common/jpeg.h"

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    (void)p;
    (void)state;
    struct jpeg_info info;
    if (jpeg_parse(frame->jpeg, frame->jpeg_bytes, &info) < 0)
        return -1;
    json_u64(result, "width", info.width);
    json_u64(result, "height", info.height);
    json_u64(result, "components", info.n_components);
    json_str(result, "subsampling", jpeg_subsampling(&info));
    json_bool(result, "progressive", info.progressive);
    json_u64(result, "restart_interval", info.restart_interval);
    json_u64(result, "bytes", frame->jpeg_bytes);
    return 0;
}

const struct pipeline_kind pipeline_inspect = {
    .name = "inspect",
    .summary = "tells size, components, subsampling and restart interval from the JPEG headers",
    .process = process,
};
