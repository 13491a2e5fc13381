#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, enum exit_code code, const char *fmt, ...)
{
    va_list ap;
    if (e) {
        va_start(ap, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
    }
    return -(int)code;
}

int err_errno(struct err *e, enum exit_code code, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    if (e) {
        va_start(ap, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        size_t len = strlen(e->text);
        snprintf(e->text + len, sizeof e->text - len, ": %s", strerror(saved));
    }
    errno = saved;
    return -(int)code;
}
