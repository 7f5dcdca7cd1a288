/* SPDX-License-Identifier: Apache-2.0 */
/* pretokenize.h: cuts text into the pieces inside which a model may join letters, as an ordered
 * list of operations.
 *
 *   text --op 0--> pieces --op 1--> smaller pieces --> ... --> model
 *
 * Each operation sees a piece as if it were the whole text. A regular expression (PCRE2 with
 * Unicode properties) defines every operation; "gpt2", "cl100k", "llama3" and "qwen2" have
 * scanners by hand, which a test holds equal to their expressions. Whitespace is Unicode's
 * White_Space (in a user's expression \s is PCRE2's, which adds U+180E).
 *
 * A `struct pretokenizer` is immutable and shared; each thread has a `struct pretokenizer_cursor`
 * of its own. */
#ifndef GRAFT_TEXT_PRETOKENIZE_H
#define GRAFT_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/err.h"
#include "formats/msgpack.h"

enum { PRETOKENIZER_MAX_OPS = 8 };

struct pretokenizer;

/* From the list "pretokenizer" of a specification. An empty list leaves the text whole. */
enum err pretokenizer_new(struct errctx *e, const struct mp_value *ops,
                          struct pretokenizer **out) MUST_USE;
void pretokenizer_free(struct pretokenizer *p);

struct pretokenizer_cursor;
enum err pretokenizer_cursor_new(struct errctx *e, const struct pretokenizer *p,
                                 struct pretokenizer_cursor **out) MUST_USE;
void pretokenizer_cursor_free(struct pretokenizer_cursor *c);

/* Begins with text[0..n), valid UTF-8 that must stay until the last piece. */
void pretokenizer_start(struct pretokenizer_cursor *c, const uint8_t *text, size_t n);
/* The next pieces, at most `room` of them; *count is 0 after the last. What lies between two pieces
 * is dropped. */
struct piece {
    size_t from, to; /* text[from .. to) */
};
enum err pretokenizer_next(struct errctx *e, struct pretokenizer_cursor *c, struct piece *out,
                           size_t room, size_t *count) MUST_USE;

/* Two operations change text, so that whoever encodes applies them: prefix_space puts a space
 * before a segment that does not begin with one; metaspace takes U+2581 for a space, puts
 * one before pieces and cuts before each. */
bool pretokenizer_prefixes_space(const struct pretokenizer *p);
enum metaspace_prepend { METASPACE_NEVER, METASPACE_FIRST, METASPACE_ALWAYS };
struct metaspace_cfg {
    enum metaspace_prepend prepend; /* FIRST: only at the beginning of the text */
    bool split;
};
/* NULL without it. */
const struct metaspace_cfg *pretokenizer_metaspace(const struct pretokenizer *p);

/* For models none of whose tokens have a space behind another character: an empty list cuts before
 * runs of spaces, which such a model cannot tell from no cuts, and what is cut can be remembered.
 * */
void pretokenizer_cut_words(struct pretokenizer *p);

/* True when some text (whitespace) is in no piece. */
bool pretokenizer_drops(const struct pretokenizer *p);

/* The first place >= from where text may be cut so that both sides give the pieces of the whole; n
 * when there is none or the operations promise nothing (regular expressions of the user). */
size_t pretokenizer_border(const struct pretokenizer *p, const uint8_t *text, size_t n,
                           size_t from);

/* The expression that defines a named operation, NULL when the name has none (tests, exporters). */
const char *pretokenizer_pattern(const char *op);

#endif
