/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_render.c: statements of a chat template, which write text, and its rendering. */
#include "common/text/jinja_render.h"
#include <string.h>
#include "common/text/jinja_eval.h"
#include "common/text/jinja_parts.h"

/* What `loop` is: a namespace whose values change from turn to turn. */
static enum err make_loop(struct jinja_machine *m, const struct jinja_list *items, size_t i,
                          struct jinja_value *loop)
{
    const struct {
        const char *name;
        struct jinja_value value;
    } members[] = {
        {"index", JINJA_NUMBER((int64_t)i + 1)},
        {"index0", JINJA_NUMBER((int64_t)i)},
        {"first", JINJA_TRUTH(i == 0)},
        {"last", JINJA_TRUTH(i + 1 == items->count)},
        {"length", JINJA_NUMBER((int64_t)items->count)},
        {"revindex", JINJA_NUMBER((int64_t)(items->count - i))},
        {"depth", JINJA_NUMBER(1)}, /* no loop calls itself here */
        {"depth0", JINJA_NUMBER(0)},
        {"revindex0", JINJA_NUMBER((int64_t)(items->count - i) - 1)},
        {"previtem", i > 0 ? items->items[i - 1] : JINJA_VALUE(JINJA_UNDEFINED)},
        {"nextitem", i + 1 < items->count ? items->items[i + 1] : JINJA_VALUE(JINJA_UNDEFINED)},
    };

    if (loop->type != JINJA_NAMESPACE) TRY(jinja_list_new(m->r, JINJA_NAMESPACE, loop));
    for (size_t k = 0; k < ARRAY_LEN(members); k++) {
        struct jinja_value key;
        if (loop->as.list->count > 2 * k) {
            loop->as.list->items[2 * k + 1] = members[k].value;
            continue;
        }
        TRY(jinja_text(m->r, members[k].name, &key));
        TRY(jinja_list_add(m->r, loop->as.list, key));
        TRY(jinja_list_add(m->r, loop->as.list, members[k].value));
    }
    return ERR_OK;
}

/* The items for which the loop's condition holds. */
static enum err filter_items(struct jinja_machine *m, const struct jinja_node *n,
                             struct jinja_value *items)
{
    const struct jinja_list *all = items->as.list;
    struct jinja_scope *outer = m->scope;
    struct jinja_value holds;

    TRY(jinja_list_new(m->r, JINJA_LIST, items));
    for (size_t i = 0; i < all->count; i++) {
        TRY(jinja_scope_new(m, outer, &m->scope));
        TRY(jinja_unpack(m, n->args, all->items[i]));
        TRY(jinja_eval(m, n->b, &holds));
        if (jinja_truth(&holds)) TRY(jinja_list_add(m->r, items->as.list, all->items[i]));
    }
    m->scope = outer;
    return ERR_OK;
}

static enum err run_for(struct jinja_machine *m, const struct jinja_node *n)
{
    struct jinja_value v, items, loop = JINJA_VALUE(JINJA_NONE);
    struct jinja_scope *outer = m->scope;

    TRY(jinja_eval(m, n->a, &v));
    m->r->line = n->line;
    TRY(jinja_items(m->r, &v, &items));
    if (n->b != NULL) TRY(filter_items(m, n, &items));
    for (size_t i = 0; i < items.as.list->count && m->flow != JINJA_FLOW_BREAK; i++) {
        TRY(jinja_scope_new(m, outer, &m->scope));
        TRY(make_loop(m, items.as.list, i, &loop));
        TRY(jinja_assign(m, "loop", loop));
        TRY(jinja_unpack(m, n->args, items.as.list->items[i]));
        m->flow = JINJA_FLOW_ON;
        TRY(jinja_statements(m, n->body));
    }
    m->flow = JINJA_FLOW_ON;
    m->scope = outer;
    return items.as.list->count == 0 ? jinja_statements(m, n->other) : ERR_OK;
}

static enum err set_member(struct jinja_machine *m, const struct jinja_node *n)
{
    struct jinja_value v, where, key;

    TRY(jinja_eval(m, n->a, &v));
    TRY(jinja_look_up(m, n->args->text, &where));
    m->r->line = n->line;
    if (where.type != JINJA_NAMESPACE)
        return jinja_fail(m->r, "'%s' is no namespace: its members cannot be set", n->args->text);
    TRY(jinja_text(m->r, n->text, &key));
    return jinja_dict_set(m->r, where.as.list, key, v);
}

static enum err define_macro(struct jinja_machine *m, const struct jinja_node *n)
{
    struct jinja_macro *macro;

    TRY(jinja_new(m->r->e, &m->r->memory, &macro, 1, sizeof *macro));
    *macro = (struct jinja_macro){n, m->scope};
    return jinja_assign(m, n->text, (struct jinja_value){.type = JINJA_MACRO, .as.macro = macro});
}

static enum err run_generation(struct jinja_machine *m, const struct jinja_node *n)
{
    struct jinja_scope *outer = m->scope;
    size_t from = m->text->n;

    if (m->text != m->main)
        return jinja_fail(m->r,
                          "a generation block within a macro or a set block is not supported");
    TRY(jinja_scope_new(m, outer, &m->scope));
    TRY(jinja_statements(m, n->body));
    m->scope = outer;
    if (m->spans_count == m->spans_capacity) {
        struct chat_span *grown;
        m->spans_capacity = m->spans_capacity * 2 + 16;
        TRY(jinja_new(m->r->e, &m->r->memory, &grown, m->spans_capacity, sizeof *grown));
        if (m->spans_count > 0) memcpy(grown, m->spans, m->spans_count * sizeof *grown);
        m->spans = grown;
    }
    m->spans[m->spans_count++] = (struct chat_span){from, m->text->n};
    return ERR_OK;
}

static enum err run_one(struct jinja_machine *m, const struct jinja_node *n)
{
    struct jinja_value v;

    switch (n->type) {
    case JINJA_N_DATA:
        return jinja_print(m->r, &n->value, m->text);
    case JINJA_N_PRINT:
        TRY(jinja_eval(m, n->a, &v));
        m->r->line = n->line;
        return jinja_print(m->r, &v, m->text);
    case JINJA_N_IF:
        TRY(jinja_eval(m, n->a, &v));
        return jinja_statements(m, jinja_truth(&v) ? n->body : n->other);
    case JINJA_N_FOR:
        return run_for(m, n);
    case JINJA_N_SET:
        TRY(jinja_eval(m, n->a, &v));
        m->r->line = n->line;
        return jinja_unpack(m, n->args, v);
    case JINJA_N_SET_MEMBER:
        return set_member(m, n);
    case JINJA_N_SET_BLOCK:
        TRY(jinja_capture(m, n->body, &v));
        return jinja_assign(m, n->args->text, v);
    case JINJA_N_MACRO:
        return define_macro(m, n);
    case JINJA_N_GENERATION:
        return run_generation(m, n);
    default:
        m->flow = n->type == JINJA_N_BREAK ? JINJA_FLOW_BREAK : JINJA_FLOW_CONTINUE;
        return ERR_OK;
    }
}

enum err jinja_statements(struct jinja_machine *m, const struct jinja_node *n)
{
    if (++m->r->depth > JINJA_EVAL_DEPTH) return jinja_fail(m->r, "it is nested too deep");
    for (; n != NULL && m->flow == JINJA_FLOW_ON; n = n->next) {
        m->r->line = n->line;
        TRY(jinja_spend(m->r, 0));
        TRY(run_one(m, n));
    }
    m->r->depth--;
    return ERR_OK;
}

enum err jinja_capture(struct jinja_machine *m, const struct jinja_node *body,
                       struct jinja_value *out)
{
    struct jinja_builder own = {0}, *outer = m->text;
    enum err code;

    m->text = &own;
    code = jinja_statements(m, body);
    m->text = outer;
    return code == ERR_OK ? jinja_built(m->r, &own, out) : code;
}

enum err jinja_render(struct jinja_run *r, const struct jinja_node *root,
                      const struct jinja_list *variables, struct jinja_builder *out,
                      struct chat_span **spans, size_t *spans_count)
{
    struct jinja_machine m = {.r = r, .globals = variables, .text = out, .main = out};

    TRY(jinja_scope_new(&m, NULL, &m.scope));
    TRY(jinja_statements(&m, root));
    *spans = m.spans;
    *spans_count = m.spans_count;
    return ERR_OK;
}
