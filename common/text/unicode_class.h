/* SPDX-License-Identifier: Apache-2.0 */
/* unicode_class.h: the few classes of characters that tokenizers ask for, as a table for the first
 * plane. */
#ifndef GRAFT_TEXT_UNICODE_CLASS_H
#define GRAFT_TEXT_UNICODE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unicode_class {
    UNICODE_LETTER = 1,       /* categories L* */
    UNICODE_NUMBER = 2,       /* N* */
    UNICODE_SPACE = 4,        /* White_Space */
    UNICODE_OTHER = 8,        /* none of the three */
    UNICODE_PUNCTUATION = 16, /* P*, and of ASCII $ + < = > ^ ` | ~; goes with UNICODE_OTHER */
};

uint8_t unicode_class_of(uint32_t c);
/* Of the blocks that BERT takes for Chinese. */
bool unicode_is_ideograph(uint32_t c);

/* 64 KiB, read-only after _fill. */
struct unicode_table {
    uint8_t plane[65536];
};
void unicode_table_fill(struct unicode_table *t);

static inline uint8_t unicode_table_class(const struct unicode_table *t, uint32_t c)
{
    return c < 65536 ? t->plane[c] : unicode_class_of(c);
}

#endif
