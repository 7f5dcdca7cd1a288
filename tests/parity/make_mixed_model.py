#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_mixed_model.py FILE FOLDER: a tiny Qwen2 as GGUF whose q, k, v and gate, up are of different block types, as files of mixed
quantisation have them, and the same with gguf-py's values of the blocks as a folder of transformers:
tests/parity/gguf/mixed.gguf and tests/parity/gguf/mixed.

Needs gguf, numpy and safetensors; the suite reads the files only (tests/cli/export.bats)."""
import json
import os
import sys

import gguf
import numpy as np
from safetensors.numpy import save_file

T = gguf.GGMLQuantizationType
WIDTH, MLP, VOCAB = 32, 32, 40
rng = np.random.default_rng(7)
w = gguf.GGUFWriter(sys.argv[1], "qwen2")
w.add_context_length(64)
w.add_embedding_length(WIDTH)
w.add_block_count(1)
w.add_feed_forward_length(MLP)
w.add_head_count(2)
w.add_head_count_kv(1)
w.add_layer_norm_rms_eps(1e-6)
w.add_rope_freq_base(10000.0)
w.add_vocab_size(VOCAB)
w.add_tokenizer_model("no_vocab")
tensors = {}


def put(name, to, *shape, t=T.F32):
    x = rng.normal(0, 0.3, shape).astype(np.float32) + (len(shape) == 1)
    q = gguf.quantize(x, t)
    w.add_tensor(name, q, raw_dtype=t)
    tensors[to] = np.ascontiguousarray(gguf.dequantize(q, t).reshape(shape).astype(np.float32))


put("token_embd.weight", "model.embed_tokens.weight", VOCAB, WIDTH, t=T.Q8_0)
put("output_norm.weight", "model.norm.weight", WIDTH)
for name, to, rows, t in (("attn_q", "self_attn.q_proj", 32, T.Q4_0), ("attn_k", "self_attn.k_proj", 16, T.Q4_0),
                          ("attn_v", "self_attn.v_proj", 16, T.Q8_0), ("attn_output", "self_attn.o_proj", 32, T.Q5_0),
                          ("ffn_gate", "mlp.gate_proj", MLP, T.Q4_1), ("ffn_up", "mlp.up_proj", MLP, T.Q5_1),
                          ("ffn_down", "mlp.down_proj", WIDTH, T.Q8_0)):
    put(f"blk.0.{name}.weight", f"model.layers.0.{to}.weight", rows, WIDTH, t=t)
    if name in ("attn_q", "attn_k", "attn_v"):
        put(f"blk.0.{name}.bias", f"model.layers.0.{to}.bias", rows)
put("blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight", WIDTH)
put("blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight", WIDTH)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
os.makedirs(sys.argv[2], exist_ok=True)
save_file(tensors, os.path.join(sys.argv[2], "model.safetensors"))
config = dict(model_type="qwen2", hidden_size=WIDTH, intermediate_size=MLP, num_hidden_layers=1, num_attention_heads=2,
              num_key_value_heads=1, max_position_embeddings=64, rms_norm_eps=1e-6, rope_theta=10000.0, vocab_size=VOCAB,
              hidden_act="silu", tie_word_embeddings=True, use_sliding_window=False)
with open(os.path.join(sys.argv[2], "config.json"), "w") as f:
    f.write(json.dumps(config) + "\n")
