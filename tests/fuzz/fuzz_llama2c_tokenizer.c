/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_llama2c_tokenizer.c: any bytes as a tokenizer file of llama2.c. Law: as
 * fuzz_tokenizer_json's. */
#include "common/text/import_llama2c.h"
#include "tests/fuzz/fuzz_tokenizer_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec spec;
    if (import_llama2c(&e, data, n, &spec) == ERR_OK) fuzz_tokenizer_use(&e, &spec);
    fuzz_demand_outcome(&e, false);
    return 0;
}
