#include "server/pipeline.h"

#include <stdlib.h>

#include "common/text.h"
#include "server/frame.h"

/* A session of a pipeline that runs on each n-th frame only. */
struct seldom {
    void *state; /* of the kind */
    struct text last;
    uint64_t n_stale; /* frames that were given `last` since it was made */
    bool has_last;
};

static int new_state(const struct pipeline *p, void **state)
{
    *state = p->kind->session_new ? p->kind->session_new(p) : NULL;
    return p->kind->session_new && !*state ? -1 : 0;
}

static void free_state(const struct pipeline *p, void *state)
{
    if (p->kind->session_free)
        p->kind->session_free(state);
}

int pipeline_session_new(const struct pipeline *p, void **state)
{
    if (p->every <= 1)
        return new_state(p, state);
    struct seldom *s = calloc(1, sizeof *s);
    *state = s;
    if (!s)
        return -1;
    s->last = text_heap(RESULT_BYTES_MAX);
    if (new_state(p, &s->state) == 0)
        return 0;
    pipeline_session_free(p, s);
    *state = NULL;
    return -1;
}

void pipeline_session_free(const struct pipeline *p, void *state)
{
    struct seldom *s = state;
    if (p->every <= 1) {
        free_state(p, state);
        return;
    }
    if (!s)
        return;
    free_state(p, s->state);
    text_deinit(&s->last);
    free(s);
}

/* Runs it, and keeps what it says. */
static int renew(const struct pipeline *p, struct seldom *s, const struct pipeline_frame *frame)
{
    struct json j = json_to(&s->last);
    text_clear(&s->last);
    json_object_begin(&j, NULL);
    int rc = p->kind->process(p, s->state, frame, &j);
    json_object_end(&j);
    s->has_last = rc == 0 && !s->last.cut;
    s->n_stale = 0;
    return s->has_last ? 0 : -1;
}

int pipeline_process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                     struct json *result)
{
    struct seldom *s = state;
    if (p->every <= 1)
        return p->kind->process(p, state, frame, result);
    if (s->has_last && s->n_stale + 1 < p->every)
        s->n_stale++;
    else if (renew(p, s, frame) < 0)
        return -1;
    json_members(result, text_str(&s->last), s->last.len);
    if (s->n_stale)
        json_u64(result, "stale_frames", s->n_stale);
    return 0;
}
