/* SPDX-License-Identifier: Apache-2.0 */
/* encode_documents.h: documents in, rows of tokens out, in the order of the input, encoded by
 * several threads.
 *
 *   documents --batch--> tasks (documents, or parts of a long one)
 *             --threads--> ids --in order--> rows
 *
 * A batch is some MiB of text, or one longer document; a document is handed out in parts where the
 * tokenizer says that the ids of the parts are those of the whole. The output depends on neither
 * threads nor batches. */
#ifndef GRAFT_TEXT_ENCODE_DOCUMENTS_H
#define GRAFT_TEXT_ENCODE_DOCUMENTS_H

#include "common/text/documents.h"
#include "common/text/labelling.h"
#include "common/text/rows.h"
#include "common/text/tokenizer_run.h"

struct encode_cfg {
    const struct tokenizer *tokenizer;
    const struct rows_cfg *rows;
    bool special; /* special tokens spelled out in the text are recognised */
    int threads;
    struct stream_writer *writer;
    struct labelling *labelling; /* NULL: no labels, no groups */
};

struct encode_counts {
    uint64_t documents, bytes, ids;
    uint64_t shortened; /* pairs */
    uint64_t taken;     /* documents that were read; some may be left out */
};

/* An encoder is made before the reader of documents, whose before_block it wants: encoder_drain. */
struct encoder;
enum err encoder_new(struct errctx *e, const struct encode_cfg *cfg, struct encoder **out) MUST_USE;
/* Encodes and writes what is held; `encoder` as void * for documents_cfg.before_block. An error is
 * kept for _run. */
void encoder_drain(void *encoder);
/* All documents of the reader. */
enum err encoder_run(struct errctx *e, struct encoder *x, struct documents *d) MUST_USE;
void encoder_counts(const struct encoder *x, struct encode_counts *out);
void encoder_free(struct encoder *x);

#endif
