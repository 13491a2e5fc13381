/* Any bytes into the JPEG inspection: it stays within them, and what it says is plausible. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/jpeg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jpeg_info info;
    enum jpeg_ends ends = jpeg_check(data, size);
    int rc = jpeg_parse(data, size, &info);
    require(rc == 0 || rc == -1);
    if (rc < 0)
        return 0;
    require(ends != JPEG_ENDS_NO_SOI);
    require(info.scan_offset <= size && info.width && info.width <= 65535);
    require(info.n_components >= 1 && info.n_components <= JPEG_COMPONENTS_MAX);
    for (unsigned i = 0; i < info.n_components; i++)
        require(info.h[i] >= 1 && info.h[i] <= 4 && info.v[i] >= 1 && info.v[i] <= 4);
    require(strlen(jpeg_subsampling(&info)) > 0);
    struct jpeg_info again;
    require(jpeg_parse(data, info.scan_offset, &again) == 0);
    require(again.scan_offset == info.scan_offset);
    return 0;
}
