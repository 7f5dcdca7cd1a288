#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes nf4_cases.json: what bitsandbytes makes of rows in NF4, with and without double quantisation, on a CPU.

    python tests/parity/make_nf4_cases.py > tests/parity/nf4_cases.json

Needs bitsandbytes and numpy; the suite itself reads the JSON only (tests/unit/test_quantise.c). Each case: a row of
blocks of 64 F32; `codes` and `absmax` of its blocks; with double quantisation `absmax8`, `scales` (the offset, then a scale for
256 blocks each) and the values that come back. All as hex of the little-endian bytes.
"""
import json

import bitsandbytes.functional as bnb
import numpy as np
import torch


def rows():
    r = np.random.default_rng(7)
    yield "normal", r.standard_normal(64 * 3) * 0.02
    yield "one block", r.standard_normal(64)
    yield "a block of zeros among others", np.concatenate([np.zeros(64), r.standard_normal(64 * 2)])
    yield "middles between codes", np.tile(np.linspace(-1, 1, 64), 2)
    yield "blocks of many sizes", (r.standard_normal((9, 64)) * 10.0 ** r.uniform(-5, 2, (9, 1))).ravel()
    yield "large", r.standard_normal(64 * 2) * 1e6
    yield "more blocks than share a scale", r.integers(-40, 40, 64 * 258) / 64


def main():
    cases = []
    for name, row in rows():
        row = np.asarray(row, np.float32)
        t = torch.from_numpy(row)
        codes, state = bnb.quantize_4bit(t, blocksize=64, quant_type="nf4")
        again, double = bnb.quantize_4bit(t, blocksize=64, quant_type="nf4", compress_statistics=True)
        assert torch.equal(codes, again)
        scales = np.concatenate([[double.offset.item()], double.state2.absmax.numpy()]).astype(np.float32)
        cases.append({"name": name, "row": row.tobytes().hex(), "codes": codes.numpy().tobytes().hex(),
                      "absmax": state.absmax.numpy().tobytes().hex(), "absmax8": double.absmax.numpy().tobytes().hex(),
                      "scales": scales.tobytes().hex(),
                      "values": bnb.dequantize_4bit(again, double).numpy().tobytes().hex()})
    print(json.dumps({"cases": cases}, indent=0))


main()
