/* SPDX-License-Identifier: Apache-2.0 */
/* import_tiktoken.h: a tokenizer out of a tiktoken file: ranks become ids, merges are recovered.
 *
 * tiktoken joins neighbours whose joined bytes have the lowest rank; a specification names the
 * pairs. They are found by encoding each token with the ranks below its own: the last two parts are
 * its merge. When every token has such a pair the two ways of encoding give the same ids; a token
 * that has none is only found as a whole piece (ignore_merges). Expression and special tokens are
 * those that tiktoken has for files of this size. */
#ifndef GRAFT_TEXT_IMPORT_TIKTOKEN_H
#define GRAFT_TEXT_IMPORT_TIKTOKEN_H

#include "common/base/opts.h"
#include "formats/tokenizer.h"

struct import_tiktoken_cfg {
    const char *pattern;            /* name of a pre-tokeniser; NULL: by the size of the file */
    const struct opt_list *special; /* "[ROLE=]TOKEN", ids behind the ranks; empty: by the size */
};
/* From the file's bytes. ERR_USAGE when the size is not known and no pattern is given. */
enum err import_tiktoken(struct errctx *e, const char *data, size_t n,
                         const struct import_tiktoken_cfg *cfg,
                         struct tokenizer_spec *out) MUST_USE;

#endif
