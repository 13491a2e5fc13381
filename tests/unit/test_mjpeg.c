/* Streams are written as scripts: <A> is picture A, <A-> is A without its EOI, <A:90> its
 * first 90 bytes, <A:90:> the rest; {A} is the length of A in digits, {A+9}, {A-9}; %.. is a
 * byte in hex. What must come out is written as "A ~B !truncated": A, B mended, a broken one. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <unistd.h>

#include "common/mjpeg.h"
#include "common/text.h"

#define PICTURE_MAX 4096
#define HEAD        "Content-Type: image/jpeg\r\n"

struct bytes {
    uint8_t *data;
    size_t n;
};

/* By their letter. A grey, B colour, P progressive, R restart markers, T an EXIF thumbnail,
 * F fill bytes, S stuffed ones in its scan, D damage there, C a boundary in a comment, M the
 * shortest one, L too large. */
struct pictures {
    struct bytes by[26];
};

static const struct bytes *picture(const struct pictures *ps, char name)
{
    assert_in_range(name, 'A', 'Z');
    return &ps->by[name - 'A'];
}

/* ---- pictures ---- */

static void set_picture(struct pictures *ps, char name, const void *data, size_t n)
{
    struct bytes *b = &ps->by[name - 'A'];
    b->data = malloc(n);
    assert_non_null(b->data);
    memcpy(b->data, data, n);
    b->n = n;
}

static void compress(struct pictures *ps, char name, int w, int h, int subsampling, int flags)
{
    uint8_t *pixels = malloc((size_t)(w * h) * 3);
    uint8_t *jpeg = NULL;
    unsigned long n = 0;
    tjhandle tj = tjInitCompress();
    assert_non_null(pixels);
    assert_non_null(tj);
    uint32_t noise = 1;
    for (int i = 0; i < w * h * 3; i++) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(noise >> 24);
    }
    assert_int_equal(tjCompress2(tj, pixels, w, 0, h, TJPF_RGB, &jpeg, &n, subsampling, 60, flags),
                     0);
    set_picture(ps, name, jpeg, n);
    tjFree(jpeg);
    tjDestroy(tj);
    free(pixels);
}

/* The picture `of` with these bytes put in at an offset. */
static void insert(struct pictures *ps, char name, char of, size_t at, const void *p, size_t n)
{
    uint8_t all[8192];
    const struct bytes *b = picture(ps, of);
    assert_true(b->n + n <= sizeof all);
    memcpy(all, b->data, at);
    memcpy(all + at, p, n);
    memcpy(all + at + n, b->data + at, b->n - at);
    set_picture(ps, name, all, b->n + n);
}

static void insert_thumbnail(struct pictures *ps, char name, char of, char thumbnail)
{
    uint8_t app1[4096] = {0xff, 0xe1, 0, 0, 'E', 'x', 'i', 'f', 0, 0};
    const struct bytes *b = picture(ps, thumbnail);
    memcpy(app1 + 10, b->data, b->n);
    app1[2] = (uint8_t)((8 + b->n) >> 8);
    app1[3] = (uint8_t)(8 + b->n);
    insert(ps, name, of, 2, app1, 10 + b->n);
}

static void *make_pictures(void)
{
    static const uint8_t fill[] = {0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t stuffed[] = {0xff, 0, 0xff, 0xff, 0, 0xff, 0, 0xff, 0xff};
    static const uint8_t comment[] = {0xff, 0xfe, 0,   12,  '\n', '-',  '-',
                                      'o',  't',  'h', 'e', 'r',  '\r', '\n'};
    static const uint8_t damage[] = {0xff, 0xd8, 0, 0xff, 0xf3, 0x7f, 0};
    static const uint8_t shortest[] = {0xff, 0xd8, 0xff, 0xd9};
    struct pictures *ps = calloc(1, sizeof *ps);
    assert_non_null(ps);
    compress(ps, 'A', 16, 16, TJSAMP_GRAY, 0);
    compress(ps, 'B', 40, 24, TJSAMP_420, 0);
    compress(ps, 'P', 24, 24, TJSAMP_444, TJFLAG_PROGRESSIVE);
    compress(ps, 'L', 96, 96, TJSAMP_444, 0);
    setenv("TJ_RESTART", "1B", 1);
    compress(ps, 'R', 32, 32, TJSAMP_422, 0);
    unsetenv("TJ_RESTART");
    insert_thumbnail(ps, 'T', 'B', 'A');
    insert(ps, 'F', 'A', 2, fill, sizeof fill);
    insert(ps, 'S', 'A', picture(ps, 'A')->n - 2, stuffed, sizeof stuffed);
    insert(ps, 'C', 'A', 2, comment, sizeof comment);
    insert(ps, 'D', 'A', picture(ps, 'A')->n - 2, damage, sizeof damage);
    set_picture(ps, 'M', shortest, sizeof shortest);
    return ps;
}

static int setup(void **state)
{
    *state = make_pictures();
    return 0;
}

static int teardown(void **state)
{
    struct pictures *ps = *state;
    for (size_t i = 0; i < 26; i++)
        free(ps->by[i].data);
    free(ps);
    return 0;
}

/* ---- scripts ---- */

static const char *add_picture(const struct pictures *ps, const char *s, struct text *out)
{
    const struct bytes *b = picture(ps, *s++);
    size_t from = 0;
    size_t to = b->n;
    if (*s == '-') {
        to -= 2;
        s++;
    } else if (*s == ':') {
        char *end;
        size_t at = strtoul(s + 1, &end, 10);
        from = *end == ':' ? at : 0;
        to = *end == ':' ? to : at;
        s = end + (*end == ':');
    }
    assert_int_equal(*s, '>');
    assert_true(from <= to && to <= b->n);
    text_add_bytes(out, b->data + from, to - from);
    return s + 1;
}

static const char *add_length(const struct pictures *ps, const char *s, struct text *out)
{
    char *end;
    long more = strtol(s + 1, &end, 10);
    text_addf(out, "%ld", (long)picture(ps, *s)->n + more);
    assert_int_equal(*end, '}');
    return end + 1;
}

static struct text build(const struct pictures *ps, const char *script)
{
    struct text out = text_heap(1 << 20);
    const char *s = script;
    while (*s) {
        if (*s == '<') {
            s = add_picture(ps, s + 1, &out);
        } else if (*s == '{') {
            s = add_length(ps, s + 1, &out);
        } else if (*s == '%') {
            char hex[3] = {s[1], s[2], 0};
            text_add_char(&out, (char)strtoul(hex, NULL, 16));
            s += 3;
        } else {
            text_add_char(&out, *s++);
        }
    }
    assert_false(out.cut);
    return out;
}

/* ---- what comes out ---- */

struct seen {
    const struct pictures *pictures;
    struct text text;
};

static void see_picture(void *ctx, const uint8_t *bytes, size_t n, bool mended)
{
    struct seen *seen = ctx;
    char name = '?';
    for (char c = 'A'; c <= 'Z'; c++) {
        const struct bytes *b = picture(seen->pictures, c);
        if (b->n == n && !memcmp(b->data, bytes, n))
            name = c;
    }
    text_addf(&seen->text, "%s%s%c", seen->text.len ? " " : "", mended ? "~" : "", name);
}

static void see_broken(void *ctx, const char *why)
{
    struct seen *seen = ctx;
    text_addf(&seen->text, "%s!%s", seen->text.len ? " " : "", why);
}

/* From memory of just that size, so that the sanitizer sees a byte too many. */
static void feed(struct mjpeg *m, const char *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n)
        memcpy(copy, bytes, n);
    mjpeg_feed(m, copy, n);
    memset(copy, 0x55, n);
    free(copy);
}

struct row {
    const char *name;
    const char *boundary; /* parameter of Content-Type, or NULL */
    const char *script;
    const char *want;
};

/* The first read has `first` bytes, those behind it `step`. */
static void expect(struct mjpeg *m, struct seen *seen, const struct row *row, const struct text *in,
                   size_t first, size_t step)
{
    text_clear(&seen->text);
    if (row->boundary)
        mjpeg_set_boundary(m, row->boundary);
    feed(m, in->data, first);
    for (size_t at = first; at < in->len; at += step)
        feed(m, in->data + at, step < in->len - at ? step : in->len - at);
    mjpeg_end(m);
    if (strcmp(text_str(&seen->text), row->want) != 0)
        fail_msg("%s: reads of %zu and then %zu bytes: \"%s\", not \"%s\"", row->name, first, step,
                 text_str(&seen->text), row->want);
}

static void check_rows(const struct pictures *ps, const struct row *rows, size_t n)
{
    struct seen seen = {ps, text_heap(1 << 16)};
    struct mjpeg_sink sink = {&seen, see_picture, see_broken};
    for (size_t i = 0; i < n; i++) {
        struct text in = build(ps, rows[i].script);
        struct mjpeg *m = mjpeg_new(PICTURE_MAX, &sink);
        assert_non_null(m);
        for (size_t cut = 0; cut <= in.len; cut++)
            expect(m, &seen, &rows[i], &in, cut, in.len);
        for (size_t step = 1; step < 8; step++)
            expect(m, &seen, &rows[i], &in, 0, step);
        mjpeg_free(m);
        text_deinit(&in);
    }
    text_deinit(&seen.text);
}

#define CHECK(rows) check_rows(*state, rows, sizeof rows / sizeof rows[0])

/* ---- the tables ---- */

static void the_pictures_of_this_test_can_be_decoded(void **state)
{
    const struct pictures *ps = *state;
    uint8_t pixels[96 * 96 * 3];
    tjhandle tj = tjInitDecompress();
    for (const char *name = "ABPRTFCL"; *name; name++) {
        const struct bytes *b = picture(ps, *name);
        int w, h, sub, space;
        assert_int_equal(tjDecompressHeader3(tj, b->data, b->n, &w, &h, &sub, &space), 0);
        assert_int_equal(
            tjDecompress2(tj, b->data, b->n, pixels, w, 0, h, TJPF_RGB, TJFLAG_STOPONWARNING), 0);
    }
    tjDestroy(tj);
    assert_true(picture(ps, 'L')->n > PICTURE_MAX);
    assert_true(picture(ps, 'T')->n < PICTURE_MAX);
    assert_non_null(memmem(picture(ps, 'R')->data, picture(ps, 'R')->n, "\xff\xd0", 2));
    assert_non_null(memmem(picture(ps, 'P')->data, picture(ps, 'P')->n, "\xff\xc2", 2));
}

static void finds_bare_pictures(void **state)
{
    static const struct row rows[] = {

        {"markers in a scan that damage made", NULL, "<D><A><D>", "D A D"},
        {"SOI twice", NULL, "%ff%d8<A>", "A"},
        {"nothing", NULL, "", ""},
        {"one", NULL, "<A>", "A"},
        {"back to back", NULL, "<A><B><A>", "A B A"},
        {"the shortest", NULL, "<M><A><M>", "M A M"},
        {"a size that changes", NULL, "<A><B><T><A>", "A B T A"},
        {"progressive with several scans", NULL, "<P><P>", "P P"},
        {"restart markers", NULL, "<R><A><R>", "R A R"},
        {"fill bytes before markers", NULL, "<F><F>", "F F"},
        {"stuffed FF 00 and fill bytes in a scan", NULL, "<S><A><S>", "S A S"},
        {"the EOI and the SOI of a thumbnail", NULL, "<T><T><B>", "T T B"},
        {"padding after EOI", NULL, "<A>%00%00%00%00<B>%ff%ff%ff<A>\r\n\r\n", "A B A"},
        {"joined in a scan", NULL, "<B:640:><A><B>", "A B"},
        {"joined in a segment", NULL, "<B:30:><A><B>", "A B"},
        {"joined between FF and D8", NULL, "%d8%ff%e0<A>", "A"},
        {"text that is no stream", NULL, "hello\n--\n\n--x\n", ""},
    };
    CHECK(rows);
}

static void finds_pictures_in_multipart(void **state)
{
    static const struct row rows[] = {

        {"a parameter in quotes, before any line", " \"b0und\" ", HEAD "\r\n<A->\r\n--b0und", "~A"},
        {"a boundary that begins another line", "oth", "--oth\r\n\r\n<C>\r\n--oth\r\n\r\n<A>",
         "C A"},
        {"dashes in a picture where no boundary is known", NULL, "Content-Length: {C}\r\n\r\n<C>",
         "C"},
        {"parts after the last one", NULL, "--b0und--\r\n\r\n<A->\r\n--b0und", "~A"},
        {"padding before the boundary", NULL, "<A>%00%00--b0und\r\n\r\n<B->\r\n--b0und", "A ~B"},
        {"FF before the boundary", NULL, "<A>%ff%ff--b0und\r\n\r\n<B->\r\n--b0und", "A ~B"},
        {"as the book has it", "b0und",
         "--b0und\r\n" HEAD "Content-Length: {A}\r\n\r\n<A>\r\n--b0und\r\n" HEAD
         "Content-Length: {B}\r\n\r\n<B>\r\n--b0und--\r\n",
         "A B"},
        {"a preamble and an epilogue", "b0und",
         "This is a\nmultipart stream.\r\n--b0und\r\n\r\n<A>\r\n--b0und--\r\nThat was it.\r\n",
         "A"},
        {"a quoted boundary", "\"b0und\"", "--b0und\r\n\r\n<A->\r\n--b0und\r\n\r\n<B>", "~A B"},
        {"a parameter with dashes", "--b0und", "--b0und\r\n\r\n<A->\r\n--b0und\r\n\r\n<B>", "~A B"},
        {"dashes as RFC 2046 adds them", "--b0und", "----b0und\r\n\r\n<A->\r\n----b0und\r\n\r\n<B>",
         "~A B"},
        {"lines without dashes", "b0und", "b0und\r\n\r\n<A->\r\nb0und\r\n\r\n<B->\r\nb0und\r\n",
         "~A ~B"},
        {"lines without the parameter's dashes", "--b0und",
         "b0und\r\n\r\n<A->\r\nb0und\r\n\r\n<B->\r\nb0und\r\n", "~A ~B"},
        {"a boundary that is not the parameter", "this", "--that\r\n\r\n<A->\r\n--that\r\n\r\n<B>",
         "~A B"},
        {"no parameter", NULL, "--b0und\r\n\r\n<A->\r\n--b0und\r\n\r\n<B>", "~A B"},
        {"no boundary before the first part", "b0und", HEAD "\r\n<A>\r\n--b0und\r\n" HEAD "\r\n<B>",
         "A B"},
        {"no boundary anywhere", NULL, HEAD "\r\n<A>\r\n" HEAD "\r\n<B>\r\n", "A B"},
        {"the boundary glued to the picture", "b0und",
         "--b0und\r\n\r\n<A>--b0und\r\n\r\n<B>--b0und", "A B"},
        {"LF only", "b0und",
         "--b0und\n" HEAD
         "Content-Length: {A}\n\n<A>\n--b0und\nContent-Length: {B}\n\n<B>\n--b0und--\n",
         "A B"},
        {"no header at all", "b0und", "--b0und\r\n<A>\r\n--b0und\r\n<B>\r\n", "A B"},
        {"a thumbnail and lengths", "b0und",
         "--b0und\r\nContent-Length: {T}\r\n\r\n<T>\r\n--b0und\r\nContent-Length: "
         "{T}\r\n\r\n<T>\r\n"
         "--b0und\r\nContent-Length: {B}\r\n\r\n<B>",
         "T T B"},
        {"another boundary within a picture", "b0und", "--b0und\r\n\r\n<C>\r\n--b0und\r\n\r\n<C>",
         "C C"},
        {"joined in mid-frame", "b0und", "<B:700:>\r\n--b0und\r\nContent-Length: {A}\r\n\r\n<A>",
         "A"},
        {"a long header line", "b0und",
         "--b0und\r\nX-Long: 0123456789012345678901234567890123456789012345678901234567890123456789"
         "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
         "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
         "9\r\nContent-Length: {A}\r\n\r\n<A>\r\n--b0und\r\n\r\n<B>",
         "A B"},
    };
    CHECK(rows);
}

#define PART(length, body) "\r\n--b0und\r\n" HEAD "Content-Length: " length "\r\n\r\n" body

static void does_not_need_honest_lengths(void **state)
{
    static const struct row rows[] = {
        {"right", NULL, PART("{A}", "<A>") PART("{B}", "<B>") PART("{A}", "<A>"), "A B A"},
        {"too small", NULL, PART("{A-9}", "<A>") PART("{B-9}", "<B>"), "A B"},
        {"too large", NULL, PART("{A+9}", "<A>") PART("{B+900}", "<B>") PART("{A+1}", "<A>"),
         "A B A"},
        {"zero", NULL, PART("0", "<A>") PART("0", "<B>"), "A B"},
        {"tiny", NULL, PART("1", "<A>") PART("4", "<B>"), "A B"},
        {"negative", NULL, PART("-1", "<A>") PART("-{B}", "<B>"), "A B"},
        {"absurd", NULL, PART("99999999999999999999999999", "<A>") PART("4294967295", "<B>"),
         "A B"},
        {"words", NULL, PART("unknown", "<A>") PART("", "<B>"), "A B"},
        {"padded with blanks and zeros", NULL, PART("   00000{A} \t", "<A>") PART("000{B}", "<B>"),
         "A B"},
        {"counting padding", NULL, PART("{A+4}", "<A>%00%00%00%00") PART("{B+2}", "<B>\r\n"),
         "A B"},
        {"any case, blanks before the colon", NULL,
         "--b0und\r\ncontent-LENGTH : {A}\r\n\r\n<A>\r\n--b0und\r\nCONTENT-LENGTH:{B}\r\n\r\n<B>",
         "A B"},
        {"right, then too small", NULL, PART("{A}", "<A>") PART("{B-9}", "<B>") PART("{A}", "<A>"),
         "A B A"},
        {"right, then too large", NULL,
         PART("{A}", "<A>") PART("{B+900}", "<B>") PART("{A+9}", "<A>") PART("{B}", "<B>"),
         "A B A B"},
        {"right, then too large for what is left", NULL,
         PART("{A}", "<A>") PART("{B+900}", "<B>") PART("{A}", "<A>"), "A B A"},
        {"right, then a picture cut short", NULL,
         PART("{A}", "<A>") PART("{B}", "<B:700>") PART("{A}", "<A>"), "A ~? A"},
        {"right, then a picture cut in its header", NULL,
         PART("{A}", "<A>") PART("{B}", "<B:100>") PART("{A}", "<A>"), "A !truncated A"},
        {"right, then without EOI", NULL,
         PART("{A}", "<A>") PART("{B-2}", "<B->") PART("{A}", "<A>"), "A ~B A"},
        {"right, then another one's", NULL,
         PART("{A}", "<A>") PART("{B}", "<A>") PART("{A}", "<B>") PART("{A}", "<A>"), "A A B A"},
        {"right, then absurd", NULL, PART("{A}", "<A>") PART("999999999", "<B>") PART("{A}", "<A>"),
         "A B A"},
        {"for one of two", NULL, PART("{A}", "<A>") "\r\n--b0und\r\n\r\n<B>" PART("{A}", "<A>"),
         "A B A"},
    };
    CHECK(rows);
}

static void skips_parts_that_are_no_pictures(void **state)
{
    static const struct row rows[] = {

        {"pictures hidden in two of them", NULL,
         "--b0und\r\nContent-Type: audio/x\r\nContent-Length: {A+5}\r\n\r\nnoise<A>\r\n--b0und\r\n"
         "Content-Type: audio/x\r\nContent-Length: {A+5}\r\n\r\nnoise<A>\r\n--b0und\r\n\r\n<B>",
         "B"},

        {"other data that begins like a picture", "b0und",
         "Content-Type: audio/x\r\nContent-Length: 7\r\n\r\n%ff%d8noise<A>", "A"},
        {"a length where nothing is", "b0und",
         "Content-Type: audio/x\r\nContent-Length: 4000\r\n\r\n--b0und\r\n\r\n<A>", "A"},
        {"no more by lengths once one lied", NULL,
         "--b0und\r\nContent-Type: audio/x\r\nContent-Length: 4000\r\n\r\nnoise\r\n--b0und\r\n"
         "Content-Type: audio/x\r\nContent-Length: {A+5}\r\n\r\nnoise<A>\r\n--b0und\r\n\r\n<B>",
         "A B"},
        {"text", NULL, "--b0und\r\nContent-Type: text/plain\r\n\r\nhello\r\n" PART("{A}", "<A>"),
         "A"},
        {"a picture hidden in other data", NULL,
         "--b0und\r\nContent-Type: audio/basic\r\nContent-Length: {A+6}\r\n\r\nnoise%ff<A>" PART(
             "{B}", "<B>"),
         "B"},
        {"the same with the length first and LF", NULL,
         "--b0und\nContent-Length: {A+6}\nContent-Type: audio/basic\n\nnoise%ff<A>\n--b0und\n\n<B>",
         "B"},
        {"two of them", NULL,
         PART(
             "{A}",
             "<A>") "\r\n--b0und\r\nContent-Type: audio/x\r\nContent-Length: 8\r\n\r\n"
                    "%ff%d8%ffnois\r\n--b0und\r\nContent-Type: audio/x\r\nContent-Length: 9\r\n\r\n"
                    "noise%ff%d8%ff%e0" PART("{B}", "<B>"),
         "A !truncated B"},
        {"a length that is too large", NULL,
         "--b0und\r\nContent-Type: audio/x\r\nContent-Length: 4000\r\n\r\nnoise" PART("{A}", "<A>")
             PART("{B}", "<B>"),
         "A B"},
        {"a length that is too small", NULL,
         "--b0und\r\nContent-Type: text/xml\r\nContent-Length: 5\r\n\r\n<A:0><A:0>noisenoise" PART(
             "{A}", "<A>"),
         "A"},
        {"a length that is absurd", NULL,
         "--b0und\r\nContent-Type: text/xml\r\nContent-Length: 99999999999\r\n\r\nnoise" PART(
             "{A}", "<A>"),
         "A"},
        {"a length without a boundary", NULL,
         "Content-Type: text/plain\r\nContent-Length: 4000\r\n\r\nnoise\r\n" HEAD "\r\n<A><B>",
         "A B"},
        {"a picture that says it is none", NULL,
         "--b0und\r\nContent-Type: text/html\r\nContent-Length: {A}\r\n\r\n<A>"
         "\r\n--b0und\r\nContent-Type: text/html\r\nContent-Length: {B}\r\n\r\n<B>",
         "A B"},
        {"an HTTP header before the first part", NULL,
         "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=b0und\r\n"
         "Content-Length: 3000\r\n\r\n--b0und\r\n\r\n<A>" PART("{B}", "<B>"),
         "A B"},
    };
    CHECK(rows);
}

static void mends_pictures_without_eoi(void **state)
{
    static const struct row rows[] = {

        {"at the boundary, not at binary dashes", NULL,
         "--b0und\r\n\r\n<A>\r\n--%01noise\r\n<B->\r\n--b0und", "A ~B"},

        {"at a boundary learned by its place", NULL,
         "Content-Length: {A-2}\r\n\r\n<A->\r\n--b0und\r\n\r\n<B->\r\n--b0und--", "~A ~B"},
        {"at a boundary learned at the next picture", NULL,
         "<A->\r\n--b0und\r\n" HEAD "\r\n<B->\r\n--b0und--", "~A ~B"},
        {"at the end, with its length, after SOI twice", NULL,
         "Content-Length: {A-2}\r\n\r\n%ff%d8<A->", "~A"},
        {"at the boundary", "b0und", "--b0und\r\n\r\n<A->\r\n--b0und\r\n\r\n<B->\r\n--b0und--\r\n",
         "~A ~B"},
        {"at the boundary, LF", "b0und", "--b0und\n\n<A->\n--b0und\n\n<B->\n--b0und--\n", "~A ~B"},
        {"at a boundary that ends the stream", "b0und", "--b0und\n\n<A->\n--b0und", "~A"},
        {"at the boundary, with lengths", "b0und",
         PART("{A-2}", "<A->") PART("{B-2}", "<B->") "\r\n--b0und", "~A ~B"},
        {"at the boundary, then a header that counts", "b0und",
         "--b0und\r\n\r\n<A->" PART("{B}", "<B>") PART("{A}", "<A>") PART("{A-2}", "<A->"),
         "~A B A !truncated"},
        {"at a boundary known by its place", NULL,
         "Content-Length: {A-2}\r\n\r\n<A->\r\n--b\r\nContent-Length: "
         "{B-2}\r\n\r\n<B->\r\n--b--\r\n",
         "~A ~B"},
        {"at the next picture", NULL, "<A-><B-><A>", "~A ~B A"},
        {"at the next picture's header", NULL,
         "<A->\r\n" HEAD "\r\n<B->\r\n" HEAD "Content-Length: {A}\r\n\r\n<A>", "~A ~B A"},
        {"at a boundary never seen before", NULL, "<A->\r\n--b0und\r\n" HEAD "\r\n<B>", "~A B"},
        {"at a boundary glued to it", "b0und", "<P->--b0und\r\n" HEAD "\r\n<B>", "~P B"},
        {"at a boundary of one letter", "b", "--b\r\n\r\n<A->\r\n--b\r\n\r\n<B>", "~A B"},
        {"at the end, with its length", NULL, "--b0und\r\nContent-Length: {A-2}\r\n\r\n<A->", "~A"},
        {"at the end, with its length and a line", NULL,
         "--b0und\r\nContent-Length: {A-2}\r\n\r\n<A->\r\n", "~A"},
        {"restart markers and a progressive one", "b0und",
         "--b0und\r\n\r\n<R->\r\n--b0und\r\n\r\n<P->\r\n--b0und\r\n\r\n<T->\r\n--b0und--",
         "~R ~P ~T"},
    };
    CHECK(rows);
}

static void tells_what_is_broken(void **state)
{
    static const struct row rows[] = {

        {"cut off behind a length that was too small", NULL, "Content-Length: 700\r\n\r\n<B:720>",
         "!truncated"},
        {"cut off at the end", NULL, "<A><B:700>", "A !truncated"},
        {"cut off in a segment", NULL, "<A><B:20>", "A !truncated"},
        {"cut off before its length", NULL, "Content-Length: {B}\r\n\r\n<B:700>", "!truncated"},
        {"cut off before a trusted length", NULL,
         "Content-Length: {A}\r\n\r\n<A>\r\nContent-Length: {B}\r\n\r\n<B:700>", "A !truncated"},
        {"a whole one before a trusted length", NULL,
         "Content-Length: {A}\r\n\r\n<A>\r\nContent-Length: {B+90}\r\n\r\n<B>", "A B"},
        {"no scan, then a boundary", "b0und", "--b0und\r\n\r\n<B:100>\r\n--b0und\r\n\r\n<A>",
         "!truncated A"},
        {"no scan, then the next", NULL, "%ff%d8%ff%e0%00%02<A><B>", "!truncated A B"},
        {"segments that lead nowhere", NULL, "%ff%d8%ff%e0%00%02xx%ff%d9<A>", "!truncated A"},
        {"a length of less than itself", NULL, "%ff%d8%ff%e0%00%01%ff%d9<A>", "!truncated A"},
        {"not worth telling", NULL, "%ff%d8%ff%00%ff%d8%ff%d8%ff%13<A>", "A"},
        {"too large", NULL, "<L><A>", "!too large A"},
        {"too large, and the next too", NULL, "<A><L><L><B>", "A !too large !too large B"},
        {"too large, with a length", NULL, PART("{A}", "<A>") PART("{L}", "<L>") PART("{B}", "<B>"),
         "A !too large B"},
        {"too large, without EOI", NULL, PART("{L}", "<L->") PART("{B}", "<B>") "<L-><A>",
         "!too large B !too large A"},
        {"too large to the end", NULL, "<L->", "!too large"},
    };
    CHECK(rows);
}

/* ---- limits ---- */

static struct mjpeg *new_with(struct seen *seen, size_t picture_max)
{
    struct mjpeg_sink sink = {seen, see_picture, see_broken};
    struct mjpeg *m = mjpeg_new(picture_max, &sink);
    assert_non_null(m);
    return m;
}

static void a_picture_may_be_as_large_as_the_limit_and_no_larger(void **state)
{
    static const char *const scripts[] = {"<A><M>", "<A-><M>", "<A->\r\n--b0und\r\n\r\n<M>"};
    static const char *const fits[] = {"A M", "~A M", "~A M"};
    const struct pictures *ps = *state;
    struct seen seen = {ps, text_heap(1 << 10)};
    for (size_t i = 0; i < 3; i++) {
        struct text in = build(ps, scripts[i]);
        for (size_t less = 0; less < 2; less++) {
            struct mjpeg *m = new_with(&seen, picture(ps, 'A')->n - less);
            mjpeg_set_boundary(m, "b0und");
            text_clear(&seen.text);
            feed(m, in.data, in.len);
            mjpeg_end(m);
            assert_string_equal(text_str(&seen.text), less ? "!too large M" : fits[i]);
            mjpeg_free(m);
        }
        text_deinit(&in);
    }
    text_deinit(&seen.text);
}

/* Nothing of the next part is there yet, and no wrong length may make it late. */
static void a_picture_is_given_with_its_last_byte(void **state)
{
    static const char *const heads[][3] = {
        {"", "", ""},
        {"Content-Length: {A}\r\n\r\n", "Content-Length: {A}\r\n\r\n",
         "Content-Length: {A}\r\n\r\n"},
        {"Content-Length: {A+9}\r\n\r\n", "Content-Length: {A}\r\n\r\n",
         "Content-Length: {A+9}\r\n\r\n"},
        {"Content-Length: {A}\r\n\r\n", "Content-Length: {A-9}\r\n\r\n",
         "Content-Length: {A+9}\r\n\r\n"},
    };
    const struct bytes *a = picture(*state, 'A');
    struct seen seen = {*state, text_heap(1 << 10)};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct mjpeg *m = new_with(&seen, PICTURE_MAX);
        text_clear(&seen.text);
        for (size_t k = 0; k < 3; k++) {
            struct text head = build(*state, heads[i][k]);
            feed(m, text_str(&head), head.len);
            feed(m, (const char *)a->data, a->n - 1);
            assert_int_equal(seen.text.len, k ? 2 * k - 1 : 0);
            feed(m, "\xd9", 1);
            assert_int_equal(seen.text.len, 2 * k + 1);
            text_deinit(&head);
        }
        mjpeg_free(m);
    }
    text_deinit(&seen.text);
}

static void a_picture_without_eoi_is_given_with_the_boundary(void **state)
{
    const struct pictures *ps = *state;
    struct seen seen = {ps, text_heap(1 << 10)};
    struct mjpeg *m = new_with(&seen, PICTURE_MAX);
    mjpeg_set_boundary(m, "b0und");
    feed(m, (const char *)picture(ps, 'A')->data, picture(ps, 'A')->n - 2);
    feed(m, "\r\n--b0und", 9);
    assert_int_equal(seen.text.len, 0);
    feed(m, "\r", 1);
    assert_string_equal(text_str(&seen.text), "~A");
    mjpeg_free(m);
    text_deinit(&seen.text);
}

static void a_new_stream_knows_nothing_of_the_old_one(void **state)
{
    const struct pictures *ps = *state;
    struct seen seen = {ps, text_heap(1 << 10)};
    struct mjpeg *m = new_with(&seen, PICTURE_MAX);
    struct text old = build(ps, PART("{A}", "<A>") PART("{B}", "<B:700>"));
    struct text new = build(ps, "Content-Length: {B+99}\r\n\r\n<B>\r\n");
    feed(m, old.data, old.len);
    mjpeg_end(m);
    feed(m, new.data, new.len);
    assert_string_equal(text_str(&seen.text), "A !truncated B");
    mjpeg_end(m);
    assert_string_equal(text_str(&seen.text), "A !truncated B");
    mjpeg_free(m);
    text_deinit(&old);
    text_deinit(&new);
    text_deinit(&seen.text);
}

static size_t resident_bytes(void)
{
    unsigned long all, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &all, &resident), 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void garbage_does_not_grow_memory(void **state)
{
    static const char *const begins[] = {"", "<B:700>",
                                         "--b0und\r\nContent-Length: 2000000\r\n\r\n<B:700>"};
    size_t n = (size_t)64 << 20;
    struct seen seen = {*state, text_heap(1 << 16)};
    uint8_t *garbage = malloc(n);
    assert_non_null(garbage);
    uint32_t noise = 7;
    for (size_t i = 0; i < n; i++) {
        noise = noise * 1664525u + 1013904223u;
        garbage[i] = noise >> 24 == 0xff ? 0xfe : (uint8_t)(noise >> 24);
    }
    for (size_t i = 0; i < 3; i++) {
        struct mjpeg *m = new_with(&seen, 1 << 20);
        struct text begin = build(*state, begins[i]);
        text_clear(&seen.text);
        size_t before = resident_bytes();
        feed(m, begin.data, begin.len);
        mjpeg_feed(m, garbage, n);
        mjpeg_feed(m, garbage, n);
        assert_in_range(resident_bytes(), 0, before + ((size_t)4 << 20));
        assert_string_equal(text_str(&seen.text), i ? "!too large" : "");
        mjpeg_free(m);
        text_deinit(&begin);
    }
    free(garbage);
    text_deinit(&seen.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pictures_of_this_test_can_be_decoded),
        cmocka_unit_test(finds_bare_pictures),
        cmocka_unit_test(finds_pictures_in_multipart),
        cmocka_unit_test(does_not_need_honest_lengths),
        cmocka_unit_test(skips_parts_that_are_no_pictures),
        cmocka_unit_test(mends_pictures_without_eoi),
        cmocka_unit_test(tells_what_is_broken),
        cmocka_unit_test(a_picture_may_be_as_large_as_the_limit_and_no_larger),
        cmocka_unit_test(a_picture_is_given_with_its_last_byte),
        cmocka_unit_test(a_picture_without_eoi_is_given_with_the_boundary),
        cmocka_unit_test(a_new_stream_knows_nothing_of_the_old_one),
        cmocka_unit_test(garbage_does_not_grow_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
