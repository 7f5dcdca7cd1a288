#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_family_cases.py: a tiny model of every family as transformers saves it (families/NAME/), and what transformers
computes with it, as family_cases.json.

Weights are random multiples of 1/32, which BF16 holds exactly, drawn so that logits spread, and (by another seed, if need be)
so that the peer in single precision is well within the tolerance of itself in double. Each row is computed alone, in
double precision, which is the peer's code with less of its rounding. Stored: of every token the largest logit's place and
some logits, or of encoders without a head some hidden states. tests/unit/test_family_parity.c imports the folders and
compares; rows are the same function of their place as in make_model_cases.py.

Made with torch 2.15 and transformers 5.23:  python3 tests/parity/make_family_cases.py tests/parity
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
import transformers as tf

from make_model_cases import mix, rounded

LENGTHS = [13, 1, 40, 7, 48, 22]
VOCAB, CONTEXT = 97, 48


def ids(row, n):
    return (mix((np.uint64(1000 + row) << np.uint64(32)) + np.arange(n, dtype=np.uint64)) % np.uint64(VOCAB)).astype(int)


L = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
         num_key_value_heads=2, max_position_embeddings=CONTEXT, bos_token_id=1, eos_token_id=2, pad_token_id=0)
B = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
         max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=2, pad_token_id=1)


def rope(kind, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=100.0, **more))


def cases():
    llama, base = tf.LlamaForCausalLM, dict(L)
    g = dict(vocab_size=VOCAB, n_embd=24, n_layer=2, n_head=3, n_positions=CONTEXT)
    yield "gpt2", tf.GPT2LMHeadModel(tf.GPT2Config(**g)), {}
    yield "gpt2-body", tf.GPT2Model(tf.GPT2Config(**g, n_inner=20)), dict(dtype=torch.float16)
    yield "llama", llama(tf.LlamaConfig(**L)), dict(dtype=torch.float32)
    yield "llama-tied", llama(tf.LlamaConfig(**L, tie_word_embeddings=True, head_dim=8, rms_norm_eps=1e-5)), {}
    yield "llama-biases", llama(tf.LlamaConfig(**L, attention_bias=True, mlp_bias=True)), dict(shard="12KB")
    yield "llama-linear", llama(tf.LlamaConfig(**L, **rope("linear", factor=2.5))), {}
    yield "llama-dynamic", llama(tf.LlamaConfig(**{**L, "max_position_embeddings": 24}, **rope("dynamic", factor=2.0))), {}
    yield "llama-yarn", llama(tf.LlamaConfig(**L, **rope("yarn", factor=4.0, original_max_position_embeddings=12))), {}
    yield "llama-llama3", llama(tf.LlamaConfig(**L, **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                           original_max_position_embeddings=20))), {}
    yield "mistral", tf.MistralForCausalLM(tf.MistralConfig(**L, sliding_window=9)), {}
    yield "qwen2", tf.Qwen2ForCausalLM(tf.Qwen2Config(**L, tie_word_embeddings=True)), {}
    yield "qwen2-window", tf.Qwen2ForCausalLM(tf.Qwen2Config(**L, use_sliding_window=True, sliding_window=7,
                                                             max_window_layers=0)), {}
    yield "qwen3", tf.Qwen3ForCausalLM(tf.Qwen3Config(**L, head_dim=8)), {}
    yield "phi3", tf.Phi3ForCausalLM(tf.Phi3Config(**L, sliding_window=11, original_max_position_embeddings=CONTEXT)), {}
    short, long = [1.0 + 0.1 * i for i in range(3)], [1.5 + 0.7 * i for i in range(3)]
    yield "phi3-longrope", tf.Phi3ForCausalLM(tf.Phi3Config(
        **L, original_max_position_embeddings=16, **rope("longrope", short_factor=short, long_factor=long))), {}
    yield "gemma", tf.GemmaForCausalLM(tf.GemmaConfig(**L, head_dim=8)), {}
    yield "gemma2", tf.Gemma2ForCausalLM(tf.Gemma2Config(
        **{**L, "num_hidden_layers": 3}, head_dim=8, sliding_window=6, query_pre_attn_scalar=12, attn_logit_softcapping=4.0,
        final_logit_softcapping=9.0)), {}
    n = {k: v for k, v in L.items() if k != "num_key_value_heads"}
    n["num_attention_heads"] = 3
    yield "gpt_neox", tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**n)), {}
    yield "gpt_neox-serial", tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(
        **n, use_parallel_residual=False, rope_parameters=dict(rope_type="default", rope_theta=100.0,
                                                               partial_rotary_factor=0.5))), {}
    yield "bert", tf.BertForMaskedLM(tf.BertConfig(**{**B, "pad_token_id": 0})), {}
    yield "bert-body", tf.BertModel(tf.BertConfig(**{**B, "pad_token_id": 0})), dict(dtype=torch.float16)
    r = {**B, "max_position_embeddings": CONTEXT + 2, "type_vocab_size": 1}
    yield "roberta", tf.RobertaForMaskedLM(tf.RobertaConfig(**r)), {}
    yield "xlm-roberta", tf.XLMRobertaModel(tf.XLMRobertaConfig(**r)), {}
    yield "distilbert", tf.DistilBertForMaskedLM(tf.DistilBertConfig(
        vocab_size=VOCAB, dim=24, hidden_dim=20, n_layers=2, n_heads=4, max_position_embeddings=CONTEXT)), dict(seed=99)


def draw(model, seed):
    random = np.random.default_rng(seed)
    done = set()
    for name, p in model.named_parameters():
        if id(p) in done:
            continue
        done.add(id(p))
        norm = p.dim() == 1 and ("norm" in name.lower() or ".ln_" in name) and name.endswith("weight")
        zero = norm and "Gemma" in type(model).__name__
        scale = 0.25 if p.dim() == 1 else 1.0 if "embed" in name or "wte" in name or "head" in name else 0.45
        value = np.round(32 * scale * random.standard_normal(tuple(p.shape))) / 32 + (norm and not zero)
        with torch.no_grad():
            p.copy_(torch.from_numpy(value))


def compute(name, model):
    """Logits, or hidden states where there is no head, at some places of every token."""
    hidden = not hasattr(model, "get_output_embeddings") or model.get_output_embeddings() is None
    rows, spread = [], []
    for row, n in enumerate(LENGTHS):
        take = ids(row, n)
        if "roberta" in name:
            take = np.where(take == 1, 5, take)  # padding has no place of its own
        inputs = dict(input_ids=torch.tensor(take)[None])
        if name in ("bert", "bert-body"):
            inputs["token_type_ids"] = torch.tensor([int(t >= n // 2) for t in range(n)])[None]
        with torch.no_grad():
            out = model(**inputs)
        x = (out.last_hidden_state if hidden else out.logits)[0]
        spread.append(x.flatten())
        for t in range(n):
            places = [(7 * t + row + 13 * k) % x.shape[1] for k in range(4)]
            rows.append([row, t, int(x[t].argmax()), [[v, x[t, v].item()] for v in places]])
    std = torch.cat(spread).std().item()
    print(f"{name}: std {std:.2f}", file=sys.stderr)
    assert hidden or std >= 1, (name, std)
    return dict(name=name, hidden=hidden, rows=rows)


def save(folder, model, dtype=torch.bfloat16, shard=None):
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    for extra in set(os.listdir(folder)) - {"config.json"}:
        if not extra.startswith("model"):
            os.remove(os.path.join(folder, extra))


def main():
    root = sys.argv[1]
    tested = []
    for seed, (name, model, how) in enumerate(cases()):
        draw(model, how.pop("seed", seed))
        folder = os.path.join(root, "families", name)
        save(folder, model, **how)
        # Angles are kept in F32, whatever type weights are saved in.
        again = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        tested.append(rounded(compute(name, again.double().eval())))
    out = dict(peer=f"torch {torch.__version__}, transformers {tf.__version__}", lengths=LENGTHS, cases=tested)
    with open(os.path.join(root, "family_cases.json"), "w") as f:
        f.write(json.dumps(out, separators=(",", ":")).replace("]]],[", "]]],\n[").replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
