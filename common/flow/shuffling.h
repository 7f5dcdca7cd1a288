/* SPDX-License-Identifier: Apache-2.0 */
/* shuffling.h: the rows of a stream in random order, exactly, in bounded memory.
 *
 * The idea: every row gets a key, 64 random bits, and the rows are put out in the order of their
 * keys. A key is
 *
 *   key = Philox(seed, RNG_SHUFFLE; XXH3 of the row, epoch, occurrence)
 *
 * where the occurrence counts identical rows (0, 1, 2, ...), so that copies of a row scatter like
 * any others. So the order depends on seed and content only: not on the order in which rows come,
 * not on how they are cut into files, frames or reads, not on memory or threads. (Two different
 * rows of equal XXH3-128 are beyond it.)
 *
 *   add     rows are dealt into buckets by the first bits of their keys; buckets are spilled
 *           (flow/spill.h)
 *   write   which rows of a bucket are copies is found from the hashes alone; copies move to the
 *           bucket of their own key; then each bucket in turn is read, sorted in memory, and
 *           written; one that is too large for that is dealt again by the next bits. What is put
 *           out is dealt into the buckets of the next epoch on the way.
 *
 * Every row is so written to the spill file once and read once per epoch, and never if all rows fit
 * into memory. Ownership: shuffling_new/_free. One thread. Philox: see base/rng.h. */
#ifndef GRAFT_FLOW_SHUFFLING_H
#define GRAFT_FLOW_SHUFFLING_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/opts.h"
#include "formats/stream.h"

struct shuffling_cfg {
    int64_t seed;
    int64_t epochs;
    int64_t memory; /* bytes for rows */
};
#define SHUFFLING_CFG ((struct shuffling_cfg){.epochs = 1, .memory = (int64_t)1 << 30})
/* --epochs and --memory; the seed is a common option. */
extern const struct opt shuffling_opts[];

/* Bytes that the rows of these files take here, 0 when that cannot be known before (a pipe is among
 * them): the `need` of shuffling_new. */
enum err shuffling_need(struct errctx *e, const char *const *paths, size_t n,
                        uint64_t *need) MUST_USE;

struct shuffling;

/* need: bytes of rows to come, 0 when not known (see spill_new). name: of the input, for messages.
 */
enum err shuffling_new(struct errctx *e, const struct shuffling_cfg *cfg,
                       const struct stream_begin *begin, const char *name, uint64_t need,
                       struct shuffling **out) MUST_USE;
void shuffling_free(struct shuffling *s);

enum err shuffling_add(struct errctx *e, struct shuffling *s,
                       const struct stream_rows *rows) MUST_USE;

/* After the last row: what will be put out, of all epochs together (tokens: -1 for kinds without
 * ids). */
struct stream_expect shuffling_expect(const struct shuffling *s);

/* Puts everything out. Once. */
enum err shuffling_write(struct errctx *e, struct shuffling *s, struct stream_writer *w) MUST_USE;

/* Bytes that went to TMPDIR. */
uint64_t shuffling_spilled(const struct shuffling *s);

#endif
