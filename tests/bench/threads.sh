#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# threads.sh: training with two threads beside one, the GPT of 13.9 M parameters, in turn: tokens per second (the median step),
# and the ids of what comes out, which must be the same. The bar: 1.85 times the speed. What the machine has to give is measured
# in the same way: two runs of one thread each at a time. On a machine that has other things to do look at the processor time:
# two threads that wait for nothing and are in nobody's way take as much of it as one.
#
#     ROUNDS=3    STEPS=4  steps to measure in a round, after 2 that do not count
# shellcheck source=tests/bench/shapes.bash
. "$(dirname "$0")/shapes.bash"
TIMEFORMAT='%U %S'
steps=${STEPS:-4}
shape_set 13.9M
shape_model
shape_rows full $((steps + 2)) "$scratch/rows"
train() { # THREADS NAME: the log is $dtype.NAME, the model NAME.model
    shape_steps "$scratch/rows" "$scratch/$dtype.$2" "$scratch/$2.model" --dtype "$dtype" -j "$1"
}
for dtype in bf16 f32; do
    for round in $(seq "${ROUNDS:-3}"); do
        for threads in 1 2; do
            { time train $threads "$threads.$round"; } 2>>"$scratch/$dtype.cpu.$threads"
            graft inspect --json "$scratch/$threads.$round.model" | jq -r .id >"$scratch/id.$threads"
        done
        cmp "$scratch/id.1" "$scratch/id.2" || { echo "$dtype: the ids differ" >&2 && exit 1; }
        for run in a b; do train 1 "beside.$round.$run" & done
        wait
    done
    one=$(shape_speed "$scratch/$dtype.1".*) two=$(shape_speed "$scratch/$dtype.2".*) beside=$(shape_speed "$scratch/$dtype.beside".*)
    awk -v d=$dtype -v a="$one" -v b="$two" -v c="$beside" 'BEGIN {
        printf "%-4s  1 thread %6d, 2 threads %6d tokens/s: %.2f times (bar 1.85), the same id; two runs at a time: %.2f times\n",
            d, a, b, b / a, 2 * c / a }'
    cpu() { awk '{ s += $1 + $2 } END { print s }' "$scratch/$dtype.cpu.$1"; }
    awk -v a="$(cpu 1)" -v b="$(cpu 2)" 'BEGIN { printf "      processor time of 2 threads: %.2f times that of one\n", b / a }'
done
