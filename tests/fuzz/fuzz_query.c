/* Any bytes as a query: never refused, the id stays within its room, and it can be asked
 * for again. */

#include <stdlib.h>
#include <string.h>

#include "common/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_again(const struct proto_query *q)
{
    struct text t = text_heap(4096);
    struct proto_query again;
    text_add(&t, "pipeline_id=");
    proto_add_escaped(&t, q->pipeline_id);
    text_addf(&t, "&timing=%d&header=%d", q->timing, q->header);
    must(!t.cut);
    proto_read_query(text_str(&t), t.len, &again);
    must(strcmp(again.pipeline_id, q->pipeline_id) == 0);
    must(again.pipeline_id_bytes == strlen(q->pipeline_id));
    must(again.timing == q->timing && again.header == q->header);
    text_deinit(&t);
}

/* What stands behind it wins, whatever it was. */
static void check_last_wins(const char *query, size_t n)
{
    struct text t = text_heap(n + 100);
    struct proto_query q;
    text_add_bytes(&t, query, n);
    text_add(&t, "&timing=1&header=0&pipeline_id=x");
    proto_read_query(text_str(&t), t.len, &q);
    must(q.timing && !q.header && strcmp(q.pipeline_id, "x") == 0);
    text_deinit(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *query = (const char *)data;
    struct proto_query q;
    proto_read_query(query, size, &q);
    must(q.pipeline_id_bytes < PROTO_ID_MAX && !q.pipeline_id[q.pipeline_id_bytes]);
    check_again(&q);
    check_last_wins(query, size);
    return 0;
}
