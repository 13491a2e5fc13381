/* streamd/plugin.h - a model of your own inside streamd, as a shared library.
 *
 * A plugin is a shared library that exports one function, sp_plugin_entry. It gives a table of
 * functions and says which pictures it wants. streamd decodes each frame once, to exactly that,
 * calls process, and sends what process reports to the client. This header is all that a plugin
 * needs: it includes nothing of streamd, and there is nothing to link with.
 *
 *     cc -shared -fPIC -fvisibility=hidden $(pkg-config --cflags streamd-plugin) -o my.so my.c
 *     streamd --pipeline NAME=plugin:/path/to/my.so:key=value,key=value
 *
 * A plugin shares the process: if it crashes, streamd crashes; if it hangs, a thread hangs. Code
 * that you would not trust with that belongs into a worker process: streamd-pipeline(7).
 *
 * Life: sp_plugin_entry, open, then for each camera session_open, process for each frame that is
 * looked at, session_close; close in the end. One library may be open several times, with
 * different configurations: what it keeps belongs to the instance, not to the library. After close
 * streamd may unload the library, so nothing of it may still run then; where a library below cannot
 * be unloaded, link the plugin with -Wl,-z,nodelete.
 *
 * Threads: sp_plugin_entry, open and close: no other call for that instance runs at the same time.
 * session_open, process, session_close: any thread, not always the same; never two at once for one
 * session, but for many sessions at once, of which SP_ONE_AT_A_TIME spares process. Other
 * sessions wait while session_open or session_close runs, so what takes long, such as loading a
 * model, is done in open. A plugin may have threads of its own; of the functions it is given they
 * may call only sp_host.log.
 *
 * Ownership: what streamd hands to a call is borrowed until that call returns; only struct sp_host
 * is valid until close returns. What the plugin hands to streamd is borrowed until the call that
 * got it returns; only struct sp_plugin and its texts stay valid for as long as the library is
 * loaded. What open and session_open give belongs to the plugin, which frees it in close and
 * session_close. Nobody frees memory of the other side.
 *
 * Units: boxes are in pixels of the full frame, from its top left corner, whatever the scale; times
 * are in microseconds on CLOCK_MONOTONIC. Texts are UTF-8 and end with a zero byte; bytes that are
 * not UTF-8 reach the client as U+FFFD.
 *
 * Errors: functions return SP_OK or what is said beside them; nothing uses errno. A plugin does not
 * call exit, change signal handlers, the locale or the working directory, write to standard output,
 * or let a C++ exception or a longjmp leave one of its functions.
 *
 * Growth: this header may change in these ways and no others.
 *  - Every struct that crosses the line begins with struct_size, what sizeof was where it was
 *    filled in. A new minor version adds fields at the end of structs and new values to lists of
 *    constants. It changes and removes none.
 *  - A field behind struct_size is not there: test it with SP_HAS before you touch it, if it came
 *    later than the oldest version that you want to run with. All that is here is of 1.0.
 *  - A new field whose bytes are all zero means what its absence means. Fill structs with zeros
 * first.
 *  - No struct ends in padding: a field that later took the place of padding would seem to be there
 *    in old structs. `reserved` fills such places; it is 0 and nobody reads it.
 *  - A plugin runs in every streamd of its major version: older minor, same or newer. A streamd of
 *    another major refuses it. sp_plugin_entry, and the first three fields of struct sp_plugin,
 * stay what and where they are in all major versions, so that this can be told.
 */
#ifndef STREAMD_PLUGIN_H
#define STREAMD_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SP_ABI_MAJOR 1
#define SP_ABI_MINOR 0

/* Whether the struct at ptr, as the other side filled it in, has that field. For a pointer in it
 * that may be NULL, test that as well. */
#define SP_HAS(ptr, field)                                                                         \
    ((size_t)((const char *)&(ptr)->field - (const char *)(ptr)) + sizeof((ptr)->field) <=         \
     (size_t)(ptr)->struct_size)

/* Lets a function out of a library that is built with -fvisibility=hidden. */
#if defined(__GNUC__)
#define SP_EXPORT __attribute__((visibility("default")))
#else
#define SP_EXPORT
#endif

/* What functions return. Values that are not listed count as SP_ERROR. */
#define SP_OK    0
#define SP_ERROR (-1)
#define SP_LATE  (-2) /* of process: given up, as an answer would come too late */

/* sp_plugin.format and sp_frame.format */
#define SP_JPEG 0u /* the bytes as the camera sent them, not checked: expect anything */
#define SP_GRAY 1u /* brightness, 1 byte a pixel */
#define SP_RGB  2u /* red, green, blue, 3 bytes a pixel */

/* sp_plugin.flags, to be combined with | */
#define SP_ONE_AT_A_TIME 1u /* process of one instance is never called twice at once */

/* sp_host.log */
#define SP_LOG_DEBUG 0
#define SP_LOG_INFO  1
#define SP_LOG_WARN  2
#define SP_LOG_ERROR 3

/* What a result has room for. What is too much is refused, what is too long is cut. */
#define SP_DETECTIONS_MAX 64
#define SP_ATTRIBUTES_MAX 64
#define SP_KEY_MAX        63   /* bytes; a longer key is refused */
#define SP_LABEL_MAX      128  /* bytes; a longer label is cut */
#define SP_TEXT_MAX       4096 /* bytes; a longer text is cut */

/* What streamd offers to an instance. */
struct sp_host {
    uint32_t struct_size;
    uint32_t reserved;

    /* One line for the log; no newline is needed. Any thread. streamd keeps at most 20 lines a
     * second and counts the rest. Lines of SP_LOG_ERROR while open runs are what the user is told
     * if it fails: say what is wrong and what would be right. */
    void (*log)(const struct sp_host *host, int level, const char *text);
};

/* Of a session, as session_open gets it. */
struct sp_session_info {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t number; /* counts the sessions of this instance, from 0 */
};

/* A picture. */
struct sp_frame {
    uint32_t struct_size;
    uint32_t format;     /* what sp_plugin.format asked for */
    const uint8_t *data; /* pixels, row by row from the top; SP_JPEG: the file */
    size_t n_bytes;      /* of data: stride * height; SP_JPEG: of the file */
    uint32_t width;      /* of the picture in data, in pixels */
    uint32_t height;
    uint32_t stride;     /* bytes from one row to the next, at least a row; SP_JPEG: 0 */
    uint32_t full_width; /* of the frame as the camera sent it: what boxes are measured in */
    uint32_t full_height;
    uint32_t reserved;
    uint64_t index;       /* counts the frames of the session; gaps are frames that were dropped */
    uint64_t deadline_us; /* an answer after that is too late; 0: there is no such time */
};

/* Something that was found. */
struct sp_detection {
    uint32_t struct_size;
    uint32_t reserved;
    double x, y, w, h; /* the box, in pixels of the full frame; it may reach beyond the frame */
    double score;      /* how sure: 0 to 1 where that makes sense */
    const char *label; /* what it is; NULL: "" */
    const char *text;  /* what it says, such as the content of a code; NULL: nothing */
};

/* Takes what process finds. Only for the thread that process was called on, until it returns.
 *
 * The functions return SP_OK, or SP_ERROR if they left it out: there are too many, or it makes no
 * sense (a box that is not finite, of negative size or beyond a million pixels; a key that is NULL,
 * empty, too long or used before). The frame goes on in either case. Numbers that are not finite
 * reach the client as null. */
struct sp_sink {
    uint32_t struct_size;
    uint32_t reserved;

    int (*detection)(struct sp_sink *sink, const struct sp_detection *found);

    /* A member of the result beside "detections": of the whole picture, not of one find. The keys
     * "detections", "status", "detail" and "stale_frames" belong to streamd. */
    int (*number)(struct sp_sink *sink, const char *key, double value);
    int (*text)(struct sp_sink *sink, const char *key, const char *value); /* NULL: null */

    /* 1 once the deadline has passed, else 0. Cheap: long work asks now and then, and returns
     * SP_LATE. */
    int (*cancelled)(struct sp_sink *sink);
};

/* What a plugin is. Constant, and the same at every call of sp_plugin_entry. */
struct sp_plugin {
    uint32_t struct_size;
    uint32_t abi_major; /* SP_ABI_MAJOR of the header that the plugin was built with */
    uint32_t abi_minor; /* SP_ABI_MINOR of it */
    uint32_t flags;     /* SP_ONE_AT_A_TIME or 0 */
    uint32_t format;    /* of the pictures it wants */
    uint32_t scale;     /* 1, 2, 4 or 8: that many times smaller; 0 is 1; SP_JPEG: 1 */

    /* For people. NULL counts as "". */
    const char *name;    /* short, such as "zbar" */
    const char *version; /* of the plugin, such as "1.2" */
    const char *licence; /* as SPDX writes it, such as "MIT" */
    const char *summary; /* one line */

    /* Makes an instance. config is what stands behind the file's name, usually key=value with
     * commas between; "" when nothing does. NULL: it failed; see sp_host.log. Without this function
     * the instance is NULL and every config but "" is refused. */
    void *(*open)(const struct sp_host *host, const char *config);

    /* Makes the state of a session. NULL: it failed, and the session is refused. Without this
     * function sessions have no state: session is NULL. */
    void *(*session_open)(void *instance, const struct sp_session_info *info);

    /* Looks at a picture and tells the sink. The one function that must be there.
     * SP_OK: done; having found nothing is fine.
     * SP_LATE: the client gets "status":"late" in place of a result, and the session goes on.
     * SP_ERROR: this session cannot go on. The client is told, and the session ends. */
    int (*process)(void *instance, void *session, const struct sp_frame *frame,
                   struct sp_sink *sink);

    /* Free what the two above made. Called once for each that did not give NULL. */
    void (*session_close)(void *instance, void *session);
    void (*close)(void *instance);
};

/* The one symbol that a plugin exports. It gets the version of the streamd that loads it and gives
 * its table, or NULL if it cannot work with that version. Called once for each instance. */
SP_EXPORT const struct sp_plugin *sp_plugin_entry(uint32_t host_major, uint32_t host_minor);

#ifdef __cplusplus
}
#endif

#endif
