#include "cli/pipelines.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "common/address.h"
#include "common/fetch.h"
#include "common/text.h"

#define ANSWER_MAX_BYTES (1024u * 1024u)
#define ANSWER_MS        10000L

/* What a server sends goes to a terminal: no control characters. */
static void print_text(const char *text, int width)
{
    int n = 0;
    for (; *text; text++, n++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
    printf("%*s", n < width ? width - n : 0, "");
}

static const char *member(const cJSON *object, const char *key)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return value ? value : "";
}

static void print_row(const cJSON *pipeline)
{
    static const struct {
        const char *key;
        int width;
    } columns[] = {{"kind", 9}, {"version", 8}, {"format", 6}, {"state", 8}, {"summary", 0}};
    const cJSON *param;
    print_text(member(pipeline, "name"), 16);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        printf(" ");
        print_text(member(pipeline, columns[i].key), columns[i].width);
    }
    const char *before = " (";
    cJSON_ArrayForEach(param, cJSON_GetObjectItemCaseSensitive(pipeline, "params"))
    {
        printf("%s", before);
        print_text(param->string ? param->string : "", 0);
        printf("=%g", cJSON_GetNumberValue(param));
        before = ", ";
    }
    printf("%s", before[0] == ',' ? ")" : "");
    putchar('\n');
}

static int print_table(const char *url, const struct text *answer, struct err *e)
{
    cJSON *root = cJSON_ParseWithLength(text_str(answer), answer->len);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "pipelines"), *pipeline;
    int rc = 0;
    if (!cJSON_IsArray(list)) {
        rc = err_set(e, EXIT_FAILED, "%s: not a list of pipelines; is it a streamd?", url);
        goto done;
    }
    printf("%-16s %-9s %-8s %-6s %-8s %s\n", "NAME", "KIND", "VERSION", "FORMAT", "STATE",
           "WHAT IT DOES");
    cJSON_ArrayForEach(pipeline, list) print_row(pipeline);
done:
    cJSON_Delete(root);
    return rc;
}

static int print_json(const char *url, const struct text *answer, struct err *e)
{
    cJSON *root = cJSON_ParseWithLength(text_str(answer), answer->len);
    char *line = root ? cJSON_PrintUnformatted(root) : NULL;
    int rc = 0;
    if (line)
        puts(line);
    else
        rc = err_set(e, EXIT_FAILED, "%s: the answer is not JSON; is it a streamd?", url);
    cJSON_free(line);
    cJSON_Delete(root);
    return rc;
}

int pipelines_run(const struct settings *set, const char *url, struct err *e)
{
    char http_url[800];
    struct address at;
    int rc = address_parse(&at, url, e);
    if (rc < 0)
        return -rc;
    struct text answer = text_heap(ANSWER_MAX_BYTES);
    address_http(&at, "/pipelines", http_url, sizeof http_url);
    struct fetch_options o = {
        .cacert = set->cacert, .insecure = set->insecure, .timeout_ms = ANSWER_MS};
    rc = fetch_text(http_url, &o, &answer, e);
    if (rc == 0)
        rc = set->json ? print_json(http_url, &answer, e) : print_table(http_url, &answer, e);
    text_deinit(&answer);
    return -rc;
}
