/* source_file.h - what standard input shares with files, and what tests look at.
 *
 * Threads: the loop's thread.
 */
#pragma once

#include "cli/source.h"

/* Opens an MJPEG file that is open already, from where it stands, paced like any
 * file. Takes fd when it succeeds; name is for people. 0 or -exit_code. */
int source_file_open_fd(struct source **out, int fd, const char *name,
                        const struct source_options *o, struct loop *l,
                        const struct source_sink *sink, struct err *e);

/* Order of names as people count: img2 before img10, img02 like img2. As strcmp. */
int source_file_compare(const char *a, const char *b);
