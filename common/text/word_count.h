/* SPDX-License-Identifier: Apache-2.0 */
/* word_count.h: how often each distinct word occurs: a hash table over an arena, 64-bit counts. */
#ifndef GRAFT_TEXT_WORD_COUNT_H
#define GRAFT_TEXT_WORD_COUNT_H

#include <stddef.h>
#include <stdint.h>
#include "common/base/mem.h"
#include "common/text/pretokenize.h"

struct word_entry {
    uint64_t count;  /* 0: empty slot */
    uint64_t offset; /* of its bytes in the arena */
    uint32_t len, tag;
};

struct word_table { /* zero-initialised */
    struct word_entry *slots;
    size_t slots_count, used;
    struct bytes arena;
};
void word_table_fini(struct word_table *t);
/* Adds `count` occurrences of word[0..n). */
enum err word_table_add(struct errctx *e, struct word_table *t, const uint8_t *word, size_t n,
                        uint64_t count) MUST_USE;
/* Adds one occurrence of each piece of the text that is longer than a byte. Faster than one by one:
 * their places in memory are fetched while others are worked on. */
enum err word_table_add_pieces(struct errctx *e, struct word_table *t, const uint8_t *text,
                               const struct piece *pieces, size_t count) MUST_USE;
/* Adds all of `from`. */
enum err word_table_merge(struct errctx *e, struct word_table *t,
                          const struct word_table *from) MUST_USE;

#endif
