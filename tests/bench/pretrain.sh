#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pretrain.sh: whole training steps of a model of a known shape: tokens per second (the median step) and peak memory, and with
# PEERS (a Python environment with torch) PyTorch's, in turn with ours.
#
#     SHAPE=13.9M|124M|bert   see shapes.bash; bert learns masked tokens from rows of 8 to 256 tokens, which PyTorch pads
#     DTYPE=f32|bf16          RECOMPUTE=1  keep only what enters each layer      COMPILE=1  PyTorch's compiled mode, too
#     STEPS=6  steps to measure in a round, after 2 that do not count            ROUNDS=1   of both in turn
#
# The bars, times PyTorch and GB, bf16 and f32: 13.9M 2.5 and 2.7, 0.7 GB; 124M 3 and 1.6, 2.8 GB, with RECOMPUTE 2.4 GB; bert 4.
# shellcheck source=tests/bench/shapes.bash
. "$(dirname "$0")/shapes.bash"
shape=${SHAPE:-13.9M} dtype=${DTYPE:-f32} steps=${STEPS:-6}
shape_set "$shape"
rows=full torch=torch_gpt.py
[ "$arch" = bert ] && rows=ragged torch=torch_bert.py
shape_model
shape_rows $rows $((steps + 2)) "$scratch/rows"
modes=()
if has_peer PyTorch torch; then modes=(eager ${COMPILE:+compile}); fi

for round in $(seq "${ROUNDS:-1}"); do
    shape_steps "$scratch/rows" "$scratch/log.$round" "$scratch/out.model" --dtype "$dtype" ${RECOMPUTE:+--recompute}
    for mode in "${modes[@]}"; do peer $torch "$steps" "$dtype" "$shape" "$mode" >>"$scratch/$mode"; done
done
mine=$(shape_speed "$scratch"/log.*)
printf '%s %s %s%s\ngraft             %6d tokens/s  %.2f GB\n' "$shape" "$dtype" $rows "${RECOMPUTE:+ --recompute}" "$mine" \
    "$(shape_memory "$scratch/log.1")"
for mode in "${modes[@]}"; do
    sort -n "$scratch/$mode" | awk -v mode="$mode" -v mine="$mine" '{ x[NR] = $1; m[NR] = $2; v = $3 } END {
        i = int((NR + 1) / 2)
        printf "PyTorch %-8s  %6d tokens/s  %.2f GB  torch %s\ngraft / PyTorch   %6.2f\n", mode, x[i], m[i], v, mine / x[i] }'
done
