/* SPDX-License-Identifier: Apache-2.0 */
/* scan_pieces.h: scanners by hand, each of which cuts text as an expression of pretokenize.c would.
 * A scanner answers one question: where does the piece that begins here end? Classes of characters
 * come from a table, so that ASCII and the first plane cost a load. */
#ifndef GRAFT_TEXT_SCAN_PIECES_H
#define GRAFT_TEXT_SCAN_PIECES_H

#include "common/text/pretokenize.h"
#include "common/text/unicode_class.h"
#include "common/text/utf8.h"

/* Classes by byte for ASCII (0 for the bytes of longer characters), and by character. */
struct scan_table {
    uint8_t ascii[256];
    struct unicode_table all;
};

/* Pieces of s[at..n) into out, offsets from s; their number. */
typedef size_t scan_pieces_fn(const struct scan_table *t, const uint8_t *s, size_t n, size_t at,
                              struct piece *out, size_t room);
scan_pieces_fn scan_pieces_gpt2, scan_pieces_cl100k, scan_pieces_llama3, scan_pieces_qwen2;
scan_pieces_fn scan_pieces_digits, scan_pieces_words;

/* The class of the character at s[p]. */
static inline uint8_t scan_class(const struct scan_table *t, const uint8_t *s, size_t p,
                                 size_t *len)
{
    if (s[p] < 0x80) {
        *len = 1;
        return t->ascii[s[p]];
    }
    return unicode_table_class(&t->all, utf8_decode(s + p, len));
}

/* End of the run of characters of a class in `mask` that begins at p. */
static inline size_t scan_run(const struct scan_table *t, const uint8_t *s, size_t n, size_t p,
                              unsigned mask)
{
    size_t len;

    for (;;) {
        while (p < n && (t->ascii[s[p]] & mask)) p++;
        if (p == n || s[p] < 0x80 || !(scan_class(t, s, p, &len) & mask)) return p;
        p += len;
    }
}

#endif
