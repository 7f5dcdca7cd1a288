/* SPDX-License-Identifier: Apache-2.0 */
/* decode_panels.c: operands of products that are block-quantised, decoded as they are packed: what
 * exists decoded at a time fits a cache, and a panel has the bits of one packed from the matrix
 * decoded before.
 *
 *   y = x W^T    W's rows are columns of B: a stretch of the depth of some of them is decoded
 *   dx = dy W    W's rows are lines of B: so are some lines, a section of columns at a time; it is
 *                decoded from the block in which it begins */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/product.h"

enum {
    DEPTH = 512,      /* of columns, at a time: whole blocks of every type */
    SECTION = 1536,   /* of lines: whole blocks, and whole panels of every unit */
    LINES_MOST = 256, /* decoded at once: of either kind */
};

/* What a unit reads: BF16 if it wants that, else F32. */
static enum dtype decoded_type(const struct product_unit *u)
{
    return u->dtype == DTYPE_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

static void decode_columns(const struct kernels *kernels, const struct product_unit *u,
                           struct view b, int64_t k, int64_t depth, int64_t j, int64_t cols,
                           unsigned char *to, size_t panel, unsigned char *room)
{
    const enum dtype t = decoded_type(u);
    const size_t line = DEPTH * dtype_size(t);
    for (int64_t at = 0; at < depth; at += DEPTH) {
        const int64_t some = least(DEPTH, depth - at);
        for (int64_t i = 0; i < cols; i++)
            state_of(kernels)->tiles->decode(b.dtype, view_line(b, j + i, k + at), some,
                                             room + (size_t)i * line, t == DTYPE_BF16);
        u->pack_b((struct view){room, 1, DEPTH, t, true}, some, cols,
                  to + (size_t)(at * u->cols) * u->size, panel);
    }
}

static void decode_lines(const struct kernels *kernels, const struct product_unit *u, struct view b,
                         int64_t k, int64_t depth, int64_t j, int64_t cols, unsigned char *to,
                         size_t panel, unsigned char *room)
{
    const enum dtype t = decoded_type(u);
    const int64_t unit = dtype_unit(b.dtype), length = SECTION + 2 * unit;
    for (int64_t at = 0; at < cols; at += SECTION) {
        const int64_t some = least(SECTION, cols - at), first = (j + at) / unit * unit;
        const int64_t n = tasks_of(j + at + some - first, unit) * unit;
        for (int64_t i = 0; i < depth; i++)
            state_of(kernels)->tiles->decode(b.dtype, view_line(b, k + i, first), n,
                                             room + (size_t)(i * length) * dtype_size(t),
                                             t == DTYPE_BF16);
        u->pack_b(
            (struct view){room + (size_t)(j + at - first) * dtype_size(t), length, 1, t, false},
            depth, some, to + (size_t)(at / u->cols) * panel, panel);
    }
}

void decode_panels(const struct kernels *kernels, const struct product_unit *u, struct view b,
                   int64_t k, int64_t depth, int64_t j, int64_t cols, void *to, size_t panel,
                   unsigned char *room)
{
    _Static_assert((SECTION + 2 * DTYPE_UNIT_LIMIT) * LINES_MOST * sizeof(float) <= KERNEL_SCRATCH,
                   "scratch");
    assert((b.trans ? cols : depth) <= LINES_MOST && SECTION % u->cols == 0);
    (b.trans ? decode_columns : decode_lines)(kernels, u, b, k, depth, j, cols, to, panel, room);
}
