/* SPDX-License-Identifier: Apache-2.0 */
/* match.h: tensors of a file against the parameters of a configuration, and the parameters'
 * numbers out of them, piece by piece.
 *
 * A parameter is one tensor, or rows of several (q, k, v; gate, up) one behind another. Numbers
 * keep the type they are stored in, block-quantised ones as well; where the parts of a parameter
 * are of different types it becomes F32, which loses nothing. */
#ifndef GRAFT_CONVERT_MATCH_H
#define GRAFT_CONVERT_MATCH_H

#include "common/convert/family.h"
#include "common/model/params.h"
#include "formats/tensor_file.h"

enum { MATCH_PARTS = 3 };

struct match_part {
    const struct tensor_entry *entry;
    const struct tensor_rule *rule;
    int64_t rows; /* of the parameter that it gives */
};

struct match {
    const struct param *param;
    struct match_part parts[MATCH_PARTS]; /* in the order of rows */
    int count;
    enum dtype dtype; /* of the parameter as it is written */
};

struct matching {
    const struct tensor_file *file;
    struct model_config c;
    struct param_table params;
    struct match *items; /* one per parameter */
    int64_t ignored;     /* tensors that mean nothing */
};

/* True when a tensor of the file belongs to a parameter whose name begins so. */
bool match_has(const struct family *family, const struct tensor_file *file, const char *param);
/* `c` may be changed: tied embeddings that are stored twice and differ are not tied. Problems go
 * to `f`; with any the matching must not be used but for _fini. */
enum err matching_make(struct errctx *e, const struct family *family,
                       const struct tensor_file *file, struct model_config *c, struct findings *f,
                       struct matching *m) MUST_USE;
void matching_fini(struct matching *m);

/* Where row i of a parameter's part stands in the tensor. */
int64_t match_row_in_file(const struct model_config *c, const struct tensor_rule *rule, int64_t i);

/* Hands out the numbers of parameter i in order: `put` gets bytes of so many elements, in m's
 * dtype. What has been read of the file is released. *bad += values that are not finite. */
typedef enum err match_put(struct errctx *e, void *ctx, const void *data, int64_t elements);
enum err matching_read(struct errctx *e, const struct matching *m, int64_t i, match_put *put,
                       void *ctx, int64_t *bad) MUST_USE;

#endif
