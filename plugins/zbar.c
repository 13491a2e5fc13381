/* QR and bar codes, by libzbar (LGPL-2.1-or-later): where they are, and what they say.
 *
 *     streamd --pipeline codes=plugin:zbar.so:symbologies=qr,ean13,density=2
 *
 * symbologies: what to look for, "all" or words of the table below; qr unless given. The fewer, the
 * faster, and the fewer codes that are none.
 * density: looks at each N-th row and column for bar codes, 1 to 64; 1 unless given.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <streamd/plugin.h>
#include <zbar.h>

#define DENSITY_MAX 64

static const struct symbology {
    const char *name; /* in the configuration and as the label */
    zbar_symbol_type_t type;
} symbologies[] = {
    {"qr", ZBAR_QRCODE},       {"ean13", ZBAR_EAN13},
    {"ean8", ZBAR_EAN8},       {"upca", ZBAR_UPCA},
    {"upce", ZBAR_UPCE},       {"isbn13", ZBAR_ISBN13},
    {"isbn10", ZBAR_ISBN10},   {"code128", ZBAR_CODE128},
    {"code93", ZBAR_CODE93},   {"code39", ZBAR_CODE39},
    {"codabar", ZBAR_CODABAR}, {"i25", ZBAR_I25},
    {"databar", ZBAR_DATABAR}, {"databar-exp", ZBAR_DATABAR_EXP},
    {"sq", ZBAR_SQCODE},
};

#define N_SYMBOLOGIES (sizeof symbologies / sizeof symbologies[0])

/* The configuration of an instance. */
struct codes {
    const struct sp_host *host;
    int density;
    int wanted[N_SYMBOLOGIES];
};

/* A session has a scanner of its own: one is for one thread at a time. */
struct scanner {
    zbar_image_scanner_t *scanner;
    zbar_image_t *image;
};

/* --- configuration --- */

/* Logs the sentence. 0, so that the caller can return it. */
__attribute__((format(printf, 2, 3))) static int complain(const struct sp_host *host,
                                                          const char *fmt, ...)
{
    char text[240];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    host->log(host, SP_LOG_ERROR, text);
    return 0;
}

static int complain_of_word(const struct sp_host *host, const char *word)
{
    char known[160] = "all";
    for (size_t i = 0; i < N_SYMBOLOGIES; i++) {
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, ", %s", symbologies[i].name);
    }
    return complain(host, "symbologies: '%.20s' is not one of %s", word, known);
}

static int want(struct codes *c, const char *name)
{
    int n_found = 0;
    for (size_t i = 0; i < N_SYMBOLOGIES; i++) {
        if (strcmp(name, symbologies[i].name) != 0 && strcmp(name, "all") != 0)
            continue;
        c->wanted[i] = 1;
        n_found++;
    }
    return n_found ? 1 : complain_of_word(c->host, name);
}

static int set_density(struct codes *c, const char *value)
{
    char *end;
    errno = 0;
    long n = strtol(value, &end, 10);
    if (end == value || *end || errno || n < 1 || n > DENSITY_MAX)
        return complain(c->host, "density: '%.40s' is not a number from 1 to %d", value,
                        DENSITY_MAX);
    c->density = (int)n;
    return 1;
}

/* One piece between commas. A word without "=" is one more symbology, if the piece before was. */
static int set(struct codes *c, const char *piece, int *in_list)
{
    static const char list[] = "symbologies=", density[] = "density=";
    if (strncmp(piece, list, sizeof list - 1) == 0) {
        *in_list = 1;
        return want(c, piece + sizeof list - 1);
    }
    if (*in_list && !strchr(piece, '='))
        return want(c, piece);
    *in_list = 0;
    if (strncmp(piece, density, sizeof density - 1) == 0)
        return set_density(c, piece + sizeof density - 1);
    return complain(c->host, "'%.40s' is not symbologies=... or density=N", piece);
}

static int configure(struct codes *c, const char *config)
{
    int ok = 1, in_list = 0, is_more = *config != '\0';
    while (ok && is_more) {
        char piece[80];
        size_t n = strcspn(config, ",");
        snprintf(piece, sizeof piece, "%.*s", (int)(n < sizeof piece ? n : sizeof piece), config);
        ok = set(c, piece, &in_list);
        is_more = config[n] == ',';
        config += n + 1;
    }
    int n_wanted = 0;
    for (size_t i = 0; i < N_SYMBOLOGIES; i++)
        n_wanted += c->wanted[i];
    return ok && (n_wanted || want(c, "qr"));
}

static void *open_codes(const struct sp_host *host, const char *config)
{
    struct codes *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->host = host;
    c->density = 1;
    if (configure(c, config))
        return c;
    free(c);
    return NULL;
}

static void close_codes(void *instance)
{
    free(instance);
}

/* --- a session --- */

static void session_close(void *instance, void *session)
{
    struct scanner *s = session;
    (void)instance;
    if (s->image)
        zbar_image_destroy(s->image);
    if (s->scanner)
        zbar_image_scanner_destroy(s->scanner);
    free(s);
}

static void set_up(zbar_image_scanner_t *scanner, const struct codes *c)
{
    zbar_image_scanner_set_config(scanner, ZBAR_NONE, ZBAR_CFG_ENABLE, 0); /* all */
    for (size_t i = 0; i < N_SYMBOLOGIES; i++)
        if (c->wanted[i])
            zbar_image_scanner_set_config(scanner, symbologies[i].type, ZBAR_CFG_ENABLE, 1);
    zbar_image_scanner_set_config(scanner, ZBAR_NONE, ZBAR_CFG_X_DENSITY, c->density);
    zbar_image_scanner_set_config(scanner, ZBAR_NONE, ZBAR_CFG_Y_DENSITY, c->density);
}

static void *session_open(void *instance, const struct sp_session_info *info)
{
    struct scanner *s = calloc(1, sizeof *s);
    (void)info;
    if (!s)
        return NULL;
    s->scanner = zbar_image_scanner_create();
    s->image = zbar_image_create();
    if (s->scanner && s->image) {
        set_up(s->scanner, instance);
        return s;
    }
    session_close(instance, s);
    return NULL;
}

static const char *label_of(zbar_symbol_type_t type)
{
    for (size_t i = 0; i < N_SYMBOLOGIES; i++)
        if (symbologies[i].type == type)
            return symbologies[i].name;
    return zbar_get_symbol_name(type);
}

/* The box around the polygon. */
static void set_box(struct sp_detection *d, const zbar_symbol_t *symbol)
{
    unsigned n = zbar_symbol_get_loc_size(symbol);
    int left = 0, right = 0, top = 0, bottom = 0;
    for (unsigned i = 0; i < n; i++) {
        int x = zbar_symbol_get_loc_x(symbol, i), y = zbar_symbol_get_loc_y(symbol, i);
        left = !i || x < left ? x : left;
        right = !i || x > right ? x : right;
        top = !i || y < top ? y : top;
        bottom = !i || y > bottom ? y : bottom;
    }
    d->x = left;
    d->y = top;
    d->w = right - left;
    d->h = bottom - top;
}

/* Bytes with a zero among them are not text. */
static const char *text_of(const zbar_symbol_t *symbol)
{
    const char *data = zbar_symbol_get_data(symbol);
    return data && strlen(data) >= zbar_symbol_get_data_length(symbol) ? data : NULL;
}

/* Whether every lead byte has its continuations: what is in another encoding never looks so. */
static int is_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        int n = *s < 0x80 ? 0 : *s >= 0xf0 ? 3 : *s >= 0xe0 ? 2 : 1;
        if ((*s >= 0x80 && *s < 0xc2) || *s > 0xf4)
            return 0;
        for (s++; n > 0; n--, s++)
            if ((*s & 0xc0) != 0x80)
                return 0;
    }
    return 1;
}

static int all_are_utf8(const zbar_image_t *image)
{
    const zbar_symbol_t *symbol = zbar_image_first_symbol(image);
    for (; symbol; symbol = zbar_symbol_next(symbol)) {
        const char *text = text_of(symbol);
        if (text && !is_utf8(text))
            return 0;
    }
    return 1;
}

/* A QR code rarely says in what encoding its bytes are. Most are UTF-8 today, but zbar tries Shift
 * JIS first, which nearly everything can be: it is asked to guess only about what is no UTF-8. */
static int scan(struct scanner *s)
{
    zbar_image_scanner_set_config(s->scanner, ZBAR_QRCODE, ZBAR_CFG_BINARY, 1);
    int n = zbar_scan_image(s->scanner, s->image);
    if (n <= 0 || all_are_utf8(s->image))
        return n;
    zbar_image_scanner_set_config(s->scanner, ZBAR_QRCODE, ZBAR_CFG_BINARY, 0);
    return zbar_scan_image(s->scanner, s->image);
}

static void tell(const zbar_symbol_t *symbol, struct sp_sink *sink)
{
    struct sp_detection d = {.struct_size = sizeof d,
                             .score = 1, /* zbar knows no more than read and not read */
                             .label = label_of(zbar_symbol_get_type(symbol)),
                             .text = text_of(symbol)};
    set_box(&d, symbol);
    sink->detection(sink, &d);
}

static int process(void *instance, void *session, const struct sp_frame *frame,
                   struct sp_sink *sink)
{
    struct scanner *s = session;
    (void)instance;
    if (sink->cancelled(sink)) /* a scan cannot be stopped once it runs */
        return SP_LATE;
    /* zbar knows no stride, but it knows a part of a picture. */
    zbar_image_set_format(s->image, zbar_fourcc('Y', '8', '0', '0'));
    zbar_image_set_size(s->image, frame->stride, frame->height);
    zbar_image_set_crop(s->image, 0, 0, frame->width, frame->height);
    zbar_image_set_data(s->image, frame->data, frame->n_bytes, NULL);
    int n = scan(s);
    const zbar_symbol_t *symbol = n > 0 ? zbar_image_first_symbol(s->image) : NULL;
    for (; symbol; symbol = zbar_symbol_next(symbol))
        tell(symbol, sink);
    zbar_image_free_data(s->image); /* borrowed: only forgets it */
    return n < 0 ? SP_ERROR : SP_OK;
}

static const struct sp_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi_major = SP_ABI_MAJOR,
    .abi_minor = SP_ABI_MINOR,
    .format = SP_GRAY,
    .scale = 1, /* the modules of a code are few pixels as it is */
    .name = "zbar",
    .version = "1.0",
    .licence = "MIT",
    .summary = "QR and bar codes with what they say, by libzbar",
    .open = open_codes,
    .session_open = session_open,
    .process = process,
    .session_close = session_close,
    .close = close_codes,
};

const struct sp_plugin *sp_plugin_entry(uint32_t host_major, uint32_t host_minor)
{
    (void)host_minor;
    return host_major == SP_ABI_MAJOR ? &plugin : NULL;
}
