/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tensor_file.c: any bytes as a file of tensors: one byte says which reader gets the rest
 * (safetensors, gguf, npy, npz, llama2.c). Laws: every tensor of a file that is accepted lies in
 * it, is found by its name, and has the bytes that its type and shape say; all can be read. */
#include "formats/gguf.h"
#include "formats/llama2c.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "tests/fuzz/fuzz_tensor_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    typedef enum err open_fn(struct errctx *, const char *, struct tensor_file *);
    static open_fn *const open[] = {safetensors_open, gguf_open, npy_open, npz_open, llama2c_open};
    struct errctx e = ERRCTX_INIT;
    struct tensor_file f;
    if (n == 0) return 0;
    const char *path = fuzz_file(data + 1, n - 1);
    if (open[data[0] % ARRAY_LEN(open)](&e, path, &f) == ERR_OK) {
        fuzz_tensor_use(&f);
        tensor_file_close(&f);
    }
    fuzz_demand_outcome(&e, false);
    return 0;
}
