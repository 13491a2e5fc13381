/* worker.c - tells how large each picture is: see streamd-pipeline(7).
 *
 *   cc -O2 -o worker worker.c
 *   streamd --pipeline size=exec:$PWD/worker
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 32
#define JPEG_MAX     ((size_t)256 << 20) /* bytes; streamd sends no more */

/* Little-endian, whatever this machine is. */
static uint64_t number(const unsigned char *at, unsigned n_bytes)
{
    uint64_t n = 0;
    while (n_bytes > 0)
        n = n << 8 | at[--n_bytes];
    return n;
}

static void answer(const unsigned char *header, size_t n_bytes)
{
    printf("{\"seq\":%" PRIu64 ",\"result\":", number(header + 16, 8));
    printf("{\"bytes\":%zu,\"width\":%" PRIu64 ",\"height\":%" PRIu64 "}}\n", n_bytes,
           number(header + 8, 4), number(header + 12, 4));
    fflush(stdout);
}

int main(void)
{
    unsigned char header[HEADER_BYTES];
    /* A model is loaded here: no frame comes before the hello. */
    puts("{\"protocol\":1,\"name\":\"size\",\"version\":\"1.0\",\"format\":\"jpeg\"}");
    fflush(stdout);
    while (fread(header, sizeof header, 1, stdin) == 1) { /* fread waits for all of it */
        size_t n_bytes = (size_t)number(header + 4, 4);
        int is_frame = memcmp(header, "SPW1", 4) == 0 && n_bytes <= JPEG_MAX;
        unsigned char *jpeg = is_frame ? malloc(n_bytes + 1) : NULL; /* + 1: of 0 it may be NULL */
        if (!jpeg) {
            fputs(is_frame ? "out of memory\n" : "this is not a frame\n", stderr);
            return 1;
        }
        if (fread(jpeg, 1, n_bytes, stdin) == n_bytes)
            answer(header, n_bytes);
        free(jpeg);
    }
    return 0; /* end of file: no more frames */
}
