/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_gguf_model.c: any bytes as a model in a GGUF file, with its tokenizer: u24 so many zeros
 * behind them, then the file. Laws: fuzz_model_use.h's. */
#include "tests/fuzz/fuzz_model_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = {data, n};
    struct errctx e = ERRCTX_INIT;
    struct model_source s;
    char path[512];
    const size_t zeros = fuzz_number(&in, 3);
    fuzz_folder_put("x.gguf", in.data, in.n, zeros);
    snprintf(path, sizeof path, "%s/x.gguf", fuzz_folder());
    model_source_init(&s, NULL);
    (void)!source_open(&e, &s, path, SOURCE_GGUF);
    fuzz_model_use(&e, &s);
    fuzz_folder_empty();
    return 0;
}
