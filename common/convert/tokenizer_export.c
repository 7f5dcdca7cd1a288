/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_export.c: see tokenizer_export.h. */
#include "common/convert/tokenizer_export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/base/prog.h"
#include "common/text/export_check.h"
#include "common/text/export_tables.h"
#include "common/text/export_tokenizer_json.h"
#include "common/text/import_tokenizer_json.h"

bool tokenizer_form_is_file(enum tokenizer_form form)
{
    return form == FORM_TOKENIZER_JSON || form == FORM_TIKTOKEN;
}

/* The next file, by name. */
static struct bytes *next(struct tokenizer_files *f, const char *name)
{
    f->items[f->count].name = name;
    return &f->items[f->count++].text;
}

/* Takes the reference. */
static enum err put_json(struct errctx *e, json_t *root, int indent, struct bytes *out)
{
    char *text = json_dumps(root, JSON_INDENT(indent));
    enum err r = text ? bytes_printf(e, out, "%s\n", text) : err_memory(e, "JSON", 0);
    json_decref(root);
    free(text);
    return r;
}

/* ------------------------------------------------------------------ tokenizer.json */

/* Rewritings of SentencePiece are looked up by clusters of characters there, here by the longest
 * beginning: what is compared is as it is there. */
static enum err take_clusters(struct errctx *e, const struct tokenizer_spec *s,
                              struct tokenizer_spec *as_there, bool *changed)
{
    struct mp_value *list;
    *as_there = *s;
    *changed = false;
    TRY(mp_copy(e, &s->ops, &as_there->ops));
    list = (struct mp_value *)(uintptr_t)mp_get(&as_there->ops, "normalizer");
    for (size_t i = 0; i < list->as.list.count; i++) {
        struct mp_value *op = &list->as.list.items[i];
        const struct mp_value *clusters = mp_get(op, "graphemes");
        if (!mp_get(op, "map") || (clusters && clusters->as.boolean)) continue;
        *changed = true;
        if (mp_set_bool(e, op, "graphemes", true) != ERR_OK) break;
    }
    if (e->code != ERR_OK) mp_fini(&as_there->ops);
    return e->code;
}

static enum err check_json(struct errctx *e, const struct tokenizer_spec *s,
                           const struct bytes *text, const struct bytes *config)
{
    struct tokenizer_spec as_there, again;
    bool changed;
    enum err r;
    TRY(take_clusters(e, s, &as_there, &changed));
    r = import_tokenizer_json(e, (const char *)text->data, text->len, (const char *)config->data,
                              config->len, &again);
    if (r == ERR_OK) {
        r = export_check(e, &as_there, &again, "tokenizer.json");
        tokenizer_spec_fini(&again);
    }
    mp_fini(&as_there.ops);
    if (r == ERR_OK && changed)
        prog_warn("tokenizer.json rewrites whole clusters of characters: letters with marks of "
                  "their own may get other tokens there");
    return r;
}

static enum err make_hf(struct errctx *e, const struct tokenizer_spec *s, bool types,
                        struct tokenizer_files *f)
{
    const char *chat = tokenizer_spec_chat_template(s);
    struct bytes *text = next(f, "tokenizer.json"), *config = next(f, "tokenizer_config.json");
    json_t *root;
    TRY(export_tokenizer_json(e, s, &root));
    TRY(put_json(e, root, 1, text));
    TRY(export_tokenizer_config(e, s, types, &root));
    TRY(put_json(e, root, 2, config));
    TRY(check_json(e, s, text, config));
    return chat ? bytes_append(e, next(f, "chat_template.jinja"), chat, strlen(chat)) : ERR_OK;
}

/* ------------------------------------------------------------------ the others */

static enum err make_tiktoken(struct errctx *e, const struct tokenizer_spec *s,
                              struct tokenizer_files *f)
{
    char *hint;
    TRY(export_tiktoken(e, s, next(f, "ranks.tiktoken"), &hint));
    if (hint)
        prog_warn("special tokens and the cutting of text do not stand in a tiktoken file; to "
                  "import it: %s",
                  hint);
    mem_free(hint);
    return ERR_OK;
}

static enum err make_vocab_txt(struct errctx *e, const struct tokenizer_spec *s,
                               struct tokenizer_files *f)
{
    json_t *config;
    TRY(export_vocab_txt(e, s, next(f, "vocab.txt"), &config));
    return put_json(e, config, 2, next(f, "tokenizer_config.json"));
}

static enum err make_merges(struct errctx *e, const struct tokenizer_spec *s,
                            struct tokenizer_files *f)
{
    json_t *vocab;
    TRY(export_vocab_merges(e, s, &vocab, next(f, "merges.txt")));
    return put_json(e, vocab, 1, next(f, "vocab.json"));
}

enum err tokenizer_files_make(struct errctx *e, const struct tokenizer_spec *s,
                              enum tokenizer_form form, bool types, struct tokenizer_files *out)
{
    *out = (struct tokenizer_files){.count = 0};
    switch (form) {
    case FORM_TIKTOKEN:
        return make_tiktoken(e, s, out);
    case FORM_VOCAB_TXT:
        return make_vocab_txt(e, s, out);
    case FORM_MERGES:
        return make_merges(e, s, out);
    default:
        return make_hf(e, s, types, out);
    }
}

void tokenizer_files_fini(struct tokenizer_files *f)
{
    for (size_t i = 0; i < f->count; i++) bytes_fini(&f->items[i].text);
    f->count = 0;
}

/* ------------------------------------------------------------------ writing */

static enum err open_one(struct errctx *e, const struct tokenizer_file *file,
                         enum tokenizer_form form, const char *output, struct outfile *out)
{
    char *path = NULL;
    enum err r;
    if (tokenizer_form_is_file(form)) return outfile_open(e, output, out);
    TRY(mem_printf(e, &path, "%s/%s", output, file->name));
    r = outfile_open(e, path, out);
    mem_free(path);
    return r;
}

enum err tokenizer_files_write(struct errctx *e, const struct tokenizer_files *f,
                               enum tokenizer_form form, const char *output, uint64_t *written)
{
    const size_t count = tokenizer_form_is_file(form) ? 1 : f->count;
    struct outfile files[3];
    size_t open = 0;
    if (!tokenizer_form_is_file(form) && mkdir(output, 0777) != 0 && errno != EEXIST)
        return err_errno(e, "cannot make '%s'", output);
    for (; open < count && open_one(e, &f->items[open], form, output, &files[open]) == ERR_OK;
         open++)
        *written += f->items[open].text.len;
    for (size_t i = 0; i < open && e->code == ERR_OK; i++)
        if (outfile_write(e, &files[i], f->items[i].text.data, f->items[i].text.len) == ERR_OK)
            (void)!outfile_sync(e, &files[i]);
    for (size_t i = 0; i < open; i++)
        if (e->code == ERR_OK)
            (void)!outfile_commit(e, &files[i]);
        else
            outfile_abort(&files[i]);
    return e->code;
}
