/* jpeg_tables.h - the Huffman tables that some cameras leave out.
 *
 * A Motion JPEG frame may come without DHT: then the tables of ITU-T T.81, Annex K.3 are meant,
 * as AVI's MJPG has it. Decoders of single pictures need not know that, so they are put in.
 *
 * Threads: any; pure functions over the caller's bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JPEG_TABLES_BYTES 420 /* one DHT segment with four tables */

/* Is this a baseline JPEG that begins well and has no DHT before its first scan? */
bool jpeg_tables_are_missing(const uint8_t *bytes, size_t n);

/* Puts the tables in, behind SOI and the APPn segments. There must be room for
 * JPEG_TABLES_BYTES more. Gives the new number of bytes. */
size_t jpeg_tables_add(uint8_t *bytes, size_t n);
