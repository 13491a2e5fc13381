#include "common/log.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

static struct {
    enum log_format format;
    enum log_level least;
} settings = {LOG_TEXT, LOG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_format format, enum log_level least)
{
    settings.format = format;
    settings.least = least;
}

void log_begin(struct log_line *l, enum log_level level, const char *event_type)
{
    char time[32];
    l->wanted = level >= settings.least;
    if (!l->wanted)
        return;
    /* One byte is kept for the newline, which a cut line needs as well. */
    l->text = text_fixed(l->bytes, sizeof l->bytes - 1);
    l->json = json_to(&l->text);
    clock_iso(clock_wall_s(), time);
    if (settings.format == LOG_TEXT) {
        text_addf(&l->text, "%s %s %s", time, level_names[level], event_type);
        return;
    }
    json_object_begin(&l->json, NULL);
    json_str(&l->json, "time", time);
    json_str(&l->json, "level", level_names[level]);
    json_str(&l->json, "event_type", event_type);
}

/* key=value, the value quoted as in JSON unless it is one plain word. */
static void add_pair(struct log_line *l, const char *key, const char *value, size_t n)
{
    bool plain = n > 0;
    for (size_t i = 0; i < n; i++)
        plain &= isalnum((unsigned char)value[i]) || (value[i] && strchr("-_.:/[]%+", value[i]));
    text_addf(&l->text, " %s=", key);
    if (plain) {
        text_add_bytes(&l->text, value, n);
        return;
    }
    struct json quoted = json_to(&l->text);
    json_str_n(&quoted, NULL, value, n);
}

void log_str_n(struct log_line *l, const char *key, const char *value, size_t n)
{
    if (!l->wanted)
        return;
    if (settings.format == LOG_TEXT)
        add_pair(l, key, value, n);
    else
        json_str_n(&l->json, key, value, n);
}

void log_str(struct log_line *l, const char *key, const char *value)
{
    log_str_n(l, key, value, strlen(value));
}

void log_u64(struct log_line *l, const char *key, uint64_t value)
{
    if (!l->wanted)
        return;
    if (settings.format == LOG_TEXT)
        text_addf(&l->text, " %s=%llu", key, (unsigned long long)value);
    else
        json_u64(&l->json, key, value);
}

void log_num(struct log_line *l, const char *key, double value, int decimals)
{
    if (!l->wanted)
        return;
    if (settings.format == LOG_TEXT)
        text_addf(&l->text, " %s=%.*f", key, decimals, value);
    else
        json_num(&l->json, key, value, decimals);
}

void log_end(struct log_line *l)
{
    if (!l->wanted)
        return;
    if (settings.format == LOG_JSON)
        json_object_end(&l->json);
    l->bytes[l->text.len] = '\n';
    /* Nothing sensible can be done when stderr is gone. */
    if (write(STDERR_FILENO, l->bytes, l->text.len + 1) < 0)
        return;
}
