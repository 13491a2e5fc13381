#include "common/wsframe.h"

#include <stdbool.h>
#include <string.h>

enum { OP_CONTINUATION = 0x00, OP_BINARY = 0x02, FIN = 0x80, MASKED = 0x80 };

size_t wsframe_count(size_t n, size_t fragment_bytes)
{
    if (fragment_bytes == 0 || n <= fragment_bytes)
        return 1;
    return (n + fragment_bytes - 1) / fragment_bytes;
}

size_t wsframe_room(size_t n, size_t fragment_bytes)
{
    return n + wsframe_count(n, fragment_bytes) * WSFRAME_HEAD_MAX;
}

static size_t write_head(uint8_t *out, unsigned first, size_t n, uint32_t key)
{
    size_t at = 0, length_bytes = n < 126 ? 0 : n < 65536 ? 2 : 8;
    out[at++] = (uint8_t)first;
    out[at++] = (uint8_t)(MASKED | (n < 126 ? n : n < 65536 ? 126 : 127));
    for (size_t i = length_bytes; i-- > 0;)
        out[at++] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(out + at, &key, sizeof key);
    return at + sizeof key;
}

size_t wsframe_head(uint8_t *out, size_t n, uint32_t key)
{
    return write_head(out, FIN | OP_BINARY, n, key);
}

/* memcpy is how C says "any alignment"; it compiles to one load or store. */
void wsframe_mask(uint8_t *out, const uint8_t *bytes, size_t n, uint32_t key)
{
    uint64_t wide = (uint64_t)key << 32 | key, word[4];
    uint8_t key_bytes[4];
    size_t i = 0;
    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(word, bytes + i, sizeof word);
        for (size_t k = 0; k < 4; k++)
            word[k] ^= wide;
        memcpy(out + i, word, sizeof word);
    }
    memcpy(key_bytes, &key, sizeof key);
    for (; i < n; i++)
        out[i] = bytes[i] ^ key_bytes[i % 4];
}

size_t wsframe_write(uint8_t *out, const uint8_t *bytes, size_t n, size_t fragment_bytes,
                     const uint32_t *keys)
{
    size_t at = 0, done = 0, n_fragments = wsframe_count(n, fragment_bytes);
    for (size_t i = 0; i < n_fragments; i++) {
        bool last = i + 1 == n_fragments;
        size_t piece = last ? n - done : fragment_bytes;
        unsigned first = (i ? OP_CONTINUATION : OP_BINARY) | (last ? FIN : 0u);
        at += write_head(out + at, first, piece, keys[i]);
        wsframe_mask(out + at, bytes + done, piece, keys[i]);
        at += piece;
        done += piece;
    }
    return at;
}
