/* SPDX-License-Identifier: Apache-2.0 */
/* text_twin.h: the text twin of a stream, and back: JSON lines, one per record, in the stream's
 * order.
 *
 *     {"begin": {"graft": 1, "kind": .., "columns": [..], "tensors": [..], "meta": {..}}}
 *     {"row": {"ids": [3, 17], "doc": "0x00000000000000ff", "keep": "{\"a\":1}", ..}}
 *     {"tensor": name, "dtype": .., "shape": [..], "first": 0, "data": ["0x1.8p+1", ..]}
 *     {"end": {"rows": n, "tensors": n, "bytes": n, "id": hex, "lineage": hex}}
 *
 * Elements are as element.h says, meta as mp_json.h; a ragged U8 cell of printable UTF-8 is a
 * string. Hints are left out, and may be written in. Undumping gives the same id. A dump without
 * "end" is truncated; one whose id does not match was edited, which must be said. */
#ifndef GRAFT_FLOW_TEXT_TWIN_H
#define GRAFT_FLOW_TEXT_TWIN_H

#include <stdbool.h>
#include <stdio.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/stream.h"

enum err dump_begin(struct errctx *e, const struct stream_begin *b, FILE *out) MUST_USE;
enum err dump_rows(struct errctx *e, const struct stream_begin *b, const struct stream_rows *rows,
                   FILE *out) MUST_USE;
enum err dump_tensor(struct errctx *e, const struct stream_begin *b,
                     const struct stream_tensor_piece *piece, FILE *out) MUST_USE;
enum err dump_end(struct errctx *e, const struct stream_summary *s, const struct lineage *l,
                  FILE *out) MUST_USE;

/* Reads the text at `path` (NULL: stdin) and writes the stream to `output`, as a step of run.
 * `edited`: counts and id of the end line need not match. ERR_INPUT names the line. */
enum err undump(struct errctx *e, struct run *run, const char *path, const char *output,
                const struct stream_writer_cfg *cfg, bool edited,
                struct stream_summary *summary) MUST_USE;

#endif
