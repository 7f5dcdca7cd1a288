/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tensor_use.h: what must hold of every file of tensors that is accepted, for the targets of
 * its readers. */
#ifndef GRAFT_TESTS_FUZZ_TENSOR_USE_H
#define GRAFT_TESTS_FUZZ_TENSOR_USE_H

#include "formats/tensor_file.h"
#include "kernels/values.h"
#include "tests/fuzz/fuzz.h"

/* Lies in its file, is found by its name, has the bytes of its type and shape, can be read. */
static void fuzz_tensor_entry(const struct tensor_file *f, const struct tensor_entry *t)
{
    const struct tensor_map *m = &f->files[t->file];
    size_t bytes;
    fuzz_demand(dtype_shape_bytes(t->dtype, t->dims, t->shape, &bytes) && bytes == t->bytes,
                "a tensor has the bytes of its shape");
    fuzz_demand(t->data >= m->data && t->bytes <= m->bytes - (size_t)(t->data - m->data),
                "a tensor lies in its file");
    fuzz_demand(tensor_file_find(f, t->name) == t, "a tensor is found by its name");
    if (dtype_is_float(t->dtype) || dtype_is_blocks(t->dtype)) {
        const int64_t elements =
            (int64_t)(bytes / dtype_unit_bytes(t->dtype)) * dtype_unit(t->dtype);
        fuzz_demand(values_not_finite(t->dtype, t->data, elements) <= elements,
                    "its values can be read");
    }
}

static void fuzz_tensor_use(const struct tensor_file *f)
{
    for (size_t i = 0; i < f->count; i++) fuzz_tensor_entry(f, &f->entries[i]);
}

#endif
