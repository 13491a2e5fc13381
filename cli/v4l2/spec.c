#include "cli/v4l2/spec.h"

#include <linux/videodev2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/opt.h"

#define SIDE_MAX 65535

static const char prefix[] = "v4l2:";

static const struct way {
    const char *key;
    enum camera_by by;
} ways[] = {{"card", CAMERA_BY_CARD}, {"bus", CAMERA_BY_BUS}, {"serial", CAMERA_BY_SERIAL}};

static const char *const keys[] = {"size", "fps", "format", "input", NULL};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

bool camera_spec_matches(const char *text)
{
    return begins(text, prefix) || begins(text, "/dev/video") || begins(text, "/dev/v4l/") ||
           begins(text, "/dev/v4l-");
}

static bool is_option(const char *text)
{
    for (size_t i = 0; keys[i]; i++)
        if (begins(text, keys[i]) && text[strlen(keys[i])] == '=')
            return true;
    return false;
}

/* The next comma that begins an option, else the end: names of cameras may hold commas. */
static const char *find_end(const char *text)
{
    const char *at = text;
    while ((at = strchr(at, ','))) {
        if (is_option(at + 1))
            return at;
        at++;
    }
    return text + strlen(text);
}

static int read_format(struct camera_spec *s, const char *value, struct err *e)
{
    char upper[5] = "    ";
    size_t n = strlen(value);
    if (strcasecmp(value, "auto") == 0)
        return 0;
    if (strcasecmp(value, "mjpeg") == 0)
        value = "mjpg", n = 4;
    if (n == 0 || n > 4)
        return err_set(e, EXIT_USAGE,
                       "format=%.40s: expected auto, mjpg, yuyv or another name of four letters "
                       "that `streamctl devices` shows",
                       value);
    for (size_t i = 0; i < n; i++)
        upper[i] = value[i] >= 'a' && value[i] <= 'z' ? (char)(value[i] - 'a' + 'A') : value[i];
    s->wish.fourcc =
        v4l2_fourcc((uint32_t)upper[0], (uint32_t)upper[1], (uint32_t)upper[2], (uint32_t)upper[3]);
    if (modes_is_usable(s->wish.fourcc))
        return 0;
    return err_set(e, EXIT_USAGE,
                   "format=%.40s: not one of auto, mjpg, yuyv, uyvy, yvyu, vyuy, nv12, nv21, yu12, "
                   "yv12, rgb3, bgr3, grey (others by --libv4l2)",
                   value);
}

static int read_size(struct camera_spec *s, const char *value, struct err *e)
{
    uint64_t w, h;
    if (opt_parse_two(value, 'x', &w, &h, NULL) < 0 || !w || !h || w > SIDE_MAX || h > SIDE_MAX)
        return err_set(e, EXIT_USAGE, "size=%.40s: expected WIDTHxHEIGHT, for example 1280x720",
                       value);
    s->wish.width = (unsigned)w;
    s->wish.height = (unsigned)h;
    return 0;
}

static int read_option(struct camera_spec *s, const char *key, const char *value, struct err *e)
{
    uint64_t n;
    if (strcmp(key, "size") == 0)
        return read_size(s, value, e);
    if (strcmp(key, "format") == 0)
        return read_format(s, value, e);
    if (strcmp(key, "fps") == 0) {
        if (opt_parse_real(value, &s->wish.fps, NULL) == 0 && s->wish.fps > 0 &&
            s->wish.fps <= 1000)
            return 0;
        return err_set(e, EXIT_USAGE, "fps=%.40s: expected a rate above 0, at most 1000", value);
    }
    if (opt_parse_count(value, &n, NULL) < 0 || n > 255)
        return err_set(e, EXIT_USAGE, "input=%.40s: expected a number from 0 to 255", value);
    s->input = (int)n;
    return 0;
}

/* "size=640x480,fps=30": at begins with a key, or is empty. */
static int read_options(struct camera_spec *s, const char *at, struct err *e)
{
    int rc = 0;
    while (rc == 0 && *at) {
        const char *end = find_end(at), *equals = strchr(at, '=');
        char key[16], value[64];
        snprintf(key, sizeof key, "%.*s", (int)(equals - at), at);
        snprintf(value, sizeof value, "%.*s", (int)(end - equals - 1), equals + 1);
        rc = read_option(s, key, value, e);
        at = *end ? end + 1 : end;
    }
    return rc;
}

/* "card=TEXT" and its kin, or nothing. */
static int read_way(struct camera_spec *s, const char *text, struct err *e)
{
    if (!*text)
        return 0;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        size_t n = strlen(ways[i].key);
        if (!begins(text, ways[i].key) || text[n] != '=' || !text[n + 1])
            continue;
        s->by = ways[i].by;
        memmove(s->text, text + n + 1, strlen(text + n + 1) + 1);
        return 0;
    }
    return err_set(e, EXIT_USAGE,
                   "\"v4l2:%.80s\": expected v4l2:card=TEXT, v4l2:bus=TEXT, v4l2:serial=TEXT or "
                   "v4l2: for the first camera, then ,size=WxH,fps=F,format=NAME,input=N",
                   text);
}

int camera_spec_parse(struct camera_spec *s, const char *text, struct err *e)
{
    *s = (struct camera_spec){.input = -1};
    bool has_prefix = begins(text, prefix);
    if (has_prefix)
        text += strlen(prefix);
    const char *end = has_prefix && is_option(text) ? text : find_end(text);
    const char *options = *end == ',' ? end + 1 : end;
    size_t n = (size_t)(end - text);
    if (n >= sizeof s->text)
        return err_set(e, EXIT_USAGE, "%.60s...: too long for a camera", text);
    memcpy(s->text, text, n);
    s->by = has_prefix ? CAMERA_ANY : CAMERA_BY_PATH;
    int rc = has_prefix ? read_way(s, s->text, e) : 0;
    return rc < 0 ? rc : read_options(s, options, e);
}
