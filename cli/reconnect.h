/* reconnect.h - what to do when a connection is over: try again, or end.
 *
 * The one place that decides it. Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How a connection ended, as the link saw it. */
struct link_end {
    bool opened;           /* the handshake had succeeded */
    bool refused_for_good; /* the peer's certificate, or an answer that is not WebSocket */
    unsigned http_status;  /* of a handshake that was refused; 0: none came */
    unsigned close_code;   /* RFC 6455, 7.4; 0: it ended without one */
    bool told_error;       /* an error message came first */
    char text[256];        /* for people: what happened, as the end of a sentence */
};

enum reconnect_verdict {
    RECONNECT_RETRY,
    RECONNECT_STOP_LOST,       /* EXIT_FAILED */
    RECONNECT_STOP_UNREACHABLE /* EXIT_UNREACHABLE */
};

/* wanted: not --no-reconnect. ever_opened: this or an earlier connection was open. */
enum reconnect_verdict reconnect_decide(const struct link_end *end, bool wanted, bool ever_opened);

/* "going away" for 1001; "" for codes without a meaning of their own. */
const char *reconnect_code_text(unsigned close_code);
