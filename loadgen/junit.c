#include "loadgen/gate.h"
#include "loadgen/outputs.h"
#include "loadgen/validity.h"
#include "loadgen/verdict.h"

/* XML 1.0 knows no other control characters, escaped or not. */
void junit_add_text(struct text *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '&')
            text_add(out, "&amp;");
        else if (c == '<')
            text_add(out, "&lt;");
        else if (c == '>')
            text_add(out, "&gt;");
        else if (c == '"')
            text_add(out, "&quot;");
        else if (c < 0x20 && c != '\t' && c != '\n')
            text_add_char(out, '?');
        else
            text_add_char(out, (char)c);
    }
}

static void begin_case(struct text *out, const char *name)
{
    text_add(out, "    <testcase classname=\"streamload\" name=\"");
    junit_add_text(out, name);
    text_add(out, "\">");
}

static void add_outcome(struct text *out, const char *element, const char *message)
{
    text_addf(out, "<%s message=\"", element);
    junit_add_text(out, message);
    text_add(out, "\"/>");
}

static void add_validity(struct text *out, const struct validity *v)
{
    begin_case(out, "the measurement is valid");
    for (size_t i = 0; i < v->n && i < 1; i++)
        add_outcome(out, "error", v->finding[i].text);
    text_add(out, "</testcase>\n");
}

static void add_gate(struct text *out, const char *name, const struct gate_verdict *v)
{
    begin_case(out, name);
    if (v->outcome == GATE_FAILED) {
        add_outcome(out, "failure", v->why);
    } else {
        text_add(out, v->outcome == GATE_WARNED ? "<system-out>warning: " : "<system-out>");
        junit_add_text(out, v->why);
        text_add(out, "</system-out>");
    }
    text_add(out, "</testcase>\n");
}

static void add_property(struct text *out, const char *name, const char *value)
{
    text_add(out, "      <property name=\"");
    junit_add_text(out, name);
    text_add(out, "\" value=\"");
    junit_add_text(out, value);
    text_add(out, "\"/>\n");
}

static void add_properties(struct text *out, const struct report *r)
{
    text_add(out, "    <properties>\n");
    add_property(out, "url", r->url);
    add_property(out, "server", r->server);
    for (size_t i = 0; i < r->n_profiles; i++)
        if (r->profile[i].tags[0])
            add_property(out, r->profile[i].name, r->profile[i].tags);
    text_add(out, "    </properties>\n");
}

void junit_write(struct text *out, const struct report *r)
{
    struct validity validity;
    struct gate_verdict v;
    size_t failed = 0;
    validity_judge(r, &validity);
    for (size_t i = 0; i < r->n_gates; i++) {
        gate_judge_at(r, i, &v);
        failed += v.outcome == GATE_FAILED;
    }
    text_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    text_addf(out,
              "  <testsuite name=\"streamload\" tests=\"%zu\" failures=\"%zu\" errors=\"%d\" "
              "time=\"%.3f\">\n",
              r->n_gates + 1, failed, validity.n ? 1 : 0, (double)r->duration_us / 1e6);
    add_properties(out, r);
    add_validity(out, &validity);
    for (size_t i = 0; i < r->n_gates; i++) {
        gate_judge_at(r, i, &v);
        add_gate(out, r->gate[i], &v);
    }
    text_add(out, "  </testsuite>\n</testsuites>\n");
}
