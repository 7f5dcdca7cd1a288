/* SPDX-License-Identifier: Apache-2.0 */
/* quantised.c: lines of block-quantised matrices, decoded for the plain kernels. */
#include "kernels/internal.h"
#include "kernels/values.h"

struct view column_decoded(struct view v, int64_t j, int64_t length, float *room)
{
    const int64_t unit = dtype_unit(v.dtype);
    float some[DTYPE_UNIT_LIMIT];
    assert((size_t)length <= KERNEL_SCRATCH / sizeof *room);
    for (int64_t i = 0; i < length; i++) {
        values_to_f32(v.dtype, view_line(v, i, j / unit * unit), unit, some);
        room[i] = some[j % unit];
    }
    return (struct view){(unsigned char *)room, 1, 0, DTYPE_F32, false};
}

struct view line_decoded(struct view v, int64_t i, int64_t length, float *room)
{
    if (!dtype_is_blocks(v.dtype)) {
        int64_t step = v.trans ? v.col : v.row;
        v.p += i * step * (int64_t)dtype_size(v.dtype);
        return (struct view){v.p, 1, 0, v.dtype, false};
    }
    assert((size_t)length <= KERNEL_SCRATCH / sizeof *room);
    values_to_f32(v.dtype, view_line(v, i, 0), length, room);
    return (struct view){(unsigned char *)room, 1, 0, DTYPE_F32, false};
}
