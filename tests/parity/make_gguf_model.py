#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_gguf_model.py FILE: a tiny Llama as GGUF with gguf-py, its tokenizer (SentencePiece's kind, bytes and a few pieces)
and chat template inside: tests/parity/gguf/llama.gguf.

Needs gguf and numpy; the suite reads the file only (tests/cli/import.bats)."""
import sys

import gguf
import numpy as np

WIDTH, MLP, VOCAB_PIECES = 32, 32, ["\u2581", "a", "b", "\u2581a", "ab", "\u2581ab"]
rng = np.random.default_rng(5)
w = gguf.GGUFWriter(sys.argv[1], "llama")
w.add_name("tiny")
w.add_license("apache-2.0")
w.add_context_length(64)
w.add_embedding_length(WIDTH)
w.add_block_count(1)
w.add_feed_forward_length(MLP)
w.add_head_count(2)
w.add_head_count_kv(1)
w.add_layer_norm_rms_eps(1e-5)
w.add_rope_dimension_count(WIDTH // 2)
w.add_rope_freq_base(10000.0)

tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + VOCAB_PIECES
types = [2, 3, 3] + [6] * 256 + [1] * len(VOCAB_PIECES)
scores = [0.0] * 259 + [-float(i) for i in range(len(VOCAB_PIECES), 0, -1)]
w.add_vocab_size(len(tokens))
w.add_tokenizer_model("llama")
w.add_token_list([t.encode() for t in tokens])
w.add_token_scores(scores)
w.add_token_types(types)
w.add_bos_token_id(1)
w.add_eos_token_id(2)
w.add_unk_token_id(0)
w.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}")


def put(name, *shape, quantised=False):
    x = rng.normal(0, 0.3, shape).astype(np.float32)
    if len(shape) == 1:
        x = 1 + x
    if quantised:
        w.add_tensor(name, gguf.quantize(x, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    else:
        w.add_tensor(name, x if len(shape) == 1 else x.astype(np.float16))


put("token_embd.weight", len(tokens), WIDTH, quantised=True)
put("output_norm.weight", WIDTH)
put("blk.0.attn_norm.weight", WIDTH)
put("blk.0.ffn_norm.weight", WIDTH)
for name, rows in (("attn_q", 32), ("attn_k", 16), ("attn_v", 16), ("attn_output", 32), ("ffn_gate", MLP), ("ffn_up", MLP)):
    put(f"blk.0.{name}.weight", rows, WIDTH, quantised=name.startswith("ffn"))
put("blk.0.ffn_down.weight", WIDTH, MLP, quantised=True)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
