/* assembly.h - from pieces of WebSocket messages to one checked frame.
 *
 * A message comes in any number of fragments and reads. The pieces go once into
 * one buffer of the pool; one that comes whole, and whose frame is done before its bytes go away,
 * stays where it is. A message that is too large is refused as soon as its
 * announced or seen bytes exceed the limit, without storing the rest. The
 * checks and their order are the protocol's: message type, empty, size, SOI,
 * EOI (streamd-protocol(7)).
 *
 * Ownership: the assembly owns the unfinished frame; assembly_take gives it
 * away. Threads: its session's I/O thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"
#include "server/frame.h"

struct assembly_limits {
    size_t frame_bytes_max;   /* a JPEG of exactly this size is accepted */
    size_t message_bytes_max; /* beyond it not even an error message is worth building */
    bool header;              /* each message starts with the 16-byte header */
};

/* Limits in MiB as people give them. The hard cap is never below what a frame of
 * exactly the limit takes. */
struct assembly_limits assembly_limits(double frame_mib_max, double message_mib_max, bool header);

struct assembly { /* all zero: between messages */
    struct frame *frame;
    const uint8_t *bytes; /* of the message: in the frame, or where they came */
    size_t seen_bytes;
    bool no_room;                     /* the rest is read and not stored */
    uint8_t head[PROTO_HEADER_BYTES]; /* its first bytes, for the id of a frame without room */
};

struct assembly_piece {
    const uint8_t *bytes;
    size_t n;
    uint64_t announced; /* bytes of this WebSocket frame that are still to come */
    bool final;         /* the last piece of the message */
    bool binary;
    bool lasts; /* bytes stay until the frame is done: no copy is needed */
};

enum assembly_outcome {
    ASSEMBLY_MORE,  /* go on */
    ASSEMBLY_FRAME, /* complete and valid: assembly_take */
    ASSEMBLY_DROP,  /* complete, but there was no memory for it (DROP_MEMORY): assembly_drop */
    ASSEMBLY_ERROR, /* tell the complaint, then end the session */
    ASSEMBLY_HANGUP /* above the hard cap: close 1009 */
};

struct complaint {
    enum proto_error error;
    char detail[160];
};

/* Borrows the piece. After ERROR or HANGUP the message is forgotten. */
enum assembly_outcome assembly_add(struct assembly *a, struct pool *pool,
                                   const struct assembly_limits *limits,
                                   const struct assembly_piece *piece, struct complaint *why);

/* Gives the complete frame, with jpeg, jpeg_bytes and id set. */
struct frame *assembly_take(struct assembly *a);

/* Forgets it; gives the frame_id that its header had. */
uint32_t assembly_drop(struct assembly *a);

/* Forgets an unfinished message. */
void assembly_deinit(struct assembly *a, struct pool *pool);
