#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_rope_cases.py: writes rope_cases.json: of models as large as people have them, with every scaling of rotary positions, the
inverse frequencies and the factor of cosines and sines that transformers computes (ROPE_INIT_FUNCTIONS); for tests/unit/test_rope.c.
The tiny models of families/ are too small to tell all branches of a scaling apart.

Needs torch and transformers."""
import json
import os

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

CASES = {
    "linear": dict(size=64, theta=10000.0, context=4096, length=4096, rope=dict(rope_type="linear", factor=4.0)),
    "dynamic": dict(size=64, theta=10000.0, context=4096, length=10000, rope=dict(rope_type="dynamic", factor=2.0)),
    "yarn": dict(size=128, theta=1000000.0, context=131072, length=4096,
                 rope=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32768)),
    "llama3": dict(size=128, theta=500000.0, context=131072, length=4096,
                   rope=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=8192)),
    "longrope": dict(size=96, theta=10000.0, context=131072, length=5000,
                     rope=dict(rope_type="longrope", factor=32.0, original_max_position_embeddings=4096,
                               short_factor=[1 + i / 48 for i in range(48)], long_factor=[1 + i * 1.25 for i in range(48)])),
}
out = []
for name, c in CASES.items():
    config = LlamaConfig(hidden_size=4 * c["size"], num_attention_heads=4, num_key_value_heads=4, head_dim=c["size"],
                         num_hidden_layers=1, vocab_size=8, intermediate_size=8, max_position_embeddings=c["context"],
                         rope_parameters={"rope_theta": c["theta"], **c["rope"]})
    length = {} if name == "linear" else {"seq_len": c["length"]}
    frequencies, factor = ROPE_INIT_FUNCTIONS[name](config, "cpu", **length)
    out.append({"name": name, "length": c["length"], "config": json.loads(config.to_json_string()),
                "factor": factor, "frequencies": [float(x) for x in frequencies]})
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rope_cases.json"), "w", encoding="utf-8") as file:
    json.dump(out, file)
    file.write("\n")
