/* Any bytes as a message from the server: refused, or read into values that are valid and
 * that mean the same when they are written and read again. */

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/proto.h"

#define INTEGER_MAX ((UINT64_C(1) << 53) - 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_values(const struct proto_message *m)
{
    must(m->kind <= PROTO_UNKNOWN);
    must(memchr(m->name, 0, sizeof m->name) && memchr(m->detail, 0, sizeof m->detail));
    must(m->frame_index <= INTEGER_MAX);
    must(m->timing.wait_us <= INTEGER_MAX && m->timing.pipeline_us <= INTEGER_MAX &&
         m->timing.server_us <= INTEGER_MAX && m->timing.decode_us <= INTEGER_MAX);
    must((m->kind == PROTO_RESULT) == (m->result != NULL));
}

static void check_result(const char *result)
{
    cJSON *parsed = cJSON_ParseWithOpts(result, NULL, 1);
    must(cJSON_IsObject(parsed));
    cJSON_Delete(parsed);
}

static void check_again(const struct proto_message *m)
{
    struct text t = text_heap((size_t)64 << 20);
    struct proto_message again;
    struct proto_reply r = {.frame_index = m->frame_index,
                            .frame_id = m->has_frame_id ? &m->frame_id : NULL,
                            .timing = m->has_timing ? &m->timing : NULL};
    proto_write_result(&t, &r, m->result, strlen(m->result));
    must(!t.cut && proto_read_message(text_str(&t), t.len, &again) == 0);
    must(again.kind == PROTO_RESULT && again.frame_index == m->frame_index);
    must(again.has_frame_id == m->has_frame_id && again.frame_id == m->frame_id);
    must(memcmp(&again.timing, &m->timing, sizeof m->timing) == 0);
    must(strcmp(again.result, m->result) == 0);
    proto_message_free(&again);
    text_deinit(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proto_message m, skimmed;
    int rc = proto_read_message((const char *)data, size, &m);
    must(proto_skim_message((const char *)data, size, &skimmed) == rc && !skimmed.result);
    must(skimmed.kind == m.kind && skimmed.frame_index == m.frame_index);
    if (rc == 0) {
        check_values(&m);
        if (m.result) {
            check_result(m.result);
            check_again(&m);
        }
    }
    proto_message_free(&m);
    return 0;
}
