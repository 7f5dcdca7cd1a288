/* SPDX-License-Identifier: Apache-2.0 */
/* chat_template.c: see chat_template.h. */
#include "common/text/chat_template.h"
#include <string.h>
#include "common/text/jinja_parse.h"
#include "common/text/jinja_render.h"

#define RENDER_MEMORY ((size_t)512 << 20)
#define PARSE_MEMORY  ((size_t)256 << 20)

struct chat_template {
    char *name;
    struct jinja_memory memory;
    struct jinja_node *root;
    bool has_generation;
};

static bool find_generation(const struct jinja_node *n)
{
    for (; n != NULL; n = n->next)
        if (n->type == JINJA_N_GENERATION || find_generation(n->body) || find_generation(n->other))
            return true;
    return false;
}

enum err chat_template_new(struct errctx *e, const char *source, size_t n, const char *name,
                           struct chat_template **out)
{
    struct jinja_run run = {.e = e, .memory = {.limit = PARSE_MEMORY}};
    struct chat_template *t;
    enum err code;

    *out = NULL;
    if (n > CHAT_TEMPLATE_LIMIT)
        return err_set(e, ERR_INPUT, "'%s': chat template: more than %zu bytes", name,
                       CHAT_TEMPLATE_LIMIT);
    TRY(mem_new(e, &t, 1, sizeof *t, "chat template"));
    code = mem_strdup(e, &t->name, name);
    if (code == ERR_OK) {
        code = jinja_parse(&run, source, n, &t->root);
        if (code != ERR_OK) err_prefix(e, "'%s': chat template", name);
    }
    t->memory = run.memory;
    if (code != ERR_OK) {
        chat_template_free(t);
        return code;
    }
    t->has_generation = find_generation(t->root);
    *out = t;
    return ERR_OK;
}

void chat_template_free(struct chat_template *t)
{
    if (t == NULL) return;
    jinja_memory_fini(&t->memory);
    mem_free(t->name);
    mem_free(t);
}

void chat_rendering_fini(struct chat_rendering *r)
{
    jinja_memory_fini(&r->memory);
    memset(r, 0, sizeof *r);
}

/* ------------------------------------------------------------------ what the template sees */

static enum err set(struct jinja_run *r, struct jinja_list *dict, const char *name,
                    struct jinja_value v)
{
    struct jinja_value key;

    TRY(jinja_text(r, name, &key));
    return jinja_dict_set(r, dict, key, v);
}

/* As transformers has it: what a model thought goes by three names. */
static enum err alias_reasoning(struct jinja_run *r, struct jinja_list *message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    const struct jinja_value *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(names) && found == NULL; i++)
        found = jinja_dict_find(message, names[i], strlen(names[i]));
    if (found == NULL) return ERR_OK;
    struct jinja_value v = *found;
    if (jinja_dict_find(message, names[1], strlen(names[1])) == NULL)
        TRY(set(r, message, names[1], v));
    return set(r, message, names[0], v);
}

/* The messages; all that one says, but for its role, is marked with its number. */
static enum err make_messages(struct jinja_run *r, const json_t *list, struct jinja_value *out)
{
    TRY(jinja_list_new(r, JINJA_LIST, out));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *message = json_array_get(list, i), *role = json_object_get(message, "role");
        struct jinja_value v, unmarked;
        TRY(jinja_of_json(r, message, (uint16_t)(i + 1), true, &v));
        if (json_is_string(role)) {
            TRY(jinja_of_json(r, role, 0, false, &unmarked));
            TRY(set(r, v.as.list, "role", unmarked));
        }
        TRY(alias_reasoning(r, v.as.list));
        TRY(jinja_list_add(r, out->as.list, v));
    }
    return ERR_OK;
}

static enum err set_json(struct jinja_run *r, struct jinja_list *dict, const char *name,
                         const json_t *json)
{
    struct jinja_value v = JINJA_VALUE(JINJA_NONE);

    if (json != NULL) TRY(jinja_of_json(r, json, 0, false, &v));
    return set(r, dict, name, v);
}

static enum err make_variables(struct jinja_run *r, const struct chat_input *in,
                               struct jinja_value *out)
{
    struct jinja_value v;
    const char *key;
    json_t *member;

    TRY(jinja_list_new(r, JINJA_DICT, out));
    for (size_t i = 0; i < in->variables_count; i++) {
        TRY(jinja_string_view(r, in->variables[i].text, NULL, in->variables[i].n, &v));
        TRY(set(r, out->as.list, in->variables[i].name, v));
    }
    json_object_foreach((json_t *)(uintptr_t)in->more, key, member)
        TRY(set_json(r, out->as.list, key, member));
    TRY(make_messages(r, in->messages, &v));
    TRY(set(r, out->as.list, "messages", v));
    TRY(set_json(r, out->as.list, "tools", in->tools));
    TRY(set_json(r, out->as.list, "documents", in->documents));
    return set(r, out->as.list, "add_generation_prompt", JINJA_TRUTH(in->generation_prompt));
}

enum err chat_template_render(struct errctx *e, const struct chat_template *t,
                              const struct chat_input *in, struct chat_rendering *out)
{
    struct jinja_run r = {
        .e = e, .memory = {.limit = RENDER_MEMORY}, .line = 1, .today = in->today};
    struct jinja_value variables;
    struct jinja_builder text = {0};
    struct chat_span *spans = NULL;
    size_t spans_count = 0;
    enum err code;

    chat_rendering_fini(out);
    code = make_variables(&r, in, &variables);
    if (code == ERR_OK)
        code = jinja_render(&r, t->root, variables.as.list, &text, &spans, &spans_count);
    if (code != ERR_OK) err_prefix(e, "chat template '%s'", t->name);
    *out =
        (struct chat_rendering){text.n > 0 ? text.s : "", text.n,  text.marks, spans, spans_count,
                                t->has_generation,        r.memory};
    return code;
}
