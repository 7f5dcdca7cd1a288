#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torch_products.py bf16|f32 <SHAPES: PyTorch's GFLOP/s at the products that products.sh measures, a line for each line
"M N K forward|input|weights ...": the best of as many calls as fit half a second, with two threads."""
import sys
import time

import torch


def operands(m, n, k, way, dtype):
    """As a linear map keeps them: weights (out, in), rows of activations."""
    if way == "forward":
        return torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype).t()
    if way == "input":
        return torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
    return torch.randn(k, m).to(dtype).t(), torch.randn(k, n).to(dtype)


def best(a, b):
    out = torch.empty(a.shape[0], b.shape[1], dtype=a.dtype)
    least, end = float("inf"), time.perf_counter() + 0.5
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.matmul(a, b, out=out)
        least = min(least, time.perf_counter() - start)
    return least


torch.set_num_threads(2)
for line in sys.stdin:
    m, n, k, way = line.split()[:4]
    m, n, k = int(m), int(n), int(k)
    a, b = operands(m, n, k, way, torch.bfloat16 if sys.argv[1] == "bf16" else torch.float32)
    print(f"{2e-9 * m * n * k / best(a, b):.1f}", flush=True)
