#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/clock.h"
#include "loadgen/outputs.h"

/* The HdrHistogram log format 1.3 with V2 payloads, as HistogramLogWriter writes and every port
 * reads it: counts as ZigZag LEB128 numbers, runs of empty slots as one negative number,
 * deflated, in base64. Values are microseconds, 3 significant digits, 1 us to an hour. A
 * latency stands at the upper edge of our bucket. */

#define COOKIE             0x1c849313u /* V2, with 16 where the word size was */
#define COMPRESSED_COOKIE  0x1c849314u
#define SIGNIFICANT_DIGITS 3
#define HIGHEST_US         3600000000ull
#define SUB_BUCKETS        2048u /* the power of two from 2 * 10^3 up */
#define HALF               (SUB_BUCKETS / 2)
#define HEADER_BYTES       40
#define SLOTS              ((22 + 1) * HALF) /* 2048 << 21 is more than an hour */
#define PAYLOAD_MAX        (HEADER_BYTES + SLOTS * 9)

static size_t slot_of(uint64_t us)
{
    uint64_t v = us > HIGHEST_US ? HIGHEST_US : us;
    unsigned top = 63u - (unsigned)__builtin_clzll(v | (SUB_BUCKETS - 1));
    unsigned shift = top - 10; /* 2^11 sub-buckets: the top bit of the first range is bit 10 */
    return ((size_t)shift + 1) * HALF + (size_t)((v >> shift) - HALF);
}

static uint8_t *add_zigzag(uint8_t *at, int64_t value)
{
    uint64_t v = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (int i = 0; i < 8 && v >= 0x80; i++) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v; /* a ninth byte holds all of its 8 bits */
    return at;
}

static size_t encode_counts(uint8_t *out, const struct hist *h)
{
    static const size_t last = SLOTS;
    int64_t *count = calloc(last, sizeof *count);
    size_t used = 0, empty = 0;
    uint8_t *at = out;
    if (!count)
        return 0;
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        uint64_t high_us = hist_bucket_high_us(i);
        size_t slot = slot_of(high_us > h->max_us ? h->max_us : high_us);
        if (h->bucket[i]) {
            count[slot] += (int64_t)h->bucket[i];
            used = slot + 1 > used ? slot + 1 : used;
        }
    }
    for (size_t i = 0; i < used; i++) {
        if (!count[i]) {
            empty++;
            continue;
        }
        if (empty)
            at = add_zigzag(at, -(int64_t)empty);
        empty = 0;
        at = add_zigzag(at, count[i]);
    }
    free(count);
    return (size_t)(at - out);
}

static uint8_t *put32(uint8_t *at, uint32_t v)
{
    v = htobe32(v);
    memcpy(at, &v, sizeof v);
    return at + sizeof v;
}

static uint8_t *put64(uint8_t *at, uint64_t v)
{
    v = htobe64(v);
    memcpy(at, &v, sizeof v);
    return at + sizeof v;
}

static size_t encode(uint8_t *out, const struct hist *h)
{
    double ratio = 1.0;
    uint64_t ratio_bits;
    size_t n = encode_counts(out + HEADER_BYTES, h);
    memcpy(&ratio_bits, &ratio, sizeof ratio_bits);
    uint8_t *at = put32(out, COOKIE);
    at = put32(at, (uint32_t)n);
    at = put32(at, 0); /* normalizing index offset */
    at = put32(at, SIGNIFICANT_DIGITS);
    at = put64(at, 1);
    at = put64(at, HIGHEST_US);
    put64(at, ratio_bits);
    return HEADER_BYTES + n;
}

static void add_base64(struct text *out, const uint8_t *bytes, size_t n)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                     (left > 2 ? bytes[i + 2] : 0);
        char four[5] = {letters[v >> 18], letters[v >> 12 & 63],
                        left > 1 ? letters[v >> 6 & 63] : '=', left > 2 ? letters[v & 63] : '=', 0};
        text_add(out, four);
    }
}

/* The payload, deflated and in base64; a text that is cut when there is no memory for it. */
static void add_payload(struct text *out, const struct hist *h)
{
    uint8_t *plain = malloc(PAYLOAD_MAX);
    uLongf packed_bytes = compressBound(PAYLOAD_MAX);
    uint8_t *packed = malloc(8 + packed_bytes);
    size_t n = plain ? encode(plain, h) : 0;
    if (plain && packed && compress(packed + 8, &packed_bytes, plain, n) == Z_OK) {
        put32(put32(packed, COMPRESSED_COOKIE), (uint32_t)packed_bytes);
        add_base64(out, packed, 8 + packed_bytes);
    } else {
        out->cut = true;
    }
    free(plain);
    free(packed);
}

/* A tag ends at a comma or a space. */
static void add_tag(struct text *out, const char *name)
{
    text_add(out, "Tag=");
    for (; *name; name++)
        text_add_char(out, *name == ',' || *name == ' ' ? '_' : *name);
    text_add_char(out, ',');
}

static void add_line(struct text *out, double at_s, double interval_s, const struct hist *h)
{
    text_addf(out, "%.3f,%.3f,%.3f,", at_s, interval_s, (double)h->max_us / 1000.0);
    add_payload(out, h);
    text_add_char(out, '\n');
}

void hdr_write(struct text *out, const struct report *r)
{
    char iso[32];
    clock_iso(r->started_wall_s, iso);
    text_add(out, "#[Histogram log format version 1.3]\n");
    text_addf(out, "#[StartTime: %.3f (seconds since epoch), %s]\n", r->started_wall_s, iso);
    text_add(out, "#[Latency from due to answer, in microseconds; Interval_Max in milliseconds]\n");
    text_add(out, "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
                  "\"Interval_Compressed_Histogram\"\n");
    for (size_t i = 0; i < r->record.n_seconds; i++) {
        struct hist h = {0};
        record_unpack(&r->record.second[i], &h);
        add_line(out, (double)i, 1.0, &h);
    }
    for (size_t i = 0; i < r->n_profiles; i++) {
        add_tag(out, r->profile[i].name);
        add_line(out, (double)r->warmup_us / 1e6, report_counted_s(r),
                 &r->record.part[i].time[RECORD_LATENCY]);
    }
}
