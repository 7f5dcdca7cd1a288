#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes quantise_cases.json: what gguf-py (whose quantisers have the bytes of ggml's reference) makes of rows.

    python tests/parity/make_quantise_cases.py > tests/parity/quantise_cases.json

A row of nothing but -0 is left out: there gguf-py writes a scale of 0, the reference -0.

Needs gguf and numpy; the suite itself reads the JSON only (tests/unit/test_quantise.c). Each case: a row of 32
F32 and its block by type, as hex of the little-endian bytes.
"""
import json

import gguf
import numpy as np
from gguf.quants import quantize


def rows():
    r = np.random.default_rng(5)
    yield "zero", np.zeros(32)
    yield "constant", np.full(32, 0.3)
    yield "negative constant", np.full(32, -0.3)
    yield "one value", np.eye(32)[7] * -2.5
    yield "equal extremes, the negative one first", np.tile([-1.0, 1.0], 16)
    yield "equal extremes, the positive one first", np.tile([1.0, -1.0], 16)
    yield "halves, rounded away from zero", np.arange(-16, 16) * 0.5 * 8 / 127
    yield "integers", r.integers(-8, 8, 32)
    for scale in (1, 0.02, 1e-4, 1e-7):
        for i in range(3):
            yield f"normal {scale} {i}", r.standard_normal(32) * scale
    yield "scales that F16 has as subnormal", r.standard_normal(32) * 1e-5
    yield "scales that F16 has as zero", r.standard_normal(32) * 1e-9
    yield "scales whose inverse overflows", r.standard_normal(32) * 1e-38
    yield "subnormal", r.standard_normal(32) * 1e-42
    yield "large", r.standard_normal(32) * 1e4
    yield "too large for some", r.standard_normal(32) * 1e6
    yield "huge", r.standard_normal(32) * 1e37
    yield "of many sizes", 10.0 ** r.uniform(-6, 2, 32) * r.choice([-1, 1], 32)


def main():
    cases = []
    for name, row in rows():
        row = np.asarray(row, np.float32)
        case = {"name": name, "row": row.tobytes().hex()}
        for t in "Q8_0", "Q4_0", "Q4_1":
            with np.errstate(all="ignore"):
                case[t] = quantize(row[None], gguf.GGMLQuantizationType[t]).tobytes().hex()
        cases.append(case)
    print(json.dumps({"cases": cases}, indent=0))


main()
