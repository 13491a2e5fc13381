#include "server/admit.h"

enum verdict admit_frame(const struct admit_view *v)
{
    if (v->waiting)
        return VERDICT_REPLACE;
    return v->in_work ? VERDICT_WAIT : VERDICT_RUN;
}
