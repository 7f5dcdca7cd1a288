/* SPDX-License-Identifier: Apache-2.0 */
/* pooling.h: one vector of the hidden states of several tokens, and back. The poolings are those of
 * embedding.h; several are laid side by side in their order there. Sums are in double, in the order
 * of tokens. On the host. */
#ifndef GRAFT_MODEL_POOLING_H
#define GRAFT_MODEL_POOLING_H

#include <stdint.h>
#include "common/base/dtype.h"
#include "common/model/embedding.h"

/* Hidden states of a batch, F32 or BF16: token t from t * ld on. */
struct pooling_states {
    const void *data;
    enum dtype dtype;
    int64_t width, ld;
};

/* Names with commas (embedding.h) to bits. ERR_USAGE, of the option --pooling. */
enum err pooling_parse(struct errctx *e, const char *text, unsigned *out) MUST_USE;
/* Numbers of a vector: width for each pooling. */
int64_t pooling_size(unsigned poolings, int64_t width);
/* x [pooling_size] of tokens first .. first + n - 1, n > 0. */
void pooling_forward(unsigned poolings, const struct pooling_states *s, int64_t first, int64_t n,
                     double *x);
/* The same without the first `skip` tokens, skip < n: cls is the first token's all the same, and
 * the weights of weighted_mean count those left out, as sentence-transformers leave out prompts. */
void pooling_forward_behind(unsigned poolings, const struct pooling_states *s, int64_t first,
                            int64_t n, int64_t skip, double *x);
/* The gradient of the states, F32 rows of `width`, from that of x: added to d, row t of the batch
 * at d + t * width. */
void pooling_backward(unsigned poolings, const struct pooling_states *s, int64_t first, int64_t n,
                      const float *dx, float *d);

#endif
