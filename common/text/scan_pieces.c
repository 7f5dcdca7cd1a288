/* SPDX-License-Identifier: Apache-2.0 */
/* scan_pieces.c: see scan_pieces.h. The scanners follow their expressions (pretokenize.c)
 * alternative by alternative; what backtracking would find is written out (a run of whitespace
 * gives its last character to the word behind it). */
#include "common/text/scan_pieces.h"
#include <string.h>

/* ------------------------------------------------------------------ one piece after another */

/* Length of 's 't 'm 'd 're 've 'll behind the apostrophe at p, or 0. */
static size_t contraction(const uint8_t *s, size_t n, size_t p, bool fold)
{
    size_t left = n - p - 1;
    uint8_t a, b;

    if (left == 0) return 0;
    a = s[p + 1];
    if (fold && a == 0xc5 && left >= 2 && s[p + 2] == 0xbf) return 2; /* U+017F folds to s */
    if (fold) a |= 0x20;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 1;
    if (left < 2) return 0;
    b = fold ? s[p + 2] | 0x20 : s[p + 2];
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 2 : 0;
}

/* The run of whitespace at p: whole at the end of the text, else without its last character unless
 * that is all. */
static size_t whitespace(const struct scan_table *t, const uint8_t *s, size_t n, size_t p)
{
    size_t last = p, end = p, len;

    while (end < n && (scan_class(t, s, end, &len) & UNICODE_SPACE)) {
        last = end;
        end += len;
    }
    return end == n || last == p ? end : last;
}

static size_t scan_gpt2(const struct scan_table *t, const uint8_t *s, size_t n, size_t p)
{
    size_t len, q = p;
    uint8_t class;

    if (s[p] == '\'') {
        size_t tail = contraction(s, n, p, false);
        if (tail > 0) return p + 1 + tail;
    }
    if (s[p] == ' ' && p + 1 < n) q = p + 1;
    class = scan_class(t, s, q, &len) & (uint8_t)~UNICODE_PUNCTUATION;
    if (class & UNICODE_SPACE) return whitespace(t, s, n, p);
    return scan_run(t, s, n, q + len, class);
}

/* What cl100k, llama3 and qwen2 share: the end of the piece, or 0 when it is whitespace. */
static inline size_t scan_words(const struct scan_table *t, const uint8_t *s, size_t n, size_t p,
                                int most_digits)
{
    size_t len, next;
    uint8_t class = scan_class(t, s, p, &len);

    if (class & UNICODE_LETTER) return scan_run(t, s, n, p + len, UNICODE_LETTER);
    if (class & UNICODE_NUMBER) {
        for (int digits = 1; digits < most_digits && p + len < n; digits++) {
            p += len;
            if (!(scan_class(t, s, p, &len) & UNICODE_NUMBER)) return p;
        }
        return p + len;
    }
    if (s[p] == '\'') {
        size_t tail = contraction(s, n, p, true);
        if (tail > 0) return p + 1 + tail;
    }
    if (p + len < n && s[p] != '\r' && s[p] != '\n' &&
        (scan_class(t, s, p + len, &next) & UNICODE_LETTER))
        return scan_run(t, s, n, p + len + next, UNICODE_LETTER);
    if (s[p] == ' ' && p + 1 < n) p++;
    size_t end = scan_run(t, s, n, p, UNICODE_OTHER);
    if (end == p) return 0;
    while (end < n && (s[end] == '\r' || s[end] == '\n')) end++;
    return end;
}

/* End of the last newline in the run of whitespace at p, or p; *end gets the end of the run. */
static size_t last_newline(const struct scan_table *t, const uint8_t *s, size_t n, size_t p,
                           size_t *end)
{
    size_t newline = p, len;

    while (p < n && (scan_class(t, s, p, &len) & UNICODE_SPACE)) {
        p += len;
        if (s[p - 1] == '\r' || s[p - 1] == '\n') newline = p;
    }
    *end = p;
    return newline;
}

static size_t scan_cl100k(const struct scan_table *t, const uint8_t *s, size_t n, size_t p)
{
    size_t end = scan_words(t, s, n, p, 3), newline;

    if (end > 0) return end;
    newline = last_newline(t, s, n, p, &end);
    if (end == n) return n;
    return newline > p ? newline : whitespace(t, s, n, p);
}

static inline size_t scan_digits(const struct scan_table *t, const uint8_t *s, size_t n, size_t p,
                                 int most_digits)
{
    size_t end = scan_words(t, s, n, p, most_digits), newline;

    if (end > 0) return end;
    newline = last_newline(t, s, n, p, &end);
    return newline > p ? newline : whitespace(t, s, n, p);
}

static size_t scan_llama3(const struct scan_table *t, const uint8_t *s, size_t n, size_t p)
{
    return scan_digits(t, s, n, p, 3);
}

static size_t scan_qwen2(const struct scan_table *t, const uint8_t *s, size_t n, size_t p)
{
    return scan_digits(t, s, n, p, 1);
}

typedef size_t scan_fn(const struct scan_table *t, const uint8_t *s, size_t n, size_t p);

/* Inlined with its scanner, so that a piece costs no call. */
static inline size_t cut_by(scan_fn *scan, const struct scan_table *t, const uint8_t *s, size_t n,
                            size_t at, struct piece *out, size_t room)
{
    size_t count = 0;

    for (; at < n && count < room; count++) {
        size_t end = scan(t, s, n, at);
        out[count] = (struct piece){at, end};
        at = end;
    }
    return count;
}

/* ------------------------------------------------------------------ GPT-2, 64 bytes at once */

/* What the bytes s[0..64) are, a bit each, the first lowest; all bytes of a character have its
 * class. */
struct block {
    uint64_t letter, number, space, blank, quote; /* blank: U+0020; quote: the apostrophe */
    uint64_t wide_space;                          /* whitespace of more than one byte */
};

enum { BLOCK = 64, BLOCK_ROOM = BLOCK + 4 /* the last character may reach out of it */ };

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* In the high bit of each byte below 0x80: whether it is at least `least`. */
static inline uint64_t at_least(uint64_t bytes, uint64_t least)
{
    return bytes + EACH(0x80 - least);
}

static inline uint64_t between(uint64_t bytes, uint64_t least, uint64_t most)
{
    return at_least(bytes, least) & ~at_least(bytes, most + 1);
}

/* The high bits of the eight bytes, side by side: each is moved by its own term of the factor. */
static inline uint64_t high_bits(uint64_t bytes)
{
    return ((bytes & EACH(0x80)) >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

static inline void classify(const struct scan_table *t, const uint8_t *s, struct block *b)
{
    uint64_t lead = 0; /* first bytes of longer characters */

    memset(b, 0, sizeof *b);
    for (unsigned i = 0; i < BLOCK; i += 8) {
        uint64_t x, low, ascii;
        memcpy(&x, s + i, 8);
        ascii = ~x;
        low = x & EACH(0x7f);
        uint64_t blank = between(low, ' ', ' ') & ascii;
        b->letter |= high_bits(between(low | EACH(0x20), 'a', 'z') & ascii) << i;
        b->number |= high_bits(between(low, '0', '9') & ascii) << i;
        b->space |= high_bits((between(low, '\t', '\r') & ascii) | blank) << i;
        b->blank |= high_bits(blank) << i;
        b->quote |= high_bits(between(low, '\'', '\'') & ascii) << i;
        lead |= high_bits(x & x << 1) << i;
    }
    for (; lead != 0; lead &= lead - 1) {
        unsigned i = (unsigned)__builtin_ctzll(lead);
        size_t len;
        uint8_t class = unicode_table_class(&t->all, utf8_decode(s + i, &len));
        uint64_t bits = ((UINT64_C(1) << len) - 1) << i;
        if (class & UNICODE_LETTER)
            b->letter |= bits;
        else if (class & UNICODE_NUMBER)
            b->number |= bits;
        else if (class & UNICODE_SPACE)
            b->wide_space |= bits;
    }
    b->space |= b->wide_space;
}

/* Where pieces begin in the block, itself the beginning of one: bits 1 to 62, as bit 63 depends on
 * what comes behind. None behind whitespace of more than one byte. */
static inline uint64_t block_starts(const uint8_t *s, size_t n, const struct block *b)
{
    uint64_t other = ~(b->letter | b->number | b->space);
    uint64_t goes_on = (b->letter & b->letter << 1) | (b->number & b->number << 1) |
                       (other & other << 1) | b->blank << 1;
    uint64_t run = b->space & b->space << 1; /* of a run of whitespace, not its first */
    uint64_t starts = (~b->space & ~goes_on) | (b->space & ~run) | (run & ~(b->space >> 1)) | 1;

    if (b->wide_space != 0) starts &= (b->wide_space & -b->wide_space) - 1;
    for (uint64_t quotes = b->quote & starts; quotes != 0; quotes &= quotes - 1) {
        unsigned i = (unsigned)__builtin_ctzll(quotes);
        size_t tail = contraction(s, n, i, false);
        if (tail == 0) continue;
        if (i + 1 + tail >= BLOCK - 1) { /* it ends behind the block */
            starts &= (UINT64_C(2) << i) - 1;
            break;
        }
        starts &= ~(UINT64_C(2) << i);
        if (b->wide_space == 0 || (b->wide_space & -b->wide_space) >> (i + 1 + tail) != 0)
            starts |= UINT64_C(2) << (i + tail);
    }
    return starts & (UINT64_MAX >> 1) & ~UINT64_C(1);
}

/* As scan_gpt2 from piece to piece, without a branch for each byte. */
size_t scan_pieces_gpt2(const struct scan_table *t, const uint8_t *s, size_t n, size_t at,
                        struct piece *out, size_t room)
{
    size_t count = 0;

    while (n - at >= BLOCK_ROOM && room - count >= BLOCK) {
        struct block b;
        classify(t, s + at, &b);
        uint64_t starts = block_starts(s + at, n - at, &b);
        if (starts == 0) { /* a long piece, or one before such whitespace */
            size_t end = scan_gpt2(t, s, n, at);
            out[count++] = (struct piece){at, end};
            at = end;
        }
        size_t from = at;
        for (; starts != 0; starts &= starts - 1) {
            size_t end = from + (unsigned)__builtin_ctzll(starts);
            out[count++] = (struct piece){at, end};
            at = end;
        }
    }
    if (count > 0 && n - at >= BLOCK_ROOM) return count;
    return count + cut_by(scan_gpt2, t, s, n, at, out + count, room - count);
}

size_t scan_pieces_cl100k(const struct scan_table *t, const uint8_t *s, size_t n, size_t at,
                          struct piece *out, size_t room)
{
    return cut_by(scan_cl100k, t, s, n, at, out, room);
}

size_t scan_pieces_llama3(const struct scan_table *t, const uint8_t *s, size_t n, size_t at,
                          struct piece *out, size_t room)
{
    return cut_by(scan_llama3, t, s, n, at, out, room);
}

size_t scan_pieces_qwen2(const struct scan_table *t, const uint8_t *s, size_t n, size_t at,
                         struct piece *out, size_t room)
{
    return cut_by(scan_qwen2, t, s, n, at, out, room);
}

/* Each number alone. */
static size_t scan_numbers(const struct scan_table *t, const uint8_t *s, size_t n, size_t p)
{
    size_t len;

    if (scan_class(t, s, p, &len) & UNICODE_NUMBER) return p + len;
    return scan_run(t, s, n, p + len, UNICODE_LETTER | UNICODE_SPACE | UNICODE_OTHER);
}

size_t scan_pieces_digits(const struct scan_table *t, const uint8_t *s, size_t n, size_t at,
                          struct piece *out, size_t room)
{
    return cut_by(scan_numbers, t, s, n, at, out, room);
}

static size_t scan_blanks(const struct scan_table *t, const uint8_t *s, size_t n, size_t p)
{
    (void)t;
    while (p < n && s[p] == ' ') p++;
    const uint8_t *end = p < n ? memchr(s + p, ' ', n - p) : NULL;
    return end == NULL ? n : (size_t)(end - s);
}

size_t scan_pieces_words(const struct scan_table *t, const uint8_t *s, size_t n, size_t at,
                         struct piece *out, size_t room)
{
    return cut_by(scan_blanks, t, s, n, at, out, room);
}
