/* SPDX-License-Identifier: Apache-2.0 */
/* differences.h: where two streams differ: begin, rows, tensors.
 *
 * Rows are compared in order, cell by cell. Tensors are compared by name: over all elements
 *     max = max |a - b|     rms = |a - b|_2 / sqrt(n)
 *     relative = |a - b|_2 / |a|_2     cosine = (a . b) / (|a|_2 |b|_2)
 * in double; of two types of numbers that weights are stored in (floats, block-quantised), by their
 * values. With a tolerance, floats no further apart than that are equal, and two NaN are. Of
 * tensor streams the first is held in memory. */
#ifndef GRAFT_FLOW_DIFFERENCES_H
#define GRAFT_FLOW_DIFFERENCES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/element.h"
#include "formats/stream.h"

enum { VALUE_TEXT = ELEMENT_TEXT };

struct diff_tensor {
    char *name;
    const char *status; /* "equal", "close" (within the tolerance), "different", "shape", "first
                           only", "second only" */
    int64_t different;  /* elements */
    double max, rms, relative, cosine;
    enum dtype dtypes[2]; /* of both; DTYPE_NONE where one is missing */
};

struct diff {
    bool differs;
    char begin[1024];       /* how the begins differ, or "" */
    int64_t rows[2];        /* of each */
    int64_t rows_different; /* of those that both have */
    int64_t row, element;   /* of the first difference; -1: none, or not one of elements */
    char column[STREAM_MAX_NAME + 1];
    char value[2][VALUE_TEXT];
    struct diff_tensor *tensors;
    size_t tensors_count, tensors_capacity;
};

enum err diff_streams(struct errctx *e, const char *a, const char *b,
                      const struct stream_reader_cfg *cfg, double tolerance,
                      struct diff *out) MUST_USE;
void diff_fini(struct diff *d);
/* The differences, and with `all` the tensors that are equal, too. */
enum err diff_print(struct errctx *e, const struct diff *d, const char *a, const char *b, bool all,
                    FILE *out) MUST_USE;
enum err diff_print_json(struct errctx *e, const struct diff *d, FILE *out) MUST_USE;

#endif
