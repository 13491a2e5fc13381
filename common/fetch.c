#include "common/fetch.h"

#include <curl/curl.h>

#define CONNECT_MS 5000L

static size_t on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct text *answer = ctx;
    text_add_bytes(answer, bytes, size * n);
    return answer->cut ? 0 : size * n;
}

static void set_up(CURL *curl, const char *url, const struct fetch_options *o, struct text *answer)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* as for the stream itself */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, o->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (o->cacert)
        curl_easy_setopt(curl, CURLOPT_CAINFO, o->cacert);
    if (o->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

int fetch_text(const char *url, const struct fetch_options *o, struct text *answer, struct err *e)
{
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURL *curl = curl_easy_init();
    if (!curl)
        return err_set(e, EXIT_FAILED, "libcurl cannot start");
    set_up(curl, url, o, answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (rc == CURLE_WRITE_ERROR)
        return err_set(e, EXIT_FAILED, "%s: the answer is too long", url);
    if (rc != CURLE_OK)
        return err_set(e, EXIT_UNREACHABLE, "cannot reach %s: %s", url,
                       why[0] ? why : curl_easy_strerror(rc));
    if (status != 200)
        return err_set(e, EXIT_FAILED, "%s: HTTP status %ld; is it a streamd?", url, status);
    return 0;
}
