/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.h: a checksum of what a stream holds, free of the order of its rows.
 *
 *   rows      sum over rows of XXH3-128(row as rowpack.h packs it), modulo 2^128
 *   tensors   sum over tensors of XXH3-128(name, 0, data), modulo 2^128
 *
 * Two streams with equal sums and counts hold the same rows, in whatever order, framing and
 * division into files: so shard, shuffle, cat and recompression are seen to lose nothing. It
 * detects accidents, not malice. */
#ifndef GRAFT_FLOW_CHECKSUM_H
#define GRAFT_FLOW_CHECKSUM_H

#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/flow/rowpack.h"
#include "formats/stream.h"

struct sum {
    uint64_t low, high; /* of the 128 bits */
    int64_t rows, tensors;
    uint64_t bytes;         /* of data */
    uint8_t (*digests)[16]; /* per tensor */
    const struct stream_begin *begin;
    struct rowpack pack;
    struct bytes row;
    void *tensor; /* running hash of the tensor that is being read */
};

/* begin must outlive it. */
enum err sum_init(struct errctx *e, const struct stream_begin *begin, const char *name,
                  struct sum *s) MUST_USE;
enum err sum_rows(struct errctx *e, struct sum *s, const struct stream_rows *rows) MUST_USE;
void sum_tensor(struct sum *s, const struct stream_tensor_piece *piece);
void sum_fini(struct sum *s);
/* 32 hex digits into buf (33 bytes); returns buf. */
char *sum_format(const struct sum *s, char *buf);

#endif
