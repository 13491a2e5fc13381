/* log.h - one line per event on stderr, as text or JSON; frames are counted, not logged.
 *
 *     struct log_line l;
 *     log_begin(&l, LOG_INFO, "stream_connect");
 *     log_str(&l, "session_id", id);
 *     log_end(&l);
 *
 * gives {"time":"...","level":"info","event_type":"stream_connect","session_id":"..."}
 * or    2026-11-21T00:10:06.123Z info stream_connect session_id=...
 *
 * A line is written with one write(2), so lines of several threads never mix.
 * Threads: any, after log_setup.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"
#include "common/text.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* The only state of the process that is not passed around; call it before threads start. */
void log_setup(enum log_format format, enum log_level least);

struct log_line {
    char bytes[4096]; /* longer lines are cut: an event is a sentence, not a dump */
    struct text text;
    struct json json;
    bool wanted;
};

void log_begin(struct log_line *l, enum log_level level, const char *event_type);
void log_str(struct log_line *l, const char *key, const char *value);
void log_str_n(struct log_line *l, const char *key, const char *value, size_t n);
void log_u64(struct log_line *l, const char *key, uint64_t value);
void log_num(struct log_line *l, const char *key, double value, int decimals);
void log_end(struct log_line *l);
