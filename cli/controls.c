#include "cli/controls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/v4l2/controls.h"
#include "cli/v4l2/find.h"
#include "common/json.h"

#define VALUE_MAX 65536u

/* One NAME=VALUE of --set. */
struct change {
    char name[40];
    char value[200];
    const struct control *control;
};

#define CHANGES_MAX 64

/* --- showing --- */

static const char *state_of(const struct control *c)
{
    if (c->flags & V4L2_CTRL_FLAG_READ_ONLY)
        return "read-only";
    if (c->flags & V4L2_CTRL_FLAG_INACTIVE)
        return "inactive";
    return c->flags & V4L2_CTRL_FLAG_GRABBED ? "in use" : "";
}

static void print_row(const struct control *c, const char *value)
{
    char range_bytes[1024];
    struct text range = text_fixed(range_bytes, sizeof range_bytes);
    control_range(c, &range);
    printf("%-32s %-13s %-20s %s", c->name, control_type_name(c), value, range_bytes);
    if (control_is_readable(c) && c->type != V4L2_CTRL_TYPE_STRING)
        printf(", default %" PRId64, c->def);
    printf("%s%s%s\n", *state_of(c) ? " (" : "", state_of(c), *state_of(c) ? ")" : "");
}

static void print_json(const struct control *c, const char *value)
{
    struct text line = text_heap(1u << 20);
    struct json j = json_to(&line);
    json_object_begin(&j, NULL);
    json_str(&j, "event", "control");
    json_str(&j, "name", c->name);
    json_str(&j, "label", c->label);
    json_str(&j, "type", control_type_name(c));
    if (control_is_readable(c))
        json_str(&j, "value", value);
    json_num(&j, "min", (double)c->min, 0);
    json_num(&j, "max", (double)c->max, 0);
    json_num(&j, "step", (double)c->step, 0);
    json_num(&j, "default", (double)c->def, 0);
    json_bool(&j, "writable", control_is_writable(c));
    json_bool(&j, "active", !(c->flags & V4L2_CTRL_FLAG_INACTIVE));
    if (c->n_items) {
        json_array_begin(&j, "menu");
        for (size_t i = 0; i < c->n_items; i++) {
            json_object_begin(&j, NULL);
            json_num(&j, "index", (double)c->item[i].index, 0);
            json_str(&j, "name", c->item[i].name);
            json_object_end(&j);
        }
        json_array_end(&j);
    }
    json_object_end(&j);
    puts(text_str(&line));
    text_deinit(&line);
}

static void show(const struct settings *set, const struct device *d, const struct control *c)
{
    struct text value = text_heap(VALUE_MAX);
    struct err why;
    if (control_is_readable(c) && control_get(d, c, &value, &why) < 0)
        text_add(&value, "?");
    if (set->json)
        print_json(c, text_str(&value));
    else
        print_row(c, text_str(&value));
    text_deinit(&value);
}

/* --- changing --- */

static int add_change(struct change *all, size_t *n, const struct controls *controls,
                      const char *item, size_t len, struct err *e)
{
    const char *equals = memchr(item, '=', len);
    struct change *c = &all[*n];
    if (*n == CHANGES_MAX)
        return err_set(e, EXIT_USAGE, "--set: more than %d controls", CHANGES_MAX);
    size_t n_name = equals ? (size_t)(equals - item) : len;
    if (n_name == 0 || n_name >= sizeof c->name || len - n_name >= sizeof c->value)
        return err_set(e, EXIT_USAGE, "--set %.*s: expected NAME=VALUE", (int)len, item);
    snprintf(c->name, sizeof c->name, "%.*s", (int)n_name, item);
    snprintf(c->value, sizeof c->value, "%.*s", equals ? (int)(len - n_name - 1) : 0,
             equals ? equals + 1 : "");
    c->control = controls_find(controls, c->name);
    if (!c->control)
        return err_set(e, EXIT_USAGE,
                       "--set: the camera has no control \"%s\"; without --set they are listed",
                       c->name);
    if (!equals && c->control->type != V4L2_CTRL_TYPE_BUTTON)
        return err_set(e, EXIT_USAGE, "--set %s: expected NAME=VALUE", c->name);
    ++*n;
    return control_check(c->control, c->value, e);
}

static int parse_changes(struct change *all, size_t *n, const struct controls *controls,
                         const struct opt_list *texts, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < texts->n; i++)
        for (const char *at = texts->item[i]; rc == 0 && *at;) {
            size_t len = strcspn(at, ",");
            rc = add_change(all, n, controls, at, len, e);
            at += len + (at[len] == ',');
        }
    return rc;
}

static int set_those(const struct device *d, const struct change *all, size_t n, bool switches,
                     struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (control_is_switch(all[i].control) == switches)
            rc = control_set(d, all[i].control, all[i].value, e);
    return rc;
}

static int change(const struct settings *set, const struct device *d,
                  const struct controls *controls, struct err *e)
{
    struct change *all = calloc(CHANGES_MAX, sizeof *all);
    size_t n = 0;
    if (!all)
        return err_set(e, EXIT_FAILED, "out of memory");
    int rc = parse_changes(all, &n, controls, &set->set, e);
    if (rc == 0)
        rc = set_those(d, all, n, true, e);
    if (rc == 0)
        rc = set_those(d, all, n, false, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        show(set, d, all[i].control); /* what the camera made of it */
    free(all);
    return rc;
}

int controls_run(const struct settings *set, const char *camera, struct err *e)
{
    struct controls controls = {0};
    struct camera_spec spec;
    struct device d;
    int rc = camera_spec_parse(&spec, camera, e);
    if (rc == 0)
        rc = find_open(&d, &spec, false, e);
    if (rc < 0)
        return -rc;
    rc = controls_read(&controls, &d, e);
    if (rc == 0 && set->set.n)
        rc = change(set, &d, &controls, e);
    for (size_t i = 0; rc == 0 && !set->set.n && i < controls.n; i++)
        show(set, &d, &controls.control[i]);
    controls_deinit(&controls);
    device_close(&d);
    return -rc;
}
