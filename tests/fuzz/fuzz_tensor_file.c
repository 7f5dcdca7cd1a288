/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tensor_file.c: any bytes as a file of tensors: one byte says which reader gets the rest
 * (safetensors, gguf, npy, npz, llama2.c). Laws: every tensor of a file that is accepted lies in
 * it, is found by its name, and has the bytes that its type and shape say; all can be read. */
#include <string.h>

#include "formats/gguf.h"
#include "formats/llama2c.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "kernels/values.h"
#include "tests/fuzz/fuzz.h"

static void demand_entry(const struct tensor_file *f, const struct tensor_entry *t)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    typedef enum err open_fn(struct errctx *, const char *, struct tensor_file *);
    static open_fn *const open[] = {safetensors_open, gguf_open, npy_open, npz_open, llama2c_open};
    struct errctx e = ERRCTX_INIT;
    struct tensor_file f;
    if (n == 0) return 0;
    const char *path = fuzz_file(data + 1, n - 1);
    if (open[data[0] % ARRAY_LEN(open)](&e, path, &f) == ERR_OK) {
        for (size_t i = 0; i < f.count; i++) demand_entry(&f, &f.entries[i]);
        tensor_file_close(&f);
    }
    fuzz_demand_outcome(&e, false);
    return 0;
}
