/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tokenizer_json.c: any bytes as tokenizer.json. Law: a tokenizer that is accepted and
 * compiles encodes a text with everything in it to ids it has, whose ends are in order, and decodes
 * them. */
#include "common/text/import_tokenizer_json.h"
#include "tests/fuzz/fuzz_tokenizer_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec spec;
    if (import_tokenizer_json(&e, (const char *)data, n, NULL, 0, &spec) == ERR_OK)
        fuzz_tokenizer_use(&e, &spec);
    fuzz_demand_outcome(&e, false);
    return 0;
}
