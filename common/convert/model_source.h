/* SPDX-License-Identifier: Apache-2.0 */
/* model_source.h: a model of another program, opened: what family it is of, its configuration,
 * which tensor is which parameter, its tokenizer, what it is for; and written as a model stream.
 *
 * Opening reads no weights. What is wrong with the model is in `findings`; a file that cannot be
 * read at all is an error.
 *
 * Ownership: model_source_close, also after a failure of an _open. */
#ifndef GRAFT_CONVERT_MODEL_SOURCE_H
#define GRAFT_CONVERT_MODEL_SOURCE_H

#include <stdio.h>
#include "common/convert/file_digests.h"
#include "common/convert/match.h"
#include "common/convert/source_kind.h"
#include "common/model/embedding.h"
#include "formats/stream.h"
#include "formats/tokenizer.h"

struct model_source {
    struct run *run; /* that its files are inputs of; may be NULL */
    const char *format;
    const struct family *family; /* NULL: it is of none that is known */
    json_t *config;
    struct family_config x;
    struct tensor_file tensors;
    bool matched;
    struct matching matching;
    struct findings findings;
    bool has_embedding, has_tokenizer;
    struct embedding embedding;
    struct tokenizer_spec tokenizer;
    struct mp_value about;       /* a map of strings */
    struct file_digests digests; /* of the weights */
};

void model_source_init(struct model_source *s, struct run *run);
void model_source_close(struct model_source *s);
/* Before an _open: the tokenizer is this one, whatever the model brings. It is taken over. */
void model_source_take_tokenizer(struct model_source *s, struct tokenizer_spec *spec);

/* What it is, what would be read, what is refused and why. */
enum err model_source_report(struct errctx *e, const struct model_source *s, FILE *out) MUST_USE;
/* begin for a writer; its tensors are the parameters in their order, then the tokenizer's from
 * *first_tokenizer on. ERR_INPUT with what is wrong with the model. */
enum err model_source_begin(struct errctx *e, const struct model_source *s, struct stream_begin *b,
                            int64_t *first_tokenizer) MUST_USE;
/* Everything behind begin; warns of weights that are not finite. */
enum err model_source_write(struct errctx *e, struct model_source *s, struct stream_writer *w,
                            int64_t first_tokenizer) MUST_USE;

/* ------------------------------------------------------------------ for those that open */

enum err hf_folder_open(struct errctx *e, struct model_source *s, const char *path) MUST_USE;
enum err llama2c_model_open(struct errctx *e, struct model_source *s, const char *path) MUST_USE;
/* Keys of a GGUF file that graft writes for itself begin so: family, init_std, embedding. */
#define GGUF_NOTES "graft."
enum err gguf_model_open(struct errctx *e, struct model_source *s, const char *path) MUST_USE;
/* Records a file as an input of the run, under the digest of its bytes. */
enum err model_source_record(struct errctx *e, struct model_source *s, const char *path) MUST_USE;
/* The same of a file of weights, which is digested while they are written. */
enum err model_source_record_large(struct errctx *e, struct model_source *s,
                                   const char *path) MUST_USE;
/* The same of a JSON file, which is parsed; *root is NULL when there is no such file. */
enum err model_source_json(struct errctx *e, struct model_source *s, const char *folder,
                           const char *name, json_t **root) MUST_USE;
/* After the tokenizer could not be read: ERR_INPUT becomes a finding, as -t may give another. */
enum err model_source_no_tokenizer(struct errctx *e, struct model_source *s) MUST_USE;
/* After `config`, `family` and `tensors`: everything else that follows from them. */
enum err model_source_match(struct errctx *e, struct model_source *s) MUST_USE;

#endif
