/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h: the tensor stream, graft's one binary format: reading and writing.
 *
 *   stream   = segment+
 *   segment  = magic frame+ seal table
 *   magic    = zstd skippable frame 0x184D2A50: "graft" + u8 version (1)
 *   frame    = zstd frame with content size and checksum: whole records, <= 4 MiB decompressed
 *   seal     = skippable frame 0x184D2A51: u64 LE XXH3-64 of all bytes of the segment before it
 *   table    = skippable frame 0x184D2A5E, the public zstd seekable format: entries of u32
 *              compressed and u32 decompressed size, no checksums; the first entry is the magic
 *              frame's with 0, the last the seal's with 0
 *
 *   records  = begin (rows | tensor)* end        msgpack maps; the first key says which
 *   begin    = {"begin": BODY, "expect": {"rows": n, "tokens": n}}
 *              "expect" is optional; alone in its frame
 *   BODY     = {"graft": 1, "kind": s, "columns": [FIELD, ..], "tensors": [FIELD, ..],
 *               "meta": {..}}                    in shortest msgpack forms
 *   FIELD    = {"name": s, "dtype": s, "shape": [..]}
 *              shape [] is a scalar column, [-1] ragged, [k] a fixed vector
 *   rows     = {"rows": n, "cells": [c, ..]}
 *              one c per column: bin (n cells laid end to end), or for a ragged column
 *              [bin of n u32 LE lengths in elements, bin of data]
 *   pieces   = {"rows": 1, "more": true, "cells": ..}, {"rows": 0, "more": true, "cells": ..}, ..,
 *              {"rows": 0, "cells": ..}          of a row that is longer than a record
 *              "rows" counts those that begin in the record; fixed columns stand in the first
 *              piece and are empty in the others; a ragged piece has one length and is appended
 *   tensor   = {"tensor": name, "dtype": s, "shape": [..], "first": element, "data": bin}
 *              pieces in order, tensors in the order of begin; one without elements has no record
 *   end      = {"end": {"rows": n, "tensors": n, "bytes": n, "id": bin16, "step": k, "index": bin,
 *               "lineage": {..}}}
 *              alone in its frame; bytes = data bytes of all cells and tensors; index = for each
 *              k-th frame between begin and end (the first, the k+1st, ..) u64 LE: rows (or tensor
 *              records) begun before it; k is 1, and doubles so that there are at most 65,536
 *              entries
 *
 *   Kinds tokens, features and logits have columns and no tensors, the others tensors and no
 *   columns.
 *
 *   id       = XXH3-128 (big-endian canonical form) over: the bytes of BODY as they stand; then
 *              per column in order the XXH3-128 of its lengths as u64 LE (ragged only) and of its
 *              data, or per tensor in order of name the XXH3-128 of its data; then rows, tensors,
 *              bytes as u64 LE. Free of framing, level, record size and hints. It detects
 *              accidents, not malice.
 *
 * The reader checks everything: zstd checksums, seal, table against the frames seen, lengths
 * against limits before any allocation, counts and id at the end. It joins segments whose BODY
 * agree into one sequence of rows. A stream without `end` is ERR_INPUT "truncated after row N, byte
 * M".
 *
 * Sticky errors: after a failure, reader and writer repeat it. Threads: one thread uses a reader or
 * writer; inside, (de)compression runs in parallel with read-ahead. Memory is bounded by threads *
 * a few frames + the longest row. Ownership: _open/_close; views (rows, names) live until the next
 * call on the same reader. */
#ifndef GRAFT_FORMATS_STREAM_H
#define GRAFT_FORMATS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/dtype.h"
#include "common/base/err.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "formats/lineage.h"
#include "formats/msgpack.h"

enum {
    STREAM_VERSION = 1,
    STREAM_MAX_DIMS = 8,
    STREAM_MAX_COLUMNS = 256,
    STREAM_MAX_TENSORS = 1 << 20,
    STREAM_MAX_NAME = 255,
    STREAM_BEGIN_LIMIT = 1 << 20,
};
/* A cell may not be longer than this many bytes (a document of 1 GiB of token data). */
#define STREAM_MAX_CELL ((uint64_t)1 << 30)

enum stream_kind {
    STREAM_TOKENIZER,
    STREAM_TOKENS,
    STREAM_MODEL,
    STREAM_ADAPTER,
    STREAM_HEAD,
    STREAM_FEATURES,
    STREAM_LOGITS,
    STREAM_CHECKPOINT,
    STREAM_KIND_COUNT,
    STREAM_ANY = -1
};
const char *stream_kind_name(enum stream_kind kind);

/* A column of a row kind, or a tensor to come. */
struct stream_field {
    char *name;
    enum dtype dtype;
    int dims;                       /* 0: scalar */
    int64_t shape[STREAM_MAX_DIMS]; /* shape[0] == -1: ragged (dims == 1) */
};

/* Hints of the producer; for a regular file the reader knows better and sets them from the ends of
 * all segments. */
struct stream_expect {
    int64_t rows, tokens; /* -1: not known */
};

struct stream_begin {
    enum stream_kind kind;
    struct stream_field *columns;
    int64_t columns_count;
    struct stream_field *tensors;
    int64_t tensors_count;
    struct mp_value meta; /* a msgpack map (see msgpack.h), owned */
    struct stream_expect expect;
};
void stream_begin_init(struct stream_begin *b, enum stream_kind kind);
void stream_begin_fini(struct stream_begin *b);
/* Deep copy. */
enum err stream_begin_copy(struct errctx *e, const struct stream_begin *from,
                           struct stream_begin *to) MUST_USE;
/* Adds a column / tensor; shape of `dims` numbers is copied. */
enum err stream_begin_column(struct errctx *e, struct stream_begin *b, const char *name,
                             enum dtype t, int dims, const int64_t *shape) MUST_USE;
enum err stream_begin_tensor(struct errctx *e, struct stream_begin *b, const char *name,
                             enum dtype t, int dims, const int64_t *shape) MUST_USE;
/* Index of the named column / tensor, or -1. */
int64_t stream_begin_find_column(const struct stream_begin *b, const char *name);
int64_t stream_begin_find_tensor(const struct stream_begin *b, const char *name);
/* Whether tensor i is the scales of the next one, which is of type NF4_DQ. */
bool stream_begin_is_scales(const struct stream_begin *b, int64_t i);
/* ERR_INPUT naming the field (kind, column, meta key) in which the two differ; hints are not
 * compared. */
enum err stream_begin_match(struct errctx *e, const struct stream_begin *a, const char *a_name,
                            const struct stream_begin *b, const char *b_name) MUST_USE;

/* Columns of n whole rows. data of column c: cells laid end to end, aligned to its dtype; ragged:
 * start[c][i] .. start[c][i + 1] are the element offsets of row i (n + 1 of them, start[c][0] need
 * not be 0); start[c] is NULL for fixed columns (cell i at i * elements). */
struct stream_rows {
    int64_t n;
    int64_t first; /* ordinal of the first one in the whole (joined) stream */
    int64_t columns_count;
    const uint8_t **data;
    const int64_t **start;
};

struct stream_tensor_piece {
    int64_t tensor; /* index into begin.tensors */
    int64_t first;  /* element */
    int64_t elements;
    const uint8_t *data; /* not aligned */
    size_t bytes;
};

enum stream_event { STREAM_EVENT_ROWS, STREAM_EVENT_TENSOR, STREAM_EVENT_END };

/* ------------------------------------------------------------------ reading */

struct stream_reader;

struct stream_reader_cfg {
    enum stream_kind kind; /* demanded kind, or STREAM_ANY */
    int threads;           /* decompression; 0: in the calling thread */
    int64_t segments;      /* > 0: exactly so many must be there */
    const char *name; /* for messages; NULL: the path, or of a pipe of the shell "ROLE pipe PATH" */
    bool progress;    /* show how far reading has come */
    bool spool;       /* a pipe goes to a temporary file first, so that it can be read again */
};
#define STREAM_READER_CFG ((struct stream_reader_cfg){.kind = STREAM_ANY, .threads = 2})

/* Opens `path` ("-" or NULL: stdin) and reads the first begin. At the end of the stream the input
 * is registered in `run` (may be NULL) under `role`, in the order of opening; a joined stream as
 * one input per segment. While a pipe would block, run's writer is flushed. */
enum err stream_reader_open(struct errctx *e, struct run *run, const char *role, const char *path,
                            const struct stream_reader_cfg *cfg,
                            struct stream_reader **out) MUST_USE;
const struct stream_begin *stream_reader_begin(const struct stream_reader *r);
const char *stream_reader_name(const struct stream_reader *r); /* for messages */

/* The next rows (some whole rows, at most one frame's worth or one long row), tensor piece, or the
 * verified end. */
enum err stream_reader_next(struct errctx *e, struct stream_reader *r, enum stream_event *event,
                            struct stream_rows *rows, struct stream_tensor_piece *piece) MUST_USE;

/* Reads on to the end, with every check, without handing out anything. Registers the input. */
enum err stream_reader_check(struct errctx *e, struct stream_reader *r) MUST_USE;

/* Reads on to the end without handing out anything: files by seeking to the tables and `end`
 * records (rows not read are then not checked, the seal is not either; table and end are), pipes by
 * draining. Registers the input. */
enum err stream_reader_drain(struct errctx *e, struct stream_reader *r) MUST_USE;

/* Stops reading here: registers the input as partial, with the rows handed out and the running
 * digest (of begin and those rows) in place of an id. _stop_at: as if only the rows before `row`,
 * which is in or behind the last rows handed out, had been: so that what is recorded does not
 * depend on how rows were framed. */
enum err stream_reader_stop(struct errctx *e, struct stream_reader *r) MUST_USE;
enum err stream_reader_stop_at(struct errctx *e, struct stream_reader *r, int64_t row) MUST_USE;

/* Begins again, of a regular file or a spooled pipe. */
enum err stream_reader_rewind(struct errctx *e, struct stream_reader *r) MUST_USE;
bool stream_reader_is_file(const struct stream_reader *r);
/* Total rows of a regular file from its tables, -1 when not a regular file or when they are
 * damaged. */
int64_t stream_reader_rows_total(struct stream_reader *r);

/* Digest of what has been handed out so far, from row 0: the id of a stream that would end here,
 * equal for equal begin and equal rows. _digest_at: of the rows before `row`, which is in or right
 * behind the last rows handed out. */
void stream_reader_digest(const struct stream_reader *r, uint8_t digest[16]);
void stream_reader_digest_at(const struct stream_reader *r, int64_t row, uint8_t digest[16]);

/* After STREAM_EVENT_END: counts, the joined id (zero for joined segments that were not read
 * through), and the lineage: the steps of all segments, those of the last one last. */
struct stream_summary {
    int64_t segments, rows, tensors;
    uint64_t bytes, compressed;
    uint8_t id[16];
};
const struct stream_summary *stream_reader_summary(const struct stream_reader *r);
const struct lineage *stream_reader_lineage(const struct stream_reader *r);

void stream_reader_close(struct stream_reader *r);

/* Header, counts and lineage of a regular file without reading its data (inspect, lineage): checks
 * begin, table and end only. Pipes are read through. */
enum err stream_glance(struct errctx *e, const char *path, struct stream_begin *begin,
                       struct stream_summary *summary, struct lineage *lineage) MUST_USE;

/* Seals and tables of the file only: that no byte of the frames has changed since they were
 * written. Of `summary` only segments and compressed are set. */
enum err stream_check_seals(struct errctx *e, const char *path,
                            struct stream_summary *summary) MUST_USE;

/* ------------------------------------------------------------------ writing */

struct stream_writer;

struct stream_writer_cfg {
    int level;           /* STREAM_LEVEL_DEFAULT: 1 for tokens, ZSTD_minCLevel() for the others; 0:
                            ZSTD_minCLevel() */
    int threads;         /* compression; 0: in the calling thread */
    size_t record_bytes; /* raw size at which a rows record is closed; 0: 1 MiB */
};
#define STREAM_LEVEL_DEFAULT (-1000000)

#define STREAM_WRITER_CFG ((struct stream_writer_cfg){.level = STREAM_LEVEL_DEFAULT, .threads = 2})

/* Opens `path` ("-" or NULL: stdout, refused when a terminal) and writes begin. `run` gives the
 * lineage. */
enum err stream_writer_open(struct errctx *e, struct run *run, const char *path,
                            const struct stream_begin *begin, const struct stream_writer_cfg *cfg,
                            struct stream_writer **out) MUST_USE;
/* Appends rows i in [from, to) of `rows`, whose columns are those of begin in order. */
enum err stream_writer_rows(struct errctx *e, struct stream_writer *w,
                            const struct stream_rows *rows, int64_t from, int64_t to) MUST_USE;
/* Appends one row: per column a pointer and the number of elements (ignored for fixed columns). */
enum err stream_writer_row(struct errctx *e, struct stream_writer *w, const void *const *cells,
                           const int64_t *elements) MUST_USE;
/* Appends elements of tensor `tensor` (index into begin.tensors); tensors in order of begin, pieces
 * in order. */
enum err stream_writer_tensor(struct errctx *e, struct stream_writer *w, int64_t tensor,
                              const void *data, int64_t elements) MUST_USE;
/* Hands everything buffered to the kernel now (a pipe's reader then sees it). On regular files: no
 * effect. */
enum err stream_writer_flush(struct errctx *e, struct stream_writer *w) MUST_USE;
/* Nothing will be appended for long, perhaps never: writes what there is, and gives back threads
 * and buffers. So that many files can be open at once. */
enum err stream_writer_rest(struct errctx *e, struct stream_writer *w) MUST_USE;
/* The content must turn out to have this id: finish fails (ERR_INPUT) before it writes an end. */
void stream_writer_demand_id(struct stream_writer *w, const uint8_t id[16]);
/* Writes end (id, lineage from run), seal, table, and makes the data durable; the file is not yet
 * in place. */
enum err stream_writer_finish(struct errctx *e, struct stream_writer *w) MUST_USE;
/* Finishes if need be, renames into place, frees. */
enum err stream_writer_commit(struct errctx *e, struct stream_writer *w) MUST_USE;
/* Frees without an end record; a regular file leaves nothing behind. NULL is fine. */
void stream_writer_abort(struct stream_writer *w);
/* Counts and id after finish. */
const struct stream_summary *stream_writer_summary(const struct stream_writer *w);

/* Copies all that is left of `r` to `w` (same BODY): checked frames go over verbatim where framing
 * allows. */
enum err stream_copy(struct errctx *e, struct stream_reader *r, struct stream_writer *w) MUST_USE;

/* ------------------------------------------------------------------ whole tensors */

/* Random access by name for streams of tensors (model, tokenizer, adapter, checkpoint): reads all
 * tensors to the verified end into memory of their own. */
struct stream_tensors {
    struct stream_begin begin;
    uint8_t **data; /* per tensor of begin, 64-byte aligned */
    struct stream_summary summary;
    struct lineage lineage;
};
enum err stream_tensors_load(struct errctx *e, struct run *run, const char *role, const char *path,
                             enum stream_kind kind, struct stream_tensors *out) MUST_USE;
/* The same from a reader that has handed out nothing yet. */
enum err stream_tensors_read(struct errctx *e, struct stream_reader *r,
                             struct stream_tensors *out) MUST_USE;
/* NULL when absent. */
const void *stream_tensors_get(const struct stream_tensors *t, const char *name,
                               const struct stream_field **field);
void stream_tensors_fini(struct stream_tensors *t);

#endif
