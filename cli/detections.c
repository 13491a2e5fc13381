#include "cli/detections.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static double number(const cJSON *o, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

static const char *text(const cJSON *o, const char *key)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return value ? value : "";
}

/* Of a long label the end goes, not the id. */
static void read_label(const cJSON *o, char *out, size_t cap)
{
    char id[16] = "";
    double value = number(o, "id");
    if (value >= 0.0 && value < 1e9)
        snprintf(id, sizeof id, " #%.0f", value);
    snprintf(out, cap, "%.*s%s", (int)(cap - 1 - strlen(id)), text(o, "label"), id);
}

static bool read_corners(const cJSON *list, double corner[4][2])
{
    if (cJSON_GetArraySize(list) != 4)
        return false;
    for (int i = 0; i < 8; i++) {
        const cJSON *v = cJSON_GetArrayItem(cJSON_GetArrayItem(list, i / 2), i % 2);
        if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble))
            return false;
        corner[i / 2][i % 2] = v->valuedouble;
    }
    return true;
}

/* false: it has no box, so there is nothing to draw. */
static bool read_one(const cJSON *o, struct detection *d)
{
    d->box = (struct blocks_box){.x = number(o, "x"),
                                 .y = number(o, "y"),
                                 .width = number(o, "w"),
                                 .height = number(o, "h"),
                                 .score = number(o, "score")};
    read_label(o, d->box.label, sizeof d->box.label);
    d->has_corners = read_corners(cJSON_GetObjectItemCaseSensitive(o, "corners"), d->corner);
    return !isnan(d->box.x + d->box.y + d->box.width + d->box.height);
}

static void read_status(const cJSON *result, char *out, size_t cap)
{
    const char *detail = text(result, "detail");
    snprintf(out, cap, "%s", text(result, "status"));
    if (*out && *detail)
        snprintf(out + strlen(out), cap - strlen(out), ": %s", detail);
    for (char *c = out; *c; c++) /* it goes to a terminal */
        if (*c < ' ' || *c > '~')
            *c = '?';
}

int detections_read(struct detections *d, const char *result)
{
    cJSON *root = cJSON_Parse(result);
    const cJSON *o;
    d->n = 0;
    d->status[0] = '\0';
    if (!root)
        return -1;
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(root, "detections"))
    {
        if (d->n == DETECTIONS_MAX)
            break;
        d->n += read_one(o, &d->item[d->n]);
    }
    read_status(root, d->status, sizeof d->status);
    cJSON_Delete(root);
    return 0;
}
