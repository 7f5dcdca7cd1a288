/* SPDX-License-Identifier: Apache-2.0 */
/* tiktoken.h: tiktoken's files of ranks: a line per token, its bytes in base64, a space, its rank.
 * They hold neither the expression that cuts text nor special tokens: both are constants of the
 * program that reads them. */
#ifndef GRAFT_FORMATS_TIKTOKEN_H
#define GRAFT_FORMATS_TIKTOKEN_H

#include <stddef.h>
#include <stdint.h>
#include "common/base/mem.h"

struct tiktoken_ranks {
    struct bytes bytes; /* of all tokens in order of the file */
    uint64_t *start;    /* count + 1 */
    uint32_t *rank;     /* count */
    size_t count, capacity;
    uint32_t highest; /* rank */
};
void tiktoken_ranks_fini(struct tiktoken_ranks *r);

/* From the whole file data[0..n). ERR_INPUT names the line; a rank twice is one of its errors. */
enum err tiktoken_parse(struct errctx *e, const char *data, size_t n,
                        struct tiktoken_ranks *out) MUST_USE;

#endif
