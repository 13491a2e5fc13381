#include "server/pipeline.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "server/frame.h"

/* Several pipelines on one frame, in order ("motion+face"): what they find is joined, and of other
 * members the later ones win. */

#define PARTS_MAX 8

struct parts { /* of the pipeline */
    size_t n;
    const struct pipeline *part[PARTS_MAX]; /* borrowed from the set */
};

struct chain { /* of a session */
    const struct parts *parts;
    void *state[PARTS_MAX];
    struct text said;
};

static int add_part(struct parts *c, const struct pipeline *p, const char *name, size_t n,
                    struct err *e)
{
    char text[PIPELINE_NAME_MAX];
    if (n >= sizeof text || c->n == PARTS_MAX)
        return err_set(e, EXIT_USAGE, "pipeline '%s': more than %d parts, or too long a name",
                       p->name, PARTS_MAX);
    memcpy(text, name, n);
    text[n] = 0;
    const struct pipeline *part = pipeline_find(p->set, text);
    if (!part || part->kind == p->kind)
        return err_set(e, EXIT_USAGE,
                       "pipeline '%s': there is no pipeline '%s' to be a part of it (parts come "
                       "before the whole, and have no parts)",
                       p->name, text);
    c->part[c->n++] = part;
    return 0;
}

static int open_parts(struct pipeline *p, struct err *e)
{
    struct parts *c = calloc(1, sizeof *c);
    int rc = 0;
    if (!c)
        return err_set(e, EXIT_FAILED, "out of memory");
    p->instance = c;
    const char *at = p->text, *name;
    do {
        name = at;
        at += strcspn(name, "+");
        rc = add_part(c, p, name, (size_t)(at - name), e);
    } while (rc == 0 && *at++);
    return rc;
}

static void close_parts(struct pipeline *p)
{
    free(p->instance);
    p->instance = NULL;
}

static bool waits(const struct pipeline *p)
{
    const struct parts *c = p->instance;
    for (size_t i = 0; i < c->n; i++)
        if (pipeline_is_uneven(c->part[i]))
            return true;
    return false;
}

static void session_free(void *state)
{
    struct chain *s = state;
    if (!s)
        return;
    for (size_t i = 0; i < s->parts->n; i++)
        pipeline_session_free(s->parts->part[i], s->state[i]);
    text_deinit(&s->said);
    free(s);
}

static void *session_new(const struct pipeline *p)
{
    struct chain *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->parts = p->instance;
    s->said = text_heap(RESULT_BYTES_MAX);
    for (size_t i = 0; i < s->parts->n; i++)
        if (pipeline_session_new(s->parts->part[i], &s->state[i]) < 0) {
            session_free(s);
            return NULL;
        }
    return s;
}

/* Moves the members of `more` into `all`. */
static void merge(cJSON *all, cJSON *more)
{
    while (more->child) {
        cJSON *item = cJSON_DetachItemViaPointer(more, more->child);
        cJSON *old = cJSON_GetObjectItemCaseSensitive(all, item->string);
        if (cJSON_IsArray(old) && cJSON_IsArray(item) && strcmp(item->string, "detections") == 0) {
            while (item->child)
                cJSON_AddItemToArray(old, cJSON_DetachItemViaPointer(item, item->child));
            cJSON_Delete(item);
        } else if (old) {
            cJSON_ReplaceItemViaPointer(all, old, item);
        } else {
            cJSON_AddItemToArray(all, item); /* with the name it has */
        }
    }
}

/* What one part says, as a tree. NULL: it failed. */
static cJSON *ask(struct chain *s, size_t i, const struct pipeline_frame *frame)
{
    struct json j = json_to(&s->said);
    text_clear(&s->said);
    json_object_begin(&j, NULL);
    int rc = pipeline_process(s->parts->part[i], s->state[i], frame, &j);
    json_object_end(&j);
    return rc < 0 || s->said.cut ? NULL : cJSON_ParseWithLength(text_str(&s->said), s->said.len);
}

static int tell(cJSON *all, struct json *result)
{
    char *text = cJSON_PrintUnformatted(all);
    if (text)
        json_members(result, text, strlen(text));
    cJSON_free(text);
    return text ? 0 : -1;
}

static int process(const struct pipeline *p, void *state, const struct pipeline_frame *frame,
                   struct json *result)
{
    struct chain *s = state;
    cJSON *all = cJSON_CreateObject();
    int rc = all ? 0 : -1;
    (void)p;
    for (size_t i = 0; rc == 0 && i < s->parts->n; i++) {
        if (i && frame->deadline_us && clock_now_us() > frame->deadline_us) {
            cJSON_AddStringToObject(all, "stopped_before", s->parts->part[i]->name);
            break;
        }
        cJSON *said = ask(s, i, frame);
        rc = said ? 0 : -1;
        if (said)
            merge(all, said);
        cJSON_Delete(said);
    }
    if (rc == 0)
        rc = tell(all, result);
    cJSON_Delete(all);
    return rc;
}

const struct pipeline_kind pipeline_chain = {
    .name = "chain",
    .summary = "several pipelines on one frame: NAME=PIPELINE+PIPELINE",
    .text = "parts",
    .text_is_rest = true,
    .open = open_parts,
    .close = close_parts,
    .waits = waits,
    .session_new = session_new,
    .session_free = session_free,
    .process = process,
};
