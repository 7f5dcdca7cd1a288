#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# generate.sh: continuing a text with the GPT of 13.9 M parameters, one sequence and 32 together, in turn: tokens per second (of
# the best of some runs), and of one sequence the bytes of weights that are read for each beside what the memory gives
# (test_kernels perf). The bar: 32 together at least 10 times one.
#
#     ROUNDS=3    TOKENS=100  of a sequence    THREADS=  all
# shellcheck source=tests/bench/shapes.bash
. "$(dirname "$0")/shapes.bash"
shape_set 13.9M
shape_model
weights=$(graft inspect --json "$scratch/model" | jq '.elements // ([.tensors[]?.elements] | add)')
"$build/tests/kernels/test_kernels" perf scale | grep ceiling

# The tokenizer of the model has few tokens; ids beyond are never drawn, their scores are computed.
speed() { # SEQUENCES DTYPE
    graft generate -m "$scratch/model" -p text -n "${TOKENS:-100}" --samples "$1" --batch "$1" --dtype "$2" \
        ${THREADS:+-j "$THREADS"} --json -v -o /dev/null 2>&1 | sed -n 's/.*, \([0-9.]*\) tokens\/s.*/\1/p'
}
for dtype in bf16 f32; do
    rm -f "$scratch"/{1,32}
    for _ in $(seq "${ROUNDS:-3}"); do
        for n in 1 32; do speed $n $dtype >>"$scratch/$n"; done
    done
    awk -v d=$dtype -v a="$(sort -n "$scratch/1" | tail -n 1)" -v b="$(sort -n "$scratch/32" | tail -n 1)" -v w="$weights" 'BEGIN {
        printf "%-4s  one %5d tokens/s, %.1f GB/s; 32 together %6d tokens/s: %.1f times (bar 10)\n",
            d, a, a * w * (d == "bf16" ? 2 : 4) / 1e9, b, b / a }'
done
