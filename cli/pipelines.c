#include "cli/pipelines.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "common/address.h"
#include "common/text.h"

#define ANSWER_MAX_BYTES (1024u * 1024u)
#define CONNECT_MS       5000L
#define ANSWER_MS        10000L

static size_t on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct text *answer = ctx;
    text_add_bytes(answer, bytes, size * n);
    return answer->cut ? 0 : size * n;
}

static void set_up(CURL *curl, const struct settings *set, const char *url, struct text *answer)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* as for the stream itself */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (set->cacert)
        curl_easy_setopt(curl, CURLOPT_CAINFO, set->cacert);
    if (set->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static int fetch(const struct settings *set, const char *url, struct text *answer, struct err *e)
{
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURL *curl = curl_easy_init();
    if (!curl)
        return err_set(e, EXIT_FAILED, "libcurl cannot start");
    set_up(curl, set, url, answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (rc == CURLE_WRITE_ERROR)
        return err_set(e, EXIT_FAILED, "%s: the answer is longer than 1 MiB", url);
    if (rc != CURLE_OK)
        return err_set(e, EXIT_UNREACHABLE, "cannot reach %s: %s", url,
                       why[0] ? why : curl_easy_strerror(rc));
    if (status != 200)
        return err_set(e, EXIT_FAILED, "%s: HTTP status %ld; is it a streamd?", url, status);
    return 0;
}

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
    const cJSON *param;
    print_text(member(pipeline, "name"), 16);
    printf(" ");
    print_text(member(pipeline, "kind"), 10);
    printf(" ");
    print_text(member(pipeline, "summary"), 0);
    const char *before = " (";
    cJSON_ArrayForEach(param, cJSON_GetObjectItemCaseSensitive(pipeline, "params"))
    {
        printf("%s", before);
        print_text(param->string ? param->string : "", 0);
        printf("=%g", cJSON_GetNumberValue(param));
        before = ", ";
    }
    printf("%s\n", before[0] == ',' ? ")" : "");
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
    printf("%-16s %-10s %s\n", "NAME", "KIND", "WHAT IT DOES");
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
    rc = fetch(set, http_url, &answer, e);
    if (rc == 0)
        rc = set->json ? print_json(http_url, &answer, e) : print_table(http_url, &answer, e);
    text_deinit(&answer);
    return -rc;
}
