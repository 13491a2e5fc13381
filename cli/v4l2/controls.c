#include "cli/v4l2/controls.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONTROLS_MAX 1024
#define ITEMS_MAX    256
#define ELEMS_MAX    65536u
#define STRING_MAX   65536u

void controls_deinit(struct controls *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->control[i].item);
    free(c->control);
    *c = (struct controls){0};
}

/* --- names --- */

/* "White Balance, Automatic": white_balance_automatic. */
static void make_name(const char *label, char *out, size_t cap)
{
    size_t n = 0;
    bool gap = false;
    for (; *label && n + 2 < cap; label++) {
        if (!isalnum((unsigned char)*label)) {
            gap = n > 0;
            continue;
        }
        if (gap)
            out[n++] = '_';
        gap = false;
        out[n++] = (char)tolower((unsigned char)*label);
    }
    out[n] = 0;
}

/* What kernels before 5.18 called them. */
static const struct old_name {
    const char *name;
    uint32_t id;
} old_names[] = {
    {"exposure_auto", V4L2_CID_EXPOSURE_AUTO},
    {"exposure_absolute", V4L2_CID_EXPOSURE_ABSOLUTE},
    {"exposure_auto_priority", V4L2_CID_EXPOSURE_AUTO_PRIORITY},
    {"white_balance_temperature_auto", V4L2_CID_AUTO_WHITE_BALANCE},
    {"focus_auto", V4L2_CID_FOCUS_AUTO},
};

const struct control *controls_find(const struct controls *c, const char *name)
{
    uint32_t id = 0;
    for (size_t i = 0; i < sizeof old_names / sizeof old_names[0]; i++)
        if (strcmp(old_names[i].name, name) == 0)
            id = old_names[i].id;
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->control[i].name, name) == 0)
            return &c->control[i];
    for (size_t i = 0; id && i < c->n; i++)
        if (c->control[i].id == id)
            return &c->control[i];
    return NULL;
}

/* --- kinds --- */

static bool is_menu(const struct control *c)
{
    return c->type == V4L2_CTRL_TYPE_MENU || c->type == V4L2_CTRL_TYPE_INTEGER_MENU;
}

static bool is_array(const struct control *c)
{
    return c->type >= V4L2_CTRL_COMPOUND_TYPES || c->n_elems > 1;
}

/* Numbers of 1, 2, 4 or 8 bytes; what else there is (matrices of codecs) is only named. */
static bool is_number_array(const struct control *c)
{
    return is_array(c) && c->n_elems <= ELEMS_MAX &&
           (c->type == V4L2_CTRL_TYPE_U8 || c->type == V4L2_CTRL_TYPE_U16 ||
            c->type == V4L2_CTRL_TYPE_U32 || c->type == V4L2_CTRL_TYPE_INTEGER ||
            c->type == V4L2_CTRL_TYPE_INTEGER64 || c->type == V4L2_CTRL_TYPE_BOOLEAN);
}

const char *control_type_name(const struct control *c)
{
    static const struct {
        uint32_t type;
        const char *name;
    } rows[] = {
        {V4L2_CTRL_TYPE_INTEGER, "integer"},  {V4L2_CTRL_TYPE_BOOLEAN, "boolean"},
        {V4L2_CTRL_TYPE_MENU, "menu"},        {V4L2_CTRL_TYPE_BUTTON, "button"},
        {V4L2_CTRL_TYPE_INTEGER64, "int64"},  {V4L2_CTRL_TYPE_STRING, "string"},
        {V4L2_CTRL_TYPE_BITMASK, "bitmask"},  {V4L2_CTRL_TYPE_INTEGER_MENU, "integer menu"},
        {V4L2_CTRL_TYPE_U8, "8-bit array"},   {V4L2_CTRL_TYPE_U16, "16-bit array"},
        {V4L2_CTRL_TYPE_U32, "32-bit array"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].type == c->type)
            return rows[i].type == V4L2_CTRL_TYPE_INTEGER && is_array(c) ? "integer array"
                                                                         : rows[i].name;
    return "other";
}

bool control_is_switch(const struct control *c)
{
    return c->type == V4L2_CTRL_TYPE_BOOLEAN || is_menu(c);
}

bool control_is_readable(const struct control *c)
{
    bool known = !is_array(c) || is_number_array(c);
    return known && c->type != V4L2_CTRL_TYPE_BUTTON && !(c->flags & V4L2_CTRL_FLAG_WRITE_ONLY);
}

bool control_is_writable(const struct control *c)
{
    bool known = !is_array(c) || is_number_array(c);
    return known && !(c->flags & V4L2_CTRL_FLAG_READ_ONLY);
}

/* --- reading the list --- */

static int read_items(struct control *c, const struct device *d)
{
    c->item = calloc(ITEMS_MAX, sizeof *c->item);
    if (!c->item)
        return -1;
    for (int64_t i = c->min; i <= c->max && c->n_items < ITEMS_MAX; i++) {
        struct v4l2_querymenu q = {.id = c->id, .index = (uint32_t)i};
        struct control_item *item = &c->item[c->n_items];
        if (device_ioctl(d, VIDIOC_QUERYMENU, &q) < 0)
            continue; /* a hole */
        item->index = i;
        if (c->type == V4L2_CTRL_TYPE_MENU)
            snprintf(item->name, sizeof item->name, "%.31s", (const char *)q.name);
        else
            snprintf(item->name, sizeof item->name, "%" PRId64, (int64_t)q.value);
        c->n_items++;
    }
    return 0;
}

static int add(struct controls *all, const struct device *d, const struct v4l2_query_ext_ctrl *q)
{
    struct control c = {.id = q->id,
                        .type = q->type,
                        .flags = q->flags,
                        .min = q->minimum,
                        .max = q->maximum,
                        .step = (int64_t)q->step,
                        .def = q->default_value,
                        .n_elems = q->elems,
                        .elem_bytes = q->elem_size};
    struct control *more = realloc(all->control, (all->n + 1) * sizeof *more);
    if (!more)
        return -1;
    all->control = more;
    snprintf(c.label, sizeof c.label, "%.31s", q->name);
    make_name(c.label, c.name, sizeof c.name);
    if (is_menu(&c) && read_items(&c, d) < 0)
        return -1;
    all->control[all->n++] = c;
    return 0;
}

int controls_read(struct controls *all, const struct device *d, struct err *e)
{
    const uint32_t next = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;
    struct v4l2_query_ext_ctrl q = {.id = next};
    *all = (struct controls){0};
    while (all->n < CONTROLS_MAX && device_ioctl(d, VIDIOC_QUERY_EXT_CTRL, &q) == 0) {
        bool shown = q.type != V4L2_CTRL_TYPE_CTRL_CLASS && !(q.flags & V4L2_CTRL_FLAG_DISABLED);
        if (shown && add(all, d, &q) < 0)
            return err_set(e, EXIT_FAILED, "out of memory");
        q = (struct v4l2_query_ext_ctrl){.id = q.id | next};
    }
    return 0;
}

/* --- values --- */

void control_range(const struct control *c, struct text *out)
{
    if (c->type == V4L2_CTRL_TYPE_BUTTON || (is_array(c) && !is_number_array(c)))
        return;
    if (c->type == V4L2_CTRL_TYPE_BOOLEAN && !is_array(c)) {
        text_add(out, "0 or 1");
    } else if (is_menu(c)) {
        for (size_t i = 0; i < c->n_items; i++)
            text_addf(out, "%s%" PRId64 ": %s", i ? ", " : "", c->item[i].index, c->item[i].name);
    } else if (c->type == V4L2_CTRL_TYPE_BITMASK) {
        text_addf(out, "bits of 0x%" PRIx64, (uint64_t)c->max);
    } else if (c->type == V4L2_CTRL_TYPE_STRING) {
        text_addf(out, "%" PRId64 " to %" PRId64 " characters", c->min, c->max);
    } else {
        text_addf(out, "%" PRId64 " to %" PRId64, c->min, c->max);
        if (c->step > 1)
            text_addf(out, ", step %" PRId64, c->step);
        if (is_array(c))
            text_addf(out, ", %u of them", c->n_elems);
    }
}

static int refuse(const struct control *c, const char *text, struct err *e)
{
    char range[300];
    struct text t = text_fixed(range, sizeof range);
    control_range(c, &t);
    return err_set(e, EXIT_USAGE, "%s=%.60s: expected %s", c->name, text, range);
}

static bool read_number(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 0);
    return end != text && !*end && errno == 0;
}

static bool read_switch(const char *text, int64_t *out)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i], text) == 0) {
            *out = (int64_t)(i % 2);
            return true;
        }
    return false;
}

/* By index, by name, or by the only name that begins so. */
static bool read_item(const struct control *c, const char *text, int64_t *out)
{
    char wanted[40], name[40];
    size_t n_found = 0;
    bool by_number = c->type == V4L2_CTRL_TYPE_MENU && read_number(text, out);
    make_name(text, wanted, sizeof wanted);
    for (size_t i = 0; i < c->n_items; i++) {
        make_name(c->item[i].name, name, sizeof name);
        if (by_number ? c->item[i].index == *out : strcmp(name, wanted) == 0) {
            *out = c->item[i].index;
            return true;
        }
        if (!by_number && wanted[0] && strncmp(name, wanted, strlen(wanted)) == 0) {
            *out = c->item[i].index;
            n_found++;
        }
    }
    return n_found == 1;
}

static bool is_in_range(const struct control *c, int64_t v)
{
    if (c->type == V4L2_CTRL_TYPE_BITMASK)
        return ((uint64_t)v & ~(uint64_t)c->max) == 0;
    return v >= c->min && v <= c->max;
}

/* One number, of whatever type. */
static bool read_value(const struct control *c, const char *text, int64_t *out)
{
    if (c->type == V4L2_CTRL_TYPE_BUTTON)
        return true;
    if (is_menu(c))
        return read_item(c, text, out);
    if (c->type == V4L2_CTRL_TYPE_BOOLEAN && read_switch(text, out))
        return true;
    return read_number(text, out) && is_in_range(c, *out);
}

static void put_element(const struct control *c, void *array, uint32_t i, int64_t v)
{
    uint8_t *at = (uint8_t *)array + (size_t)i * c->elem_bytes;
    for (uint32_t k = 0; k < c->elem_bytes;
         k++) /* little-endian, as the machines with cameras are */
        at[k] = (uint8_t)((uint64_t)v >> (8 * k));
}

static int64_t get_element(const struct control *c, const void *array, uint32_t i)
{
    const uint8_t *at = (const uint8_t *)array + (size_t)i * c->elem_bytes;
    uint64_t v = 0;
    for (uint32_t k = 0; k < c->elem_bytes; k++)
        v |= (uint64_t)at[k] << (8 * k);
    bool is_signed = c->type == V4L2_CTRL_TYPE_INTEGER;
    return is_signed ? (int32_t)v : (int64_t)v;
}

/* "1:2:3", or one for all. array may be NULL: only looks. */
static bool read_elements(const struct control *c, const char *text, void *array)
{
    char one[32];
    uint32_t n = 0;
    int64_t v = 0;
    const char *at = text;
    while (*at && n < c->n_elems) {
        size_t len = strcspn(at, ":");
        snprintf(one, sizeof one, "%.*s", (int)(len < sizeof one ? len : sizeof one - 1), at);
        if (!read_number(one, &v) || !is_in_range(c, v))
            return false;
        if (array)
            put_element(c, array, n, v);
        n++;
        at += len + (at[len] == ':');
    }
    for (uint32_t i = 1; array && n == 1 && i < c->n_elems; i++)
        put_element(c, array, i, v);
    return !*at && (n == 1 || n == c->n_elems);
}

int control_check(const struct control *c, const char *text, struct err *e)
{
    int64_t v;
    bool fine;
    if (!control_is_writable(c))
        return err_set(e, EXIT_USAGE, "%s: can only be read", c->name);
    if (is_array(c))
        fine = read_elements(c, text, NULL);
    else if (c->type == V4L2_CTRL_TYPE_STRING)
        fine = strlen(text) <= (size_t)c->max && strlen(text) >= (size_t)c->min;
    else
        fine = read_value(c, text, &v);
    return fine ? 0 : refuse(c, text, e);
}

/* --- asking and telling the driver --- */

static int transfer(const struct device *d, unsigned long request, struct v4l2_ext_control *c)
{
    struct v4l2_ext_controls all = {.which = V4L2_CTRL_WHICH_CUR_VAL, .count = 1, .controls = c};
    return device_ioctl(d, request, &all);
}

static size_t payload_bytes(const struct control *c)
{
    if (c->type == V4L2_CTRL_TYPE_STRING)
        return (size_t)c->max < STRING_MAX ? (size_t)c->max + 1 : 0;
    return is_array(c) ? (size_t)c->n_elems * c->elem_bytes : 0;
}

static void add_value(const struct control *c, int64_t v, struct text *out)
{
    if (c->type == V4L2_CTRL_TYPE_BITMASK) {
        text_addf(out, "0x%" PRIx32, (uint32_t)v);
        return;
    }
    text_addf(out, "%" PRId64, v);
    for (size_t i = 0; is_menu(c) && i < c->n_items; i++)
        if (c->item[i].index == v)
            text_addf(out, " (%s)", c->item[i].name);
}

static void add_payload(const struct control *c, const void *payload, struct text *out)
{
    if (c->type == V4L2_CTRL_TYPE_STRING) {
        text_add(out, payload);
        return;
    }
    for (uint32_t i = 0; i < c->n_elems; i++)
        text_addf(out, "%s%" PRId64, i ? ":" : "", get_element(c, payload, i));
}

int control_get(const struct device *d, const struct control *c, struct text *out, struct err *e)
{
    size_t n = payload_bytes(c);
    void *payload = n ? calloc(1, n) : NULL;
    struct v4l2_ext_control x = {.id = c->id, .size = (uint32_t)n};
    int rc = 0;
    if (payload)
        x.ptr = payload;
    if ((n && !payload) || transfer(d, VIDIOC_G_EXT_CTRLS, &x) < 0)
        rc = err_errno(e, EXIT_FAILED, "%s: cannot be read", c->name);
    else if (payload)
        add_payload(c, payload, out);
    else
        add_value(c, c->type == V4L2_CTRL_TYPE_INTEGER64 ? x.value64 : x.value, out);
    free(payload);
    return rc;
}

static int explain(const struct control *c, const char *text, struct err *e)
{
    switch (errno) {
    case EBUSY:
        return err_set(e, EXIT_FAILED, "%s: cannot be changed while the camera streams", c->name);
    case EACCES:
    case EINVAL:
        return err_set(e, EXIT_FAILED, "%s=%.60s: the camera refuses%s", c->name, text,
                       c->flags & V4L2_CTRL_FLAG_INACTIVE
                           ? "; another control has it on automatic: turn that off first"
                           : "");
    default:
        return err_errno(e, EXIT_FAILED, "%s=%.60s", c->name, text);
    }
}

int control_set(const struct device *d, const struct control *c, const char *text, struct err *e)
{
    int64_t v = 0;
    int rc = control_check(c, text, e);
    if (rc < 0)
        return rc;
    size_t n = payload_bytes(c);
    char *payload = n ? calloc(1, n) : NULL;
    struct v4l2_ext_control x = {.id = c->id, .size = (uint32_t)n};
    if (n && !payload)
        return err_set(e, EXIT_FAILED, "out of memory");
    if (payload && c->type == V4L2_CTRL_TYPE_STRING)
        snprintf(payload, n, "%s", text);
    else if (payload)
        read_elements(c, text, payload);
    else
        read_value(c, text, &v);
    if (payload)
        x.ptr = payload;
    else if (c->type == V4L2_CTRL_TYPE_INTEGER64)
        x.value64 = v;
    else
        x.value = (int32_t)v;
    if (transfer(d, VIDIOC_S_EXT_CTRLS, &x) < 0)
        rc = explain(c, text, e);
    free(payload);
    return rc;
}
