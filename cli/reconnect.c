#include "cli/reconnect.h"

static const struct code {
    unsigned code;
    bool is_final; /* the same would happen again */
    const char *text;
} codes[] = {
    {1000, true, "normal closure"},
    {1001, false, "going away"},
    /* libwebsockets 4.1 tells 1012 to 2999 as 1002, and 1013 asks to come back. */
    {1002, false, "protocol error, or try again later"},
    {1003, true, "unsupported data"},
    {1007, true, "invalid data"},
    {1008, true, "policy violation"},
    {1009, true, "message too big"},
    {1010, true, "extension required"},
    {1011, false, "internal error"},
    {1012, false, "restarting"},
    {1013, false, "try again later"},
};

static const struct code *find_code(unsigned close_code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == close_code)
            return &codes[i];
    return NULL;
}

static bool is_final(const struct link_end *end)
{
    const struct code *code = find_code(end->close_code);
    if (!end->opened)
        return end->refused_for_good || (end->http_status >= 300 && end->http_status < 500);
    /* The server said what is wrong; only 1001, 1012 and 1013 ask to come back. */
    if (end->told_error)
        return !code || code->is_final;
    return code && code->is_final;
}

enum reconnect_verdict reconnect_decide(const struct link_end *end, bool wanted, bool ever_opened)
{
    if (wanted && !is_final(end))
        return RECONNECT_RETRY;
    return end->opened || (ever_opened && !is_final(end)) ? RECONNECT_STOP_LOST
                                                          : RECONNECT_STOP_UNREACHABLE;
}

const char *reconnect_code_text(unsigned close_code)
{
    const struct code *code = find_code(close_code);
    return code ? code->text : "";
}
