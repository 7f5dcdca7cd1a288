/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_shards.c: any bytes as an index of safetensors shards and the shards beside it: pieces of
 * u16 length and bytes, of which the first is the index and the others are the headers of "a", "b",
 * "c", each followed by as many zeros as a header says. Laws: fuzz_tensor_use.h's; every tensor is
 * in a file of the index's own folder. */
#include <string.h>

#include "formats/safetensors.h"
#include "tests/fuzz/fuzz_model_use.h"
#include "tests/fuzz/fuzz_tensor_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = {"x.json", "a", "b", "c"};
    struct fuzz_input in = {data, n};
    fuzz_folder_put(names[0], "", 0, 0);
    struct errctx e = ERRCTX_INIT;
    struct tensor_file f;
    char path[512];
    for (size_t i = 0; i < ARRAY_LEN(names) && in.n > 0; i++) {
        size_t got, want = fuzz_number(&in, 2);
        const uint8_t *piece = fuzz_bytes(&in, want, &got);
        if (i == 0)
            fuzz_folder_put(names[i], piece, got, 0);
        else
            fuzz_safetensors_put(names[i], piece, got);
    }
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), names[0]);
    if (safetensors_open(&e, path, &f) == ERR_OK) {
        fuzz_tensor_use(&f);
        for (size_t i = 0; i < f.files_count; i++)
            fuzz_demand(strlen(f.files[i].path) == strlen(fuzz_folder()) + 2,
                        "a shard lies beside its index");
        tensor_file_close(&f);
    }
    fuzz_folder_empty();
    fuzz_demand_outcome(&e, false);
    return 0;
}
