/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sentencepiece.c: any bytes as a .model file of SentencePiece. Law: as fuzz_tokenizer_json's.
 * */
#include "common/text/import_sentencepiece.h"
#include "tests/fuzz/fuzz_tokenizer_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec spec;
    if (import_sentencepiece(&e, data, n, &spec) == ERR_OK) fuzz_tokenizer_use(&e, &spec);
    fuzz_demand_outcome(&e, false);
    return 0;
}
