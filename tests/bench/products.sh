#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# products.sh: the matrix products of GPTs of 13.9 M and 124 M parameters, forward, gradient of the input and of the
# weights, with two threads: GFLOP/s of each shape, and with PEERS (a Python environment with torch) PyTorch's beside it, which
# is oneDNN's in bf16 and MKL's in fp32; harmonic means. Ours include bias, activation, residual and rounding where the
# shape has them, PyTorch's none. The bar in bf16: 2,500 GFLOP/s, and no shape below oneDNN's.
#
#     DTYPE=bf16|f32
# shellcheck source=tests/bench/bench.bash
. "$(dirname "$0")/bench.bash"
dtype=${DTYPE:-bf16}

# M N K way rate: way is how the operands lie (forward, input, weights)
"$build/tests/kernels/test_kernels" perf gemm | awk -v type="x=${dtype^^}" '
    $1 == "gemm" && index($0, type " ") && !/M=32 / {
        way = /fused=1/ ? "weights" : /b_trans=1/ ? "forward" : "input"
        for (i = 9; i <= NF; i++) { split($i, part, "="); value[part[1]] = part[2] }
        print value["M"], value["N"], value["K"], way, $3
    }' >"$scratch/ours"
if has_peer PyTorch torch; then
    peer torch_products.py "$dtype" <"$scratch/ours" >"$scratch/theirs"
    paste -d ' ' "$scratch/ours" "$scratch/theirs"
else
    cat "$scratch/ours"
fi | awk -v dtype="$dtype" '
    { n++; ours += 1 / $5; printf "%-7s %5d x %5d x %5d  %6.0f GFLOP/s", $4, $1, $2, $3, $5 }
    NF > 5 { theirs += 1 / $6; printf "  PyTorch %6.0f  %.2f", $6, $5 / $6 }
    { print "" }
    END {
        printf "harmonic mean of %d products in %s: %.0f GFLOP/s", n, dtype, n / ours
        if (theirs) printf ", PyTorch %.0f, ratio %.2f", n / theirs, theirs / ours
        print dtype == "bf16" ? "  (bar 2500)" : ""
    }'
