/* Any bytes as the configuration of the ONNX plugin: refused with a sentence, or within bounds. The
 * files it names are not opened. */

#include <stdbool.h>

#include "plugins/onnx.c" /* its open would load what the configuration names */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

struct listener {
    struct sp_host host; /* first: it is all that log gets */
    unsigned n_told;
};

static void hear(const struct sp_host *host, int level, const char *text)
{
    must(level == SP_LOG_ERROR && text[0] && strlen(text) < 600);
    ((struct listener *)host)->n_told++;
}

static void check(const struct detector *d)
{
    must(d->library && d->library[0] && d->model && d->model[0]);
    must(!d->labels_file || d->labels_file[0]);
    must((d->w == 0) == (d->h == 0) && d->w <= SIDE_MAX && d->h <= SIDE_MAX);
    for (int i = 0; i < 3; i++)
        must(isfinite(d->mean[i]) && isfinite(d->scale[i]));
    must(d->rules.confidence >= 0 && d->rules.confidence <= 1);
    must(d->rules.iou >= 0 && d->rules.iou <= 1);
    must(d->n_threads >= 1 && d->n_threads <= THREADS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct listener l = {.host = {.struct_size = sizeof l.host, .log = hear}};
    struct detector *d = new_detector(&l.host);
    char *config = strndup((const char *)data, size);
    must(d && config);
    if (configure(d, config)) {
        must(l.n_told == 0);
        check(d);
    } else {
        must(l.n_told == 1);
    }
    free(config);
    close_detector(d);
    return 0;
}
