#include "common/mjpeg.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/boundary.h"
#include "common/jpeg_walk.h"

/* Between pictures, hunt() looks for FF D8 FF and reads what is text as header lines. In
 * a picture, walk() goes from marker to marker; each byte is looked at once, however the
 * stream is cut into reads. The body of a part that says it is no picture is skipped.
 *
 * A picture that lies in one read is given from there; only what spans reads is copied. */

enum { SOI = 0xd8, EOI = 0xd9 };

/* How much of a line is read, and how far back a header may begin before its picture. */
enum { LINE_BYTES_MAX = 256, TEXT_BYTES_MAX = 2048 };

/* What is walked at a time, so that a stream made of nothing but boundaries, each of which makes
 * some of it be walked again, takes no more than that. */
enum { WALK_BYTES_MAX = 4096 };

enum mode { MODE_HUNT, MODE_BODY, MODE_SKIP, MODE_PICTURE };

/* A length is trusted once a picture's own EOI was found exactly there. Until then, and
 * forever after one that was wrong, pictures are walked: waiting for a length that is
 * too large would make every picture late. */
enum trust { LENGTH_UNPROVEN, LENGTH_RIGHT, LENGTH_WRONG };

/* What the header lines said about the part that comes. */
struct part {
    size_t length; /* 0: nothing usable */
    bool is_other; /* named a Content-Type that is no picture */
};

struct mjpeg {
    struct mjpeg_sink sink;
    size_t picture_max;
    struct boundary boundary;
    enum mode mode;
    enum trust trust;

    /* MODE_HUNT, MODE_BODY, MODE_SKIP */
    size_t soi_matched; /* of FF D8 FF */
    char line[LINE_BYTES_MAX];
    size_t line_len;
    struct part part;
    size_t skip;

    /* MODE_PICTURE */
    struct jpeg_walk walk;
    const uint8_t *direct; /* the picture, while it lies in the caller's bytes */
    uint8_t *buf;          /* the picture otherwise */
    size_t cap;
    size_t len;
    size_t hint;  /* its Content-Length, or 0 */
    bool discard; /* given up; only its end is looked for */
};

static const uint8_t soi[] = {0xff, SOI, 0xff};

static size_t hunt(struct mjpeg *m, const uint8_t *p, size_t n);

/* ---- the picture's bytes ---- */

static void give_up(struct mjpeg *m, const char *why)
{
    m->discard = true;
    m->direct = NULL;
    m->len = 0;
    m->sink.on_broken(m->sink.ctx, why);
}

static bool reserve(struct mjpeg *m, size_t n)
{
    size_t cap = m->cap ? m->cap : 16384;
    while (cap < n)
        cap *= 2;
    if (cap == m->cap)
        return true;
    uint8_t *buf = realloc(m->buf, cap);
    if (!buf)
        return false;
    m->buf = buf;
    m->cap = cap;
    return true;
}

/* Adds bytes behind the picture. There is room for a header more than the largest
 * picture has, because where one without EOI ended is known only behind that. */
static void keep(struct mjpeg *m, const uint8_t *p, size_t n)
{
    if (m->discard)
        return;
    if (n > m->picture_max + TEXT_BYTES_MAX + sizeof soi - m->len) {
        give_up(m, "too large");
    } else if (m->direct) {
        m->len += n; /* they follow each other in the caller's memory */
    } else if (reserve(m, m->len + n)) {
        memcpy(m->buf + m->len, p, n);
        m->len += n;
    } else {
        give_up(m, "no memory");
    }
}

/* Moves the picture from the caller's bytes into the buffer. */
static void own(struct mjpeg *m)
{
    const uint8_t *p = m->direct;
    size_t n = m->len;
    if (!p)
        return;
    m->direct = NULL;
    m->len = 0;
    keep(m, p, n);
}

/* in: FF D8 FF in the caller's bytes, NULL when it came in pieces. */
static void begin_picture(struct mjpeg *m, const uint8_t *in)
{
    m->mode = MODE_PICTURE;
    m->hint = m->part.length;
    m->part = (struct part){.length = 0};
    m->walk = jpeg_walk_from_soi();
    m->discard = false;
    m->direct = in;
    m->len = 0;
    keep(m, soi, sizeof soi);
}

static void begin_hunt(struct mjpeg *m)
{
    m->mode = MODE_HUNT;
    m->soi_matched = 0;
    m->line_len = 0;
    m->direct = NULL;
}

/* ---- how a picture ends ---- */

static void give(struct mjpeg *m, size_t n, bool mended)
{
    const uint8_t *bytes = m->direct ? m->direct : m->buf;
    begin_hunt(m);
    if (n > m->picture_max)
        m->sink.on_broken(m->sink.ctx, "too large");
    else
        m->sink.on_picture(m->sink.ctx, bytes, n, mended);
}

static void end_broken(struct mjpeg *m)
{
    begin_hunt(m);
    if (!m->discard)
        m->sink.on_broken(m->sink.ctx, "truncated");
}

static void end_at_eoi(struct mjpeg *m)
{
    if (m->discard || (m->walk.has_stray && !m->walk.has_scan)) {
        end_broken(m);
        return;
    }
    if (m->hint && m->hint != m->len)
        m->trust = LENGTH_WRONG;
    else if (m->hint && m->trust == LENGTH_UNPROVEN)
        m->trust = LENGTH_RIGHT;
    give(m, m->len, false);
}

/* The picture ends at cut and lacks its EOI. */
static void end_mended(struct mjpeg *m, size_t cut)
{
    own(m);
    if (!m->discard && !reserve(m, cut + 2))
        give_up(m, "no memory");
    if (m->discard || !m->walk.has_scan) {
        end_broken(m);
        return;
    }
    m->buf[cut] = 0xff;
    m->buf[cut + 1] = EOI;
    give(m, cut + 2, true);
}

static void end_at_boundary(struct mjpeg *m)
{
    struct boundary b = m->boundary;
    own(m);
    size_t cut = m->discard ? 0 : m->len - b.len;
    if (cut && m->buf[cut - 1] == '\r')
        cut--;
    if (!boundary_is_strong(&b) && (!cut || cut != m->hint))
        return; /* a weak one means something only at the right place */
    end_mended(m, cut);
    hunt(m, (const uint8_t *)b.pattern, b.len); /* the next part's first line; it may teach more */
}

static bool is_text(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((p[i] < ' ' || p[i] > '~') && p[i] != '\n' && p[i] != '\r' && p[i] != '\t')
            return false;
    return true;
}

/* How many of the last bytes of p[0..n) may be the header of the part that follows. */
static size_t count_text(const uint8_t *p, size_t n)
{
    size_t n_text = 0;
    while (n_text < n && n_text < TEXT_BYTES_MAX && is_text(p + n - n_text - 1, 1))
        n_text++;
    return n_text;
}

/* Where in these that header begins; n when there is none. */
static size_t find_header(const struct boundary *b, const uint8_t *text, size_t n)
{
    size_t skip = boundary_is_strong(b) ? 1 : 0; /* known ones may lack their newline */
    if (!n || text[n - 1] != '\n')
        return n;
    const uint8_t *at = memmem(text, n, b->pattern + skip, b->len - skip);
    if (!at)
        at = memchr(text, '\n', n);
    while (at > text && (at[-1] == '\r' || at[-1] == '\n'))
        at--;
    return (size_t)(at - text);
}

/* The next picture began before this one ended. */
static void end_at_soi(struct mjpeg *m)
{
    uint8_t text[TEXT_BYTES_MAX];
    size_t n_text = 0, header = 0;
    own(m);
    if (m->discard) {
        begin_hunt(m);
    } else {
        size_t end = m->len - sizeof soi;
        n_text = count_text(m->buf, end);
        memcpy(text, m->buf + end - n_text, n_text);
        header = find_header(&m->boundary, text, n_text);
        end_mended(m, end - n_text + header);
    }
    hunt(m, text + header, n_text - header);
    begin_picture(m, NULL);
}

/* FF D8 FF was chance. But FF D8 FF D8 may be the beginning of another. */
static void end_no_picture(struct mjpeg *m, uint8_t last)
{
    begin_hunt(m);
    m->soi_matched = last == SOI ? 2 : 0;
    m->part.length = m->hint;
}

/* ---- walking over a picture ---- */

static enum walked walk(struct jpeg_walk *w, const uint8_t *p, size_t n, size_t *n_walked)
{
    enum walked walked = WALK_ON;
    size_t i = 0;
    while (i < n && walked == WALK_ON) {
        size_t span = jpeg_walk_span(w, p + i, n - i);
        if (span)
            jpeg_walk_pass(w, span);
        else
            walked = jpeg_walk_byte(w, p[i]);
        i += span ? span : 1;
    }
    *n_walked = i;
    return walked;
}

/* The same, but no further than a boundary. All of it is walked and then searched, which is much
 * faster than in turns; where there is a boundary, as hardly ever, it is walked again up to that.
 */
static enum walked walk_to_boundary(struct mjpeg *m, const uint8_t *p, size_t n, size_t *n_walked)
{
    struct jpeg_walk before = m->walk;
    enum walked walked = walk(&m->walk, p, n < WALK_BYTES_MAX ? n : WALK_BYTES_MAX, n_walked);
    bool is_bounded = m->hint || boundary_is_strong(&m->boundary);
    if (!is_bounded || !boundary_find(&m->boundary, p, *n_walked, n_walked))
        return walked;
    m->walk = before;
    walk(&m->walk, p, *n_walked, n_walked);
    return WALK_BOUNDARY;
}

static size_t walk_picture(struct mjpeg *m, const uint8_t *p, size_t n)
{
    size_t used;
    enum walked walked = walk_to_boundary(m, p, n, &used);
    keep(m, p, used);
    if (walked == WALK_EOI)
        end_at_eoi(m);
    else if (walked == WALK_SOI)
        end_at_soi(m);
    else if (walked == WALK_BOUNDARY)
        end_at_boundary(m);
    else if (walked == WALK_NO_PICTURE)
        end_no_picture(m, p[used - 1]);
    return used;
}

/* ---- a picture whose length is trusted ---- */

static bool is_awaited(const struct mjpeg *m)
{
    return m->hint && m->trust == LENGTH_RIGHT && !m->discard;
}

/* The length was wrong: what waited for it is walked after all. */
static void replay(struct mjpeg *m)
{
    uint8_t *bytes = m->buf;
    size_t n = m->len;
    m->trust = LENGTH_WRONG;
    m->buf = NULL;
    m->cap = 0;
    m->len = 0;
    keep(m, soi, sizeof soi);
    mjpeg_feed(m, bytes + sizeof soi, n - sizeof soi);
    free(bytes);
}

static bool ends_with_eoi(const struct mjpeg *m)
{
    const uint8_t *bytes = m->direct ? m->direct : m->buf;
    return bytes[m->len - 2] == 0xff && bytes[m->len - 1] == EOI;
}

static size_t await_length(struct mjpeg *m, const uint8_t *p, size_t n)
{
    size_t missing = m->hint - m->len;
    size_t used = n < missing ? n : missing;
    keep(m, p, used);
    if (m->discard || m->len < m->hint)
        return used;
    if (ends_with_eoi(m)) {
        give(m, m->len, false);
    } else if (m->direct) {
        m->trust = LENGTH_WRONG;
        m->len = sizeof soi;
        return 0; /* nothing was copied yet, so walking it is all */
    } else {
        replay(m);
    }
    return used;
}

/* ---- between pictures ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The value when the line is that header, NULL when not. Blanks at its end are gone. */
static const char *header_value(const char *line, size_t n, const char *name, size_t *n_value)
{
    size_t at = strlen(name);
    if (n < at || strncasecmp(line, name, at) != 0)
        return NULL;
    while (at < n && is_blank(line[at]))
        at++;
    if (at == n || line[at++] != ':')
        return NULL;
    while (at < n && is_blank(line[at]))
        at++;
    *n_value = n - at;
    return line + at;
}

/* 0 unless it is a number that a picture's length can be. */
static size_t read_length(const char *s, size_t n, size_t max)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return 0;
        length = length * 10 + (size_t)(s[i] - '0');
        if (length > max)
            return 0;
    }
    return length > sizeof soi ? length : 0;
}

static bool begins_with(const char *s, size_t n, const char *start)
{
    size_t len = strlen(start);
    return n >= len && strncasecmp(s, start, len) == 0;
}

static void read_header(struct mjpeg *m, const char *line, size_t n)
{
    size_t n_value;
    const char *value = header_value(line, n, "Content-Length", &n_value);
    if (value)
        m->part.length = read_length(value, n_value, m->picture_max);
    value = header_value(line, n, "Content-Type", &n_value);
    if (value)
        m->part.is_other = n_value && !begins_with(value, n_value, "image/") &&
                           !begins_with(value, n_value, "multipart/");
}

/* A part that is no picture and says how long it is can be skipped, but no further than
 * the boundary, in case it lies. */
static void end_header(struct mjpeg *m)
{
    if (!m->part.is_other || !m->part.length)
        return;
    if (m->trust == LENGTH_WRONG || !boundary_is_strong(&m->boundary))
        return;
    m->mode = MODE_BODY;
    m->soi_matched = 0;
    m->skip = m->part.length;
    boundary_begin_line(&m->boundary);
}

static void end_line(struct mjpeg *m)
{
    size_t n = m->line_len;
    m->line_len = 0;
    if (n == sizeof m->line)
        return; /* cut short: it could say anything */
    while (n && is_blank(m->line[n - 1]))
        n--;
    if (n == 0)
        end_header(m);
    else if (boundary_learn(&m->boundary, m->line, n))
        m->part = (struct part){.length = 0};
    else
        read_header(m, m->line, n);
}

static void add_to_line(struct mjpeg *m, const uint8_t *p, size_t n)
{
    for (; !m->line_len && n && *p == 0; n--)
        p++; /* padding of the picture before */
    size_t room = sizeof m->line - m->line_len;
    size_t most = n < room ? n : room;
    memcpy(m->line + m->line_len, p, most);
    m->line_len += most;
}

/* Reads header lines until the bytes end or the header does. */
static size_t read_text(struct mjpeg *m, const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && m->mode == MODE_HUNT) {
        const uint8_t *newline = memchr(p + i, '\n', n - i);
        size_t end = newline ? (size_t)(newline - p) : n;
        add_to_line(m, p + i, end - i);
        i = end;
        if (newline) {
            end_line(m);
            i++;
        }
    }
    return i;
}

/* Whether c may be the next byte of FF D8 FF. */
static bool match_soi(struct mjpeg *m, uint8_t c)
{
    if (c == soi[m->soi_matched])
        m->soi_matched++;
    else
        m->soi_matched = c == 0xff;
    return m->soi_matched > 0;
}

static size_t hunt(struct mjpeg *m, const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && m->mode == MODE_HUNT) {
        if (m->soi_matched || p[i] == 0xff) {
            m->line_len = 0;
            i += match_soi(m, p[i]);
            if (m->soi_matched == sizeof soi)
                begin_picture(m, i >= sizeof soi ? p + i - sizeof soi : NULL);
            continue;
        }
        const uint8_t *ff = memchr(p + i, 0xff, n - i);
        i += read_text(m, p + i, ff ? (size_t)(ff - p) - i : n - i);
    }
    return i;
}

/* The body of a part that says it is no picture: if it begins like one, it is. */
static size_t look_at_body(struct mjpeg *m, uint8_t c)
{
    if (c != soi[m->soi_matched]) {
        m->mode = MODE_SKIP;
        m->skip -= m->soi_matched;
        m->part = (struct part){.length = 0};
        return 0;
    }
    m->soi_matched++;
    if (m->soi_matched == sizeof soi)
        begin_picture(m, NULL);
    return 1;
}

static size_t skip_body(struct mjpeg *m, const uint8_t *p, size_t n)
{
    size_t used;
    size_t most = n < m->skip ? n : m->skip;
    bool found = boundary_find(&m->boundary, p, most, &used);
    m->skip -= used;
    if (found)
        m->trust = LENGTH_WRONG;
    if (found || !m->skip)
        begin_hunt(m);
    return used;
}

/* ---- the stream ---- */

static size_t step(struct mjpeg *m, const uint8_t *p, size_t n)
{
    switch (m->mode) {
    case MODE_BODY:
        return look_at_body(m, *p);
    case MODE_SKIP:
        return skip_body(m, p, n);
    case MODE_PICTURE:
        return is_awaited(m) ? await_length(m, p, n) : walk_picture(m, p, n);
    default:
        return hunt(m, p, n);
    }
}

void mjpeg_feed(struct mjpeg *m, const uint8_t *bytes, size_t n)
{
    size_t i = 0;
    while (i < n)
        i += step(m, bytes + i, n - i);
    if (m->mode == MODE_PICTURE)
        own(m);
}

static void begin_stream(struct mjpeg *m)
{
    begin_hunt(m);
    boundary_init(&m->boundary);
    m->part = (struct part){.length = 0};
    m->trust = LENGTH_UNPROVEN;
}

/* All of its length is there, and nothing behind it but text. */
static bool has_its_length(const struct mjpeg *m)
{
    return m->hint && m->hint <= m->len && m->trust != LENGTH_WRONG &&
           is_text(m->buf + m->hint, m->len - m->hint);
}

static void end_unfinished(struct mjpeg *m)
{
    if (has_its_length(m))
        end_mended(m, m->hint);
    else if (boundary_is_strong(&m->boundary))
        mjpeg_feed(m, (const uint8_t *)"\n", 1); /* a boundary may lack the end of its line */
    if (m->mode == MODE_PICTURE)
        end_broken(m);
}

void mjpeg_end(struct mjpeg *m)
{
    if (m->mode == MODE_PICTURE && is_awaited(m))
        replay(m);
    if (m->mode == MODE_PICTURE)
        end_unfinished(m);
    begin_stream(m);
}

void mjpeg_set_boundary(struct mjpeg *m, const char *boundary)
{
    boundary_set(&m->boundary, boundary);
}

struct mjpeg *mjpeg_new(size_t picture_bytes_max, const struct mjpeg_sink *sink)
{
    struct mjpeg *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->sink = *sink;
    m->picture_max = picture_bytes_max;
    begin_stream(m);
    return m;
}

void mjpeg_free(struct mjpeg *m)
{
    if (m)
        free(m->buf);
    free(m);
}
