/* SPDX-License-Identifier: Apache-2.0 */
/* lineage_print.c: a lineage for people and for jq. Apart from lineage.c, which every stream
 * program links: only those that print need jansson. */
#include "formats/lineage.h"

#include <jansson.h>
#include <string.h>

static const uint8_t no_id[16];

static void print_step(const struct lineage *l, size_t index, int depth, bool *shown, FILE *out)
{
    const struct lineage_step *s = &l->steps[index];
    char id[33];
    fprintf(out, "%*s%s %s  step %.12s", depth, "", s->program, s->version, id_format(s->id, id));
    if (shown[index]) {
        fprintf(out, "  (as above)\n");
        return;
    }
    shown[index] = true;
    fprintf(out, "\n%*soutput %.12s", depth + 2, "", id_format(s->output, id));
    if (s->tensors) fprintf(out, ", %lld tensors", (long long)s->tensors);
    if (s->rows || !s->tensors) fprintf(out, ", %lld rows", (long long)s->rows);
    fputc('\n', out);
    if (s->options_count) fprintf(out, "%*soptions", depth + 2, "");
    for (size_t i = 0; i < s->options_count; i++)
        fprintf(out, " --%s %s", s->options[i].name,
                s->options[i].value[0] ? s->options[i].value : "''");
    if (s->options_count) fputc('\n', out);
    if (s->mode[0]) fprintf(out, "%*sarithmetic %s on %s\n", depth + 2, "", s->mode, s->cpu);
    if (s->notes) fprintf(out, "%*snotes %s\n", depth + 2, "", s->notes);
    for (size_t i = 0; i < s->inputs_count; i++) {
        const struct lineage_input *in = &s->inputs[i];
        fprintf(out, "%*s%s '%s'  %.12s", depth + 2, "", in->role, in->name,
                id_format(in->content, id));
        if (in->rows >= 0) fprintf(out, ", %lld rows", (long long)in->rows);
        fputs(in->partial ? ", read only so far\n" : "\n", out);
        int64_t from = memcmp(in->step, no_id, 16) ? lineage_find(l, in->step) : -1;
        if (from >= 0) print_step(l, (size_t)from, depth + 4, shown, out);
    }
}

static json_t *json_id(const uint8_t id[16])
{
    char text[33];
    return json_string(id_format(id, text));
}

/* {"name": "value"}; an option given several times has a list of values. */
static json_t *json_options(const struct lineage_step *s)
{
    json_t *o = json_object();
    for (size_t i = 0; i < s->options_count; i++) {
        json_t *old = json_object_get(o, s->options[i].name);
        json_t *value = json_string(s->options[i].value);
        if (old && !json_is_array(old)) {
            json_t *list = json_array();
            json_array_append(list, old);
            json_object_set_new(o, s->options[i].name, list);
            old = list;
        }
        if (old)
            json_array_append_new(old, value);
        else
            json_object_set_new(o, s->options[i].name, value);
    }
    return o;
}

static json_t *json_step(const struct lineage_step *s)
{
    json_t *inputs = json_array();
    for (size_t i = 0; i < s->inputs_count; i++) {
        const struct lineage_input *in = &s->inputs[i];
        bool made = memcmp(in->step, no_id, 16) != 0;
        json_t *j = json_object();
        json_object_set_new(j, "role", json_string(in->role));
        json_object_set_new(j, "name", json_string(in->name));
        json_object_set_new(j, "step", made ? json_id(in->step) : json_null());
        json_object_set_new(j, "content", json_id(in->content));
        json_object_set_new(j, "rows", in->rows >= 0 ? json_integer(in->rows) : json_null());
        json_object_set_new(j, "partial", json_boolean(in->partial));
        json_array_append_new(inputs, j);
    }
    json_t *j = json_object();
    json_object_set_new(j, "id", json_id(s->id));
    json_object_set_new(j, "program", json_string(s->program));
    json_object_set_new(j, "version", json_string(s->version));
    json_object_set_new(j, "options", json_options(s));
    json_object_set_new(j, "mode", json_string(s->mode));
    json_object_set_new(j, "cpu", json_string(s->cpu));
    json_object_set_new(j, "inputs", inputs);
    json_object_set_new(j, "rows", json_integer(s->rows));
    json_object_set_new(j, "tensors", json_integer(s->tensors));
    json_object_set_new(j, "output", json_id(s->output));
    json_object_set_new(j, "notes", s->notes ? json_string(s->notes) : json_null());
    return j;
}

static enum err print_json(struct errctx *e, const struct lineage *l, FILE *out)
{
    for (size_t i = 0; i < l->count; i++) {
        json_t *j = json_step(&l->steps[i]);
        int failed = json_dumpf(j, out, JSON_COMPACT);
        json_decref(j);
        if (failed) return err_errno(e, "cannot write the lineage");
        fputc('\n', out);
    }
    return ERR_OK;
}

enum err lineage_print(struct errctx *e, const struct lineage *l, bool json, FILE *out)
{
    if (json) {
        TRY(print_json(e, l, out));
    } else if (l->count) {
        bool *shown;
        TRY(mem_new(e, &shown, l->count, sizeof *shown, "lineage"));
        /* A joined stream has several last steps: each step that no other one used is a root. */
        for (size_t i = l->count; i-- > 0;)
            if (!shown[i]) print_step(l, i, 0, shown, out);
        mem_free(shown);
    }
    if (ferror(out)) return err_errno(e, "cannot write the lineage");
    return ERR_OK;
}
