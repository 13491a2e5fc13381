/* wsframe.h - a binary WebSocket message as a client sends it (RFC 6455, 5.2 and 5.3).
 *
 * libwebsockets masks a client's payload in place, byte by byte: 100 us for a frame of 46 KB, and
 * the bytes are spoiled for who else has them. Here one pass over them writes head and masked
 * payload into a scratch buffer, 32 bytes at a time, and the library sends that as it is.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define WSFRAME_HEAD_MAX      14 /* 2, 8 of length, 4 of key */
#define WSFRAME_FRAGMENTS_MAX 4096

/* Room that a message of n bytes in fragments of that size needs (0: one fragment). */
size_t wsframe_room(size_t n, size_t fragment_bytes);

/* How many fragments, each of which needs a key of its own. */
size_t wsframe_count(size_t n, size_t fragment_bytes);

/* Writes the message; keys: one for each fragment. Gives its length. */
size_t wsframe_write(uint8_t *out, const uint8_t *bytes, size_t n, size_t fragment_bytes,
                     const uint32_t *keys);

/* The same by hand, for a message of several parts: the head of its only frame, n bytes long, and
 * what comes behind it. Gives the head's length. */
size_t wsframe_head(uint8_t *out, size_t n, uint32_t key);

/* Masks n bytes. All parts of a message but the last must be multiples of 4 long. */
void wsframe_mask(uint8_t *out, const uint8_t *bytes, size_t n, uint32_t key);
