#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ragged.sh: training on rows of 8 to 256 tokens beside rows of 256, the GPT of 13.9 M parameters, in turn: tokens per second
# (the median step). The bar: at most 1.15 times the time per token.
#
#     ROUNDS=3    STEPS=4  steps to measure in a round, after 2 that do not count    THREADS=  all
# shellcheck source=tests/bench/shapes.bash
. "$(dirname "$0")/shapes.bash"
steps=${STEPS:-4}
shape_set 13.9M
shape_model
for rows in full ragged; do shape_rows $rows $((steps + 2)) "$scratch/$rows"; done
for dtype in bf16 f32; do
    for round in $(seq "${ROUNDS:-3}"); do
        for rows in full ragged; do
            shape_steps "$scratch/$rows" "$scratch/$dtype.$rows.$round" "$scratch/out.model" --dtype $dtype ${THREADS:+-j "$THREADS"}
        done
    done
    full=$(shape_speed "$scratch/$dtype.full".*) ragged=$(shape_speed "$scratch/$dtype.ragged".*)
    awk -v d=$dtype -v f="$full" -v r="$ragged" \
        'BEGIN { printf "%-4s  full %6d, ragged %6d tokens/s: %.2f times the time (bar 1.15)\n", d, f, r, f / r }'
done
