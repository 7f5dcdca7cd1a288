/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tokenizer_use.h: what every imported tokenizer must stand, for the targets of importers. */
#ifndef GRAFT_TESTS_FUZZ_TOKENIZER_USE_H
#define GRAFT_TESTS_FUZZ_TOKENIZER_USE_H

#include "common/text/tokenizer_run.h"
#include "tests/fuzz/fuzz.h"

/* Compiles it, encodes a text, decodes the ids; lets go of the specification. */
static void fuzz_tokenizer_use(struct errctx *e, struct tokenizer_spec *spec)
{
    static const char text[] = " The  caf\u00e9\u2581is \uff26ull\u0301 of 12,345 <s>\u4e2d\u6587 "
                               "\U0001f642 words,\n\taren't they? </s> ";
    struct tokenizer *t;
    struct tokenizer_scratch *s;
    struct id_list ids = {0};
    struct offset_list ends = {0};
    struct bytes back = {0};
    if (tokenizer_new(e, spec, &t) == ERR_OK) {
        fuzz_demand(tokenizer_scratch_new(e, t, &s) == ERR_OK, "scratch can be had");
        (void)!tokenizer_encode(e, t, s, text, sizeof text - 1, true, &ids, &ends);
        for (size_t i = 0; i < ids.count; i++) {
            fuzz_demand(ids.data[i] < spec->vocab, "every id is in the vocabulary");
            fuzz_demand(i >= ends.count || (ends.data[i] < sizeof text &&
                                            (i == 0 || ends.data[i] >= ends.data[i - 1])),
                        "ids end in order within the text");
        }
        if (e->code == ERR_OK)
            fuzz_demand(tokenizer_decode(e, t, ids.data, ids.count, true, &back) == ERR_OK,
                        "what was encoded can be decoded");
        tokenizer_scratch_free(s);
        tokenizer_free(t);
    }
    mem_free(ids.data);
    mem_free(ends.data);
    bytes_fini(&back);
    tokenizer_spec_fini(spec);
}

#endif
