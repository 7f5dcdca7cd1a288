/* SPDX-License-Identifier: Apache-2.0 */
/* import_tiktoken.c: see import_tiktoken.h. The constants are those of
 * tiktoken_ext/openai_public.py. */
#include "common/text/import_tiktoken.h"
#include <string.h>
#include "common/text/ops_build.h"
#include "common/text/vocab_map.h"
#include "formats/tiktoken.h"

enum { KNOWN_SPECIALS = 5, TOKEN_LIMIT = 1 << 12 };

struct special {
    const char *token;
    uint32_t id;
};

static const struct known {
    size_t ranks;
    uint32_t highest;
    const char *pattern;
    struct special special[KNOWN_SPECIALS];
} known[] = {
    {50256, 50255, "gpt2", {{"<|endoftext|>", 50256}}}, /* r50k_base, GPT-2 */
    {50280, 50280, "gpt2", {{"<|endoftext|>", 50256}}}, /* p50k_base */
    {100256,
     100255,
     "cl100k",
     {{"<|endoftext|>", 100257},
      {"<|fim_prefix|>", 100258},
      {"<|fim_middle|>", 100259},
      {"<|fim_suffix|>", 100260},
      {"<|endofprompt|>", 100276}}},
    {199998, 199997, "o200k", {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}},
};

struct import {
    const struct import_tiktoken_cfg *cfg;
    const struct known *known;
    struct tiktoken_ranks ranks;
    struct special *special;
    size_t special_count;
    struct mp_value roles; /* role -> id */
};

/* ------------------------------------------------------------------ special tokens */

static enum err add_special(struct errctx *e, struct import *m, const char *text, uint32_t id)
{
    char role[SPECIAL_ROLE_MAX];
    const char *token = special_role(text, role);

    if (token[0] == 0) return err_set(e, ERR_USAGE, "--special '%s' is empty", text);
    for (size_t i = 0; i < m->special_count; i++)
        if (strcmp(m->special[i].token, token) == 0)
            return err_set(e, ERR_USAGE, "--special '%s' is given twice", token);
    m->special[m->special_count++] = (struct special){token, id};
    return role[0] == 0 ? ERR_OK : mp_set_int(e, &m->roles, role, id);
}

static enum err choose(struct errctx *e, struct import *m)
{
    const struct opt_list *given = m->cfg->special;
    size_t n = given->count > 0 ? given->count : KNOWN_SPECIALS;

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].ranks == m->ranks.count && known[i].highest == m->ranks.highest)
            m->known = &known[i];
    if (m->known == NULL && m->cfg->pattern == NULL)
        return err_set(e, ERR_USAGE,
                       "%zu ranks are no size that tiktoken has: --pattern says how text is cut",
                       m->ranks.count);
    mp_map_init(&m->roles);
    TRY(mem_new(e, &m->special, n, sizeof *m->special, "special tokens"));
    for (size_t i = 0; i < given->count; i++)
        TRY(add_special(e, m, given->items[i], m->ranks.highest + 1 + (uint32_t)i));
    for (size_t i = 0; given->count == 0 && m->known != NULL && i < KNOWN_SPECIALS; i++)
        if (m->known->special[i].token != NULL)
            TRY(add_special(e, m, m->known->special[i].token, m->known->special[i].id));
    return ERR_OK;
}

/* ------------------------------------------------------------------ tables */

/* Bytes of the token `id` from the ranks (by_id: line + 1) or the special tokens; NULL: nobody has
 * that id. */
static const void *token_of(const struct import *m, const uint32_t *by_id, uint32_t id, size_t *n,
                            uint8_t *flags)
{
    *flags = 0;
    for (size_t i = 0; i < m->special_count; i++)
        if (m->special[i].id == id) {
            *flags = TOKEN_SPECIAL | TOKEN_ADDED;
            *n = strlen(m->special[i].token);
            return m->special[i].token;
        }
    if (by_id[id] != 0) {
        *n = (size_t)(m->ranks.start[by_id[id]] - m->ranks.start[by_id[id] - 1]);
        return m->ranks.bytes.data + m->ranks.start[by_id[id] - 1];
    }
    *flags = TOKEN_UNUSED;
    *n = 0;
    return NULL;
}

static enum err fill_vocab(struct errctx *e, const struct import *m, struct tokenizer_spec *s)
{
    struct bytes text = {0};
    uint32_t *by_id;
    enum err code = ERR_OK;

    s->vocab = (int64_t)m->ranks.highest + 1;
    for (size_t i = 0; i < m->special_count; i++)
        if (m->special[i].id >= s->vocab) s->vocab = (int64_t)m->special[i].id + 1;
    TRY(mem_new(e, &s->start, (size_t)s->vocab + 1, sizeof *s->start, "vocabulary"));
    TRY(mem_new(e, &s->flags, (size_t)s->vocab, 1, "vocabulary"));
    TRY(mem_new(e, &by_id, (size_t)s->vocab, sizeof *by_id, "vocabulary"));
    for (size_t i = 0; i < m->ranks.count; i++) by_id[m->ranks.rank[i]] = (uint32_t)i + 1;
    for (int64_t id = 0; id < s->vocab && code == ERR_OK; id++) {
        size_t n;
        const void *bytes = token_of(m, by_id, (uint32_t)id, &n, &s->flags[id]);
        code = bytes_append(e, &text, bytes, n);
        s->start[id + 1] = text.len;
    }
    mem_free(by_id);
    s->bytes = text.data;
    return code;
}

/* Encodes the token's bytes with the ranks below its own; `at` gets where the parts begin, *parts
 * their number. */
static void split_token(const struct vocab_map *map, uint32_t id, uint32_t *at, size_t *parts)
{
    const struct tokenizer_spec *s = map->spec;
    const uint8_t *bytes = s->bytes + s->start[id];
    size_t n = (size_t)(s->start[id + 1] - s->start[id]);

    for (size_t i = 0; i <= n; i++) at[i] = (uint32_t)i;
    *parts = n;
    for (;;) {
        int64_t best = id;
        size_t where = 0;
        for (size_t i = 0; i + 1 < *parts; i++) {
            int64_t rank = vocab_map_find(map, bytes + at[i], at[i + 2] - at[i]);
            if (rank >= 0 && rank < best) {
                best = rank;
                where = i;
            }
        }
        if (best == id) return;
        memmove(at + where + 1, at + where + 2, (*parts - where - 1) * sizeof *at);
        (*parts)--;
    }
}

static enum err recover_merges(struct errctx *e, struct tokenizer_spec *s, bool *all)
{
    struct vocab_map map;
    uint32_t *at;
    enum err code = ERR_OK;

    TRY(mem_new(e, &s->merges, 2 * (size_t)s->vocab, sizeof *s->merges, "merges"));
    TRY(mem_new(e, &at, TOKEN_LIMIT + 1, sizeof *at, "merges"));
    code = vocab_map_init(e, s, &map);
    *all = true;
    for (int64_t id = 0; id < s->vocab && code == ERR_OK; id++) {
        const uint8_t *bytes = s->bytes + s->start[id];
        size_t n = (size_t)(s->start[id + 1] - s->start[id]), parts;
        if (n < 2 || s->flags[id] != 0) continue;
        if (n > TOKEN_LIMIT) {
            code = err_set(e, ERR_INPUT, "the token of rank %lld has %zu bytes", (long long)id, n);
            break;
        }
        split_token(&map, (uint32_t)id, at, &parts);
        *all &= parts == 2;
        if (parts != 2) continue;
        for (size_t k = 0; k < 2; k++)
            s->merges[2 * s->merges_count + (int64_t)k] =
                (uint32_t)vocab_map_find(&map, bytes + at[k], at[k + 1] - at[k]);
        s->merges_count++;
    }
    mem_free(at);
    vocab_map_fini(&map);
    return code;
}

static enum err build(struct errctx *e, struct import *m, struct tokenizer_spec *s)
{
    struct mp_value pretokenizer;
    bool all;
    enum err code;

    TRY(choose(e, m));
    TRY(fill_vocab(e, m, s));
    TRY(recover_merges(e, s, &all));
    mp_array_init(&pretokenizer);
    code = ops_pretokenizer(e, &pretokenizer,
                            m->cfg->pattern != NULL ? m->cfg->pattern : m->known->pattern, NULL);
    if (code == ERR_OK) code = ops_byte_bpe(e, &s->ops, &pretokenizer, !all, &m->roles);
    mp_fini(&pretokenizer);
    return code;
}

enum err import_tiktoken(struct errctx *e, const char *data, size_t n,
                         const struct import_tiktoken_cfg *cfg, struct tokenizer_spec *out)
{
    struct import m = {.cfg = cfg};
    enum err code;

    tokenizer_spec_init(out);
    TRY(tiktoken_parse(e, data, n, &m.ranks));
    code = build(e, &m, out);
    tiktoken_ranks_fini(&m.ranks);
    mem_free(m.special);
    mp_fini(&m.roles);
    if (code != ERR_OK) tokenizer_spec_fini(out);
    return code;
}
