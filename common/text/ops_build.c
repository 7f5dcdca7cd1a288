/* SPDX-License-Identifier: Apache-2.0 */
/* ops_build.c: see ops_build.h. */
#include "common/text/ops_build.h"
#include <string.h>

const char *special_role(const char *special, char role[SPECIAL_ROLE_MAX])
{
    static const char *const roles[] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};

    role[0] = 0;
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        size_t n = strlen(roles[i]);
        if (strncmp(special, roles[i], n) == 0 && special[n] == '=') {
            memcpy(role, roles[i], n + 1);
            return special + n + 1;
        }
    }
    if (strcmp(special, "<|endoftext|>") == 0) memcpy(role, "eos", 4);
    return special;
}

/* Appends {"op": name, key: text} to a list; key may be NULL. */
static enum err append_op(struct errctx *e, struct mp_value *list, const char *name,
                          const char *key, const char *text)
{
    struct mp_value op;
    enum err code;

    mp_map_init(&op);
    code = mp_set_string(e, &op, "op", name);
    if (code == ERR_OK && key != NULL) code = mp_set_string(e, &op, key, text);
    if (code == ERR_OK) code = mp_append(e, list, &op);
    mp_fini(&op);
    return code;
}

enum err ops_pretokenizer(struct errctx *e, struct mp_value *list, const char *name,
                          const char *regex)
{
    mp_fini(list);
    mp_array_init(list);
    return regex == NULL ? append_op(e, list, name, NULL, NULL)
                         : append_op(e, list, "regex", "pattern", regex);
}

/* ops[key] = [{"op": name}], or [] without name. */
static enum err set_list(struct errctx *e, struct mp_value *ops, const char *key, const char *name)
{
    struct mp_value list;
    enum err code = ERR_OK;

    mp_array_init(&list);
    if (name != NULL) code = append_op(e, &list, name, NULL, NULL);
    if (code == ERR_OK) code = mp_set(e, ops, key, &list);
    mp_fini(&list);
    return code;
}

/* map[key] = [text] */
static enum err set_names(struct errctx *e, struct mp_value *map, const char *key, const char *text)
{
    struct mp_value list, holder;
    enum err code;

    mp_array_init(&list);
    mp_map_init(&holder);
    code = mp_set_string(e, &holder, "name", text);
    if (code == ERR_OK) code = mp_append(e, &list, mp_get(&holder, "name"));
    if (code == ERR_OK) code = mp_set(e, map, key, &list);
    mp_fini(&holder);
    mp_fini(&list);
    return code;
}

static enum err set_template(struct errctx *e, struct mp_value *ops)
{
    struct mp_value list, op;
    enum err code;

    mp_array_init(&list);
    mp_map_init(&op);
    code = mp_set_string(e, &op, "op", "template");
    if (code == ERR_OK) code = set_names(e, &op, "before", "cls");
    if (code == ERR_OK) code = set_names(e, &op, "after", "sep");
    if (code == ERR_OK) code = mp_append(e, &list, &op);
    if (code == ERR_OK) code = mp_set(e, ops, "postprocessor", &list);
    mp_fini(&op);
    mp_fini(&list);
    return code;
}

enum err ops_byte_bpe(struct errctx *e, struct mp_value *ops, const struct mp_value *pretokenizer,
                      bool ignore_merges, const struct mp_value *special)
{
    struct mp_value model;
    enum err code;

    TRY(set_list(e, ops, "normalizer", NULL));
    TRY(mp_set(e, ops, "pretokenizer", pretokenizer));
    mp_map_init(&model);
    code = mp_set_string(e, &model, "op", "bpe");
    if (code == ERR_OK) code = mp_set_bool(e, &model, "byte_level", true);
    if (code == ERR_OK && ignore_merges) code = mp_set_bool(e, &model, "ignore_merges", true);
    if (code == ERR_OK) code = mp_set(e, ops, "model", &model);
    mp_fini(&model);
    TRY(code);
    if (mp_get(special, "cls") != NULL && mp_get(special, "sep") != NULL)
        TRY(set_template(e, ops));
    else
        TRY(set_list(e, ops, "postprocessor", NULL));
    TRY(set_list(e, ops, "decoder", "bytes"));
    return mp_set(e, ops, "special", special);
}
