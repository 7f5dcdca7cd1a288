/* SPDX-License-Identifier: Apache-2.0 */
/* export_merges.c: see export_merges.h.
 *
 * Of one score are the ways to cut one token, and sometimes the runs of a letter ("--", "---").
 * SentencePiece joins the leftmost of them; ranks say the same when the longest left part comes
 * first: a run grows from the left before the next one begins. */
#include "common/text/export_merges.h"
#include <stdlib.h>
#include <string.h>
#include "common/text/export_parts.h"
#include "common/text/vocab_map.h"

struct split {
    float score;
    uint32_t left, right, result;
    uint32_t left_length;
};

static int by_rank(const void *a, const void *b)
{
    const struct split *x = a, *y = b;

    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->left_length != y->left_length) return x->left_length > y->left_length ? -1 : 1;
    return x->result < y->result ? -1 : x->result > y->result;
}

static enum err add_splits(struct errctx *e, const struct vocab_map *map, uint32_t id,
                           struct split **splits, size_t *capacity, size_t *count)
{
    const struct tokenizer_spec *s = map->spec;
    const uint8_t *bytes = s->bytes + s->start[id];
    const size_t n = (size_t)(s->start[id + 1] - s->start[id]);

    if (n == 0 || vocab_map_find(map, bytes, n) != (int64_t)id ||
        (s->flags[id] & (TOKEN_SPECIAL | TOKEN_BYTE | TOKEN_UNUSED)))
        return ERR_OK;
    for (size_t k = 1; k < n; k++) {
        if ((bytes[k] & 0xc0) == 0x80) continue;
        int64_t left = vocab_map_find(map, bytes, k);
        int64_t right = left < 0 ? -1 : vocab_map_find(map, bytes + k, n - k);
        if (right < 0) continue;
        TRY(mem_grow(e, splits, capacity, *count + 1, sizeof **splits, "merges"));
        (*splits)[(*count)++] =
            (struct split){s->scores[id], (uint32_t)left, (uint32_t)right, id, (uint32_t)k};
    }
    return ERR_OK;
}

/* A run of one letter; of such tokens the longest first is right whatever their scores say. */
static bool is_run(const struct tokenizer_spec *s, uint32_t id)
{
    const uint8_t *bytes = s->bytes + s->start[id];
    const size_t n = (size_t)(s->start[id + 1] - s->start[id]);
    size_t letter = 1;

    while (letter < n && (bytes[letter] & 0xc0) == 0x80) letter++;
    return memcmp(bytes, bytes + letter, n - letter) == 0;
}

/* Different tokens of one score are joined from the left, which ranks cannot say. */
static enum err check_ties(struct errctx *e, const struct tokenizer_spec *s,
                           const struct split *splits, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct split *a = &splits[i - 1], *b = &splits[i];
        if (a->score == b->score && a->result != b->result &&
            !(is_run(s, a->result) && is_run(s, b->result)))
            return err_set(e, ERR_INPUT,
                           "tokens %u and %u have one score (%g), and merges have an order",
                           a->result, b->result, (double)a->score);
    }
    return ERR_OK;
}

static enum err from_scores(struct errctx *e, const struct tokenizer_spec *s,
                            struct merge_pairs *out)
{
    struct vocab_map map;
    struct split *splits = NULL;
    size_t capacity = 0, count = 0;
    enum err code = vocab_map_init(e, s, &map);

    for (int64_t id = 0; id < s->vocab && code == ERR_OK; id++)
        code = add_splits(e, &map, (uint32_t)id, &splits, &capacity, &count);
    vocab_map_fini(&map);
    if (count > 0) qsort(splits, count, sizeof *splits, by_rank);
    if (code == ERR_OK) code = check_ties(e, s, splits, count);
    if (code == ERR_OK) code = mem_new(e, &out->pairs, 2 * count + 1, sizeof *out->pairs, "merges");
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        out->pairs[2 * i] = splits[i].left;
        out->pairs[2 * i + 1] = splits[i].right;
    }
    out->count = count;
    mem_free(splits);
    return code;
}

enum err export_merge_pairs(struct errctx *e, const struct tokenizer_spec *s,
                            struct merge_pairs *out)
{
    *out = (struct merge_pairs){.count = (size_t)s->merges_count};
    if (s->scores != NULL) return from_scores(e, s, out);
    TRY(mem_new(e, &out->pairs, 2 * out->count + 1, sizeof *out->pairs, "merges"));
    if (out->count > 0) memcpy(out->pairs, s->merges, 2 * out->count * sizeof *out->pairs);
    return ERR_OK;
}

/* ------------------------------------------------------------------ writing */

static enum err append_pair(struct errctx *e, const char *left, const char *right, json_t *list)
{
    json_t *pair = strchr(left, ' ') != NULL || strchr(right, ' ') != NULL
                       ? json_pack("[s,s]", left, right)
                       : json_pack("s++", left, " ", right);

    return json_array_append_new(list, pair) == 0 ? ERR_OK : err_memory(e, "merges", 0);
}

struct pair_texts {
    struct bytes left, right, both; /* NUL-terminated */
};

static enum err add_pair(struct errctx *e, const struct export_parts *p, const uint32_t *pair,
                         const json_t *vocab, struct pair_texts *t, json_t *list)
{
    const char *left, *right;

    t->left.len = t->right.len = t->both.len = 0;
    TRY(export_token_text(e, p, pair[0], &t->left));
    TRY(export_token_text(e, p, pair[1], &t->right));
    left = (const char *)t->left.data;
    right = (const char *)t->right.data;
    TRY(bytes_append(e, &t->both, left, t->left.len - 1));
    TRY(bytes_append(e, &t->both, right, t->right.len));
    if (json_object_get(vocab, left) == NULL || json_object_get(vocab, right) == NULL ||
        json_object_get(vocab, (const char *)t->both.data) == NULL)
        return err_set(e, ERR_INPUT, "'%s' and '%s' are joined to what is no token there", left,
                       right);
    return append_pair(e, left, right, list);
}

enum err export_merges(struct errctx *e, const struct export_parts *p, const json_t *vocab,
                       json_t *list)
{
    struct merge_pairs m;
    struct pair_texts t = {0};
    enum err code = export_merge_pairs(e, p->spec, &m);

    for (size_t i = 0; i < m.count && code == ERR_OK; i++)
        if (add_pair(e, p, m.pairs + 2 * i, vocab, &t, list) != ERR_OK)
            code = err_prefix(e, "merge %zu", i);
    mem_free(m.pairs);
    bytes_fini(&t.left);
    bytes_fini(&t.right);
    bytes_fini(&t.both);
    return code;
}
