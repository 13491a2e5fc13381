/* preview.h - what the camera sees, in the terminal, with what the server found in it.
 *
 * A side view: it has a thread of its own, takes a picture when it has drawn the last, fifteen
 * times a second at most, and drops the rest; a slow terminal makes it jerky and nothing else.
 * Pictures are decoded at 1/8. The drawing has the upper part of the terminal, what is printed
 * scrolls below it (DECSTBM); the line of term.h is written by the same thread.
 *
 * Ownership: the caller's storage; pictures and texts are copied. Threads: all calls on one
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/picture.h"
#include "common/err.h"
#include "common/term.h"

struct preview; /* opaque: see preview.c */

/* Draws on standard error, which must be a terminal (-EXIT_USAGE). The line and sentences of t go
 * through it from now on. */
int preview_open(struct preview **out, struct term *t, struct err *e);

/* Leaves the last picture on the screen. Waits half a second at most for a terminal that does not
 * read. NULL is fine. */
void preview_close(struct preview *v);

/* A JPEG that may be drawn. NULL v is fine, and draws nothing. */
void preview_offer(struct preview *v, const struct picture *p);

/* A result of the server, JSON, about a picture whose sides had been halved that often: its
 * `detections` are drawn from now on. */
void preview_result(struct preview *v, const char *result, unsigned halvings);
