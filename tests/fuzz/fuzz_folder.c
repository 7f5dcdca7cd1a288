/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_folder.c: any bytes as a folder of transformers or sentence-transformers: pieces of u8 which
 * file, u16 length and bytes; of files of weights they are the header, behind which as many zeros
 * come as it says. Laws: fuzz_model_use.h's; no file outside of the folder is read. */
#include <string.h>

#include "tests/fuzz/fuzz_model_use.h"

/* In make_seeds.py, too. */
static const char *const names[] = {
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "a",
    "b",
    "tokenizer.json",
    "modules.json",
    "sub/config.json",
    "sentence_bert_config.json",
    "README.md",
    "tokenizer_config.json",
    "config_sentence_transformers.json",
    "vocab.txt",
};

static bool is_weights(const char *name)
{
    return strcmp(name, "model.safetensors") == 0 || strlen(name) == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = {data, n};
    struct errctx e = ERRCTX_INIT;
    struct model_source s;
    while (in.n > 0) {
        const char *name = names[fuzz_number(&in, 1) % ARRAY_LEN(names)];
        size_t got, want = fuzz_number(&in, 2);
        const uint8_t *piece = fuzz_bytes(&in, want, &got);
        if (is_weights(name))
            fuzz_safetensors_put(name, piece, got);
        else
            fuzz_folder_put(name, piece, got, 0);
    }
    model_source_init(&s, NULL);
    (void)!source_open(&e, &s, fuzz_folder(), SOURCE_FOLDER);
    for (size_t i = 0; i < s.tensors.files_count; i++)
        fuzz_demand(strncmp(s.tensors.files[i].path, fuzz_folder(), strlen(fuzz_folder())) == 0 &&
                        !strstr(s.tensors.files[i].path, ".."),
                    "weights lie in the folder");
    fuzz_model_use(&e, &s);
    fuzz_folder_empty();
    return 0;
}
