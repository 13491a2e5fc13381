/* summary.h - the end of a stream, told to people in a few lines.
 *
 * Pure. Threads: any.
 */
#pragma once

#include "cli/output.h"
#include "common/text.h"

/* At most ten lines. */
void summary_format(struct text *out, const struct output_end *end, const char *source,
                    const char *url);
