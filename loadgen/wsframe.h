/* wsframe.h - a binary WebSocket message as a client sends it (RFC 6455, 5.2 and 5.3).
 *
 * libwebsockets masks a client's payload in place, byte by byte: 100 us for a frame of 46 KB, and
 * the bytes are spoiled for the next session. Here one pass over the shared frame writes head and
 * masked payload into a scratch buffer, 8 bytes at a time, and the library sends that as it is.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define WSFRAME_FRAGMENTS_MAX 4096

/* Room that a message of n bytes in fragments of that size needs (0: one fragment). */
size_t wsframe_room(size_t n, size_t fragment_bytes);

/* How many fragments, each of which needs a key of its own. */
size_t wsframe_count(size_t n, size_t fragment_bytes);

/* Writes the message; keys: one for each fragment. Gives its length. */
size_t wsframe_write(uint8_t *out, const uint8_t *bytes, size_t n, size_t fragment_bytes,
                     const uint32_t *keys);
