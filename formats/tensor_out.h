/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_out.h: writing the tensors of another program's file, whose head safetensors_create or
 * gguf_create has written: bytes go straight to the file, none is kept.
 *
 *   create(.., entries, count, ..)   the head, which says where every tensor will lie
 *   tensor_out_write ..              the tensors' bytes, in the order of the entries, cut anywhere
 *   tensor_out_commit                all of it is there: the file appears; else tensor_out_abort */
#ifndef GRAFT_FORMATS_TENSOR_OUT_H
#define GRAFT_FORMATS_TENSOR_OUT_H

#include "common/base/attr.h"
#include "common/base/io.h"
#include "formats/tensor_file.h"

struct tensor_out {
    struct outfile file;
    size_t *bytes; /* of each tensor */
    size_t count, at;
    size_t written; /* of tensor `at` */
    size_t align;   /* each tensor is followed by zeros up to a multiple of this */
};

/* The next bytes. An empty tensor needs none. Sticky after a failure: abort. */
enum err tensor_out_write(struct errctx *e, struct tensor_out *w, const void *data,
                          size_t n) MUST_USE;
/* Makes the file durable (several that belong together: each of them, then commit each). */
enum err tensor_out_sync(struct errctx *e, struct tensor_out *w) MUST_USE;
/* Puts it into place and frees. ERR_IO "BUG: .." when tensors are missing. */
enum err tensor_out_commit(struct errctx *e, struct tensor_out *w) MUST_USE;
/* Leaves nothing behind; also of what was never opened, zeroed. */
void tensor_out_abort(struct tensor_out *w);

/* For safetensors_create and gguf_create: opens path, and writes the head, which is padded already.
 */
enum err tensor_out_open(struct errctx *e, const char *path, const struct tensor_entry *entries,
                         size_t count, size_t align, const struct bytes *head,
                         struct tensor_out *w) MUST_USE;
/* Bytes of an entry; ERR_USAGE when name, dims or shape cannot be written. */
enum err tensor_out_check(struct errctx *e, const struct tensor_entry *t, size_t *bytes) MUST_USE;

#endif
