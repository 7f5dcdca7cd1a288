/* SPDX-License-Identifier: Apache-2.0 */
/* bert_words.c: see bert_words.h. */
#include "common/text/bert_words.h"
#include <string.h>
#include "common/text/unicode_class.h"
#include "common/text/utf8.h"

enum kind { LETTER, SPACE, ALONE, LEAD }; /* LEAD: a character that may be an ideograph begins */

static bool is_op(const struct mp_value *list, size_t i, const char *name)
{
    const struct mp_value *op = mp_get(&list->as.list.items[i], "op");
    return strcmp(op->as.bytes.data, name) == 0;
}

void bert_words_init(const struct mp_value *normalizer, const struct mp_value *pretokenizer,
                     struct bert_words *w)
{
    memset(w, 0, sizeof *w);
    w->usable = pretokenizer->as.list.count == 1 && is_op(pretokenizer, 0, "bert");
    for (size_t i = 0; w->usable && i < normalizer->as.list.count; i++) {
        w->ideographs |= is_op(normalizer, i, "chinese_chars");
        w->lowercase |= is_op(normalizer, i, "lowercase");
        w->usable = is_op(normalizer, i, "clean_text") || is_op(normalizer, i, "chinese_chars") ||
                    is_op(normalizer, i, "strip_accents") || is_op(normalizer, i, "lowercase");
    }
    for (int c = '!'; c <= '~'; c++)
        if (c < '0' || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || c > 'z') w->kind[c] = ALONE;
    w->kind[' '] = w->kind['\t'] = w->kind['\n'] = w->kind['\r'] = SPACE;
    for (int c = 0xe3; w->ideographs && c <= 0xe9; c++) w->kind[c] = LEAD;
    if (w->ideographs) w->kind[0xef] = w->kind[0xf0] = LEAD;
}

/* The ideograph that text[at] begins: where it ends, or `at`. */
static size_t ideograph(const uint8_t *text, size_t at)
{
    size_t len;
    return unicode_is_ideograph(utf8_decode(text + at, &len)) ? at + len : at;
}

size_t bert_words_next(const struct bert_words *w, const uint8_t *text, size_t n, size_t *at,
                       struct piece *out, size_t room)
{
    size_t p = *at, count = 0;

    while (count < room) {
        while (p < n && w->kind[text[p]] == SPACE) p++;
        if (p == n) break;
        size_t from = p;
        if (w->kind[text[p]] == ALONE) {
            p++;
        } else {
            for (; p < n; p++) {
                enum kind kind = w->kind[text[p]];
                if (kind == LETTER) continue;
                if (kind != LEAD || ideograph(text, p) > p) break;
            }
            if (p == from) p = ideograph(text, p);
        }
        out[count++] = (struct piece){from, p};
    }
    *at = p;
    return count;
}
