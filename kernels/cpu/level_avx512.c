/* SPDX-License-Identifier: Apache-2.0 */
/* level_avx512.c: the vector kernels, compiled for AVX-512 (F, BW, VL, DQ). */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/vec_avx512.h"
#include "kernels/cpu/vec_math.h"
/* in this order */
#include "kernels/cpu/tile.inc"
#include "kernels/cpu/act.inc"
#include "kernels/cpu/attention.inc"
#include "kernels/cpu/cross_entropy.inc"
#include "kernels/cpu/dropout.inc"
#include "kernels/cpu/embed.inc"
#include "kernels/cpu/norm.inc"
#include "kernels/cpu/optimiser.inc"
#include "kernels/cpu/pointwise.inc"
#include "kernels/cpu/product.inc"
#include "kernels/cpu/reduce.inc"
#include "kernels/cpu/rope.inc"
#include "kernels/cpu/skinny.inc"
#include "kernels/cpu/softmax.inc"

void cpu_fill_avx512(struct kernels *k)
{
    tile_fill(k);
    act_fill(k);
    attention_fill(k);
    cross_entropy_fill(k);
    dropout_fill(k);
    embed_fill(k);
    norm_fill(k);
    optimiser_fill(k);
    pointwise_fill(k);
    product_fill(k);
    reduce_fill(k);
    rope_fill(k);
    skinny_fill(k);
    softmax_fill(k);
}
