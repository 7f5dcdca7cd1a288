#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_value_cases.py: value_cases.json: two blocks of every block-quantised type, and what gguf-py makes of them in F32.

Needs gguf and numpy. The blocks are random bytes with scales that are finite; hex, little-endian.

    make_value_cases.py > value_cases.json
"""
import json

import gguf
import numpy as np

HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208]}

rng = np.random.default_rng(5)
cases = {"gguf": "gguf-py, gguf.quants.dequantize"}
for name, places in HALVES.items():
    kind = gguf.GGMLQuantizationType[name]
    blocks = rng.integers(0, 256, (2, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    for place in places:
        blocks[:, place:place + 2] = rng.standard_normal((2, 1)).astype("<f2").view(np.uint8)
    values = gguf.quants.dequantize(blocks, kind).astype("<f4")
    cases[name] = {"blocks": blocks.tobytes().hex(), "values": values.tobytes().hex()}
print(json.dumps(cases, indent=1))
