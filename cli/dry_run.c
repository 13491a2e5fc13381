#include "cli/dry_run.h"

#include <unistd.h>

#include "cli/output.h"
#include "cli/v4l2/camera.h"
#include "common/address.h"

static int show_camera(struct output *out, const struct settings *set, const char *source,
                       struct err *e)
{
    struct camera_options o = {.converts = set->libv4l2, .strict = set->strict};
    struct camera_spec spec;
    struct camera c = {.fps = 0};
    int rc = camera_spec_parse(&spec, source, e);
    if (rc == 0)
        rc = camera_open(&c, &spec, &o, e);
    if (rc < 0)
        return rc;
    if (c.signal == CAMERA_SIGNAL_FINE) {
        struct fourcc_text asked = fourcc_text(spec.wish.fourcc),
                           format = fourcc_text(c.format.fourcc);
        struct source_facts f = camera_facts(&c, &spec, &format, &asked);
        output_source(out, &f);
    } else {
        rc = err_set(e, EXIT_UNREACHABLE, "%s (%s): %s", c.device.card, c.device.path,
                     camera_signal_text(c.signal));
    }
    camera_close(&c);
    return rc;
}

int dry_run(const struct settings *set, const char *source, const char *url, struct err *e)
{
    char source_text[256], url_text[800];
    struct address at;
    struct output out;
    int rc = address_parse(&at, url, e);
    if (rc == 0 && !source_find(source))
        rc = source_unknown(source, e);
    if (rc < 0)
        return -rc;
    address_display(&at, url_text, sizeof url_text);
    source_display(source, source_text, sizeof source_text);
    output_init(&out, STDOUT_FILENO, -1);
    output_start(&out, source_text, url_text, set->pipeline);
    if (source_find(source) == &source_v4l2)
        rc = show_camera(&out, set, source, e);
    output_deinit(&out);
    return -rc;
}
