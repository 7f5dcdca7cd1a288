/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_export.h: a tokenizer as the files of other programs, as text; and these written, all
 * or none.
 *
 *   hf              tokenizer.json, tokenizer_config.json, of a chat model chat_template.jinja
 *   tokenizer_json  the first of them alone
 *   tiktoken        a file of ranks
 *   vocab_txt       vocab.txt, tokenizer_config.json
 *   merges          vocab.json, merges.txt
 *
 * What has been made is read again by the importers and compared: what a form cannot hold is named,
 * and nothing is written. */
#ifndef GRAFT_CONVERT_TOKENIZER_EXPORT_H
#define GRAFT_CONVERT_TOKENIZER_EXPORT_H

#include "formats/tokenizer.h"

enum tokenizer_form { FORM_HF, FORM_TOKENIZER_JSON, FORM_TIKTOKEN, FORM_VOCAB_TXT, FORM_MERGES };
/* Whether the form is one file, not a folder of them. */
bool tokenizer_form_is_file(enum tokenizer_form form);

struct tokenizer_files {
    struct tokenizer_file {
        const char *name; /* in a folder */
        struct bytes text;
    } items[3];
    size_t count;
};
/* The files; `types`: rows of the tokenizer's model have token types. _fini in any case. */
enum err tokenizer_files_make(struct errctx *e, const struct tokenizer_spec *s,
                              enum tokenizer_form form, bool types,
                              struct tokenizer_files *out) MUST_USE;
void tokenizer_files_fini(struct tokenizer_files *f);

/* Writes them to `output`, a file (NULL: standard output) or a folder, which is made if it is not
 * there; *written gets the bytes. */
enum err tokenizer_files_write(struct errctx *e, const struct tokenizer_files *f,
                               enum tokenizer_form form, const char *output,
                               uint64_t *written) MUST_USE;

#endif
