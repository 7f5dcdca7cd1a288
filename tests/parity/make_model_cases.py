#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_model_cases.py: what transformers computes for small models of every architecture, as model_cases.json.

Weights are a function of (number of the parameter in graft's table, element), so that they need not be stored: the test
(tests/unit/test_model_parity.c) makes the same ones. Each row is computed alone, without padding or mask. Stored: some
logits, the losses, and of each parameter's gradient the norm and some elements. In double precision, which is the peer's
code with less of its rounding.

Made with torch 2.15 and transformers 5.23:  python3 tests/parity/make_model_cases.py > tests/parity/model_cases.json
"""
import json
import math
import sys

import numpy as np
import torch
import transformers as tf

LENGTHS = [13, 1, 40, 7, 64, 22]
LAYERS, WIDTH, HEADS, VOCAB, CONTEXT = 2, 32, 4, 211, 64
M = (1 << 64) - 1


def mix(n):
    """splitmix64's finaliser over an array of counters."""
    z = (n.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(stream, count):
    """[-1, 1) with 24 bits."""
    words = mix((np.uint64(stream) << np.uint64(32)) + np.arange(count, dtype=np.uint64))
    return (words >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def weights(number, name, shape, plus_one=False):
    u = uniform(number, int(np.prod(shape))).reshape(shape)
    if name.endswith(".bias"):
        return np.float32(0.2 * u)
    if "norm" in name:
        return np.float32((0 if plus_one else 1) + 0.3 * u)
    return np.float32((0.9 if name.startswith(("embed.", "head.weight")) else 0.3) * u)


def ids(row, n):
    return (mix((np.uint64(1000 + row) << np.uint64(32)) + np.arange(n, dtype=np.uint64)) % np.uint64(VOCAB)).astype(int)


def targets(case, row, n):
    """-1: not scored."""
    if case["config"]["causal"]:
        return np.append(ids(row, n)[1:], -1)
    wanted = ids(row + 100, n)
    return np.array([wanted[t] if t % 3 == 0 else -1 for t in range(n)])


# ---- graft's table, in its order: (name, shape) ----

def table(c):
    C, D = c["width"], c["head_size"]
    norm = lambda p: [(p + ".weight", (C,))] + ([(p + ".bias", (C,))] if c["norm"] == "layer" else [])
    lin = lambda p, o, i, b: [(p + ".weight", (o, i))] + ([(p + ".bias", (o,))] if b else [])
    t = [("embed.tokens.weight", (c["vocab"], C))]
    if c["position"] == "learned":
        t.append(("embed.positions.weight", (c["context"], C)))
    if c.get("types"):
        t.append(("embed.types.weight", (c["types"], C)))
    if c.get("embed_norm"):
        t += norm("embed.norm")
    for l in range(c["layers"]):
        p = f"layers.{l}."
        t += norm(p + "norm1")
        t += lin(p + "attention.qkv", (c["heads"] + 2 * c["kv_heads"]) * D, C, c["qkv_bias"])
        if c.get("qk_norm"):
            t += [(p + "attention.q_norm.weight", (D,)), (p + "attention.k_norm.weight", (D,))]
        t += lin(p + "attention.out", C, c["heads"] * D, c["out_bias"])
        if c.get("norm_branch"):
            t += norm(p + "attention.norm")
        t += norm(p + "norm2")
        t += lin(p + "mlp.up", (2 if c["gated"] else 1) * c["mlp"], C, c["mlp_bias"])
        t += lin(p + "mlp.down", C, c["mlp"], c["mlp_bias"])
        if c.get("norm_branch"):
            t += norm(p + "mlp.norm")
    if c.get("final_norm"):
        t += norm("norm")
    if c.get("mlm_head"):
        t += lin("head.dense", C, C, True) + norm("head.norm")
    if not c["tied"]:
        t.append(("head.weight", (c["vocab"], C)))
    if c.get("mlm_head"):
        t.append(("head.bias", (c["vocab"],)))
    return t


# ---- the peer's parameters behind each name: [(parameter, transposed or its rows)], joined ----

def of_gpt2(model, name):
    t = model.transformer
    if name == "embed.tokens.weight":
        return [(t.wte.weight, False)]
    if name == "embed.positions.weight":
        return [(t.wpe.weight, False)]
    if name == "head.weight":
        return [(model.lm_head.weight, False)]
    *path, kind = name.split(".")
    if path == ["norm"]:
        return [(getattr(t.ln_f, kind), False)]
    h = t.h[int(path[1])]
    part = {"norm1": h.ln_1, "norm2": h.ln_2, "attention.qkv": h.attn.c_attn, "attention.out": h.attn.c_proj,
            "mlp.up": h.mlp.c_fc, "mlp.down": h.mlp.c_proj}[".".join(path[2:])]
    return [(getattr(part, kind), kind == "weight" and "norm" not in path[2])]


def of_llama(model, name):
    m = model.model
    *path, kind = name.split(".")
    if name == "embed.tokens.weight":
        return [(m.embed_tokens.weight, False)]
    if name == "head.weight":
        return [(model.lm_head.weight, False)]
    if path == ["norm"]:
        return [(m.norm.weight, False)]
    l = m.layers[int(path[1])]
    name, a = ".".join(path[2:]), l.self_attn
    branches = hasattr(l, "pre_feedforward_layernorm")
    parts = {"norm1": lambda: [l.input_layernorm],
             "norm2": lambda: [l.pre_feedforward_layernorm if branches else l.post_attention_layernorm],
             "attention.norm": lambda: [l.post_attention_layernorm],
             "mlp.norm": lambda: [l.post_feedforward_layernorm],
             "attention.qkv": lambda: [a.qkv_proj] if hasattr(a, "qkv_proj") else [a.q_proj, a.k_proj, a.v_proj],
             "attention.q_norm": lambda: [a.q_norm], "attention.k_norm": lambda: [a.k_norm],
             "attention.out": lambda: [a.o_proj],
             "mlp.up": lambda: [l.mlp.gate_up_proj] if hasattr(l.mlp, "gate_up_proj") else [l.mlp.gate_proj, l.mlp.up_proj],
             "mlp.down": lambda: [l.mlp.down_proj]}[name]()
    return [(getattr(p, kind), False) for p in parts]


def of_neox(model, name):
    m = model.gpt_neox
    *path, kind = name.split(".")
    whole = {"embed.tokens": m.embed_in, "head": model.lm_head, "norm": m.final_layer_norm}
    if ".".join(path) in whole:
        return [(getattr(whole[".".join(path)], kind), False)]
    l = m.layers[int(path[1])]
    if path[2:] == ["attention", "qkv"]:  # each head's query, key and value lie together
        D = WIDTH // HEADS
        return [(getattr(l.attention.query_key_value, kind), slice((3 * h + part) * D, (3 * h + part + 1) * D))
                for part in range(3) for h in range(HEADS)]
    part = {"norm1": l.input_layernorm, "norm2": l.post_attention_layernorm, "attention.out": l.attention.dense,
            "mlp.up": l.mlp.dense_h_to_4h, "mlp.down": l.mlp.dense_4h_to_h}[".".join(path[2:])]
    return [(getattr(part, kind), False)]


def of_bert(model, name):
    b, head = model.bert, model.cls.predictions
    *path, kind = name.split(".")
    whole = {"embed.tokens": b.embeddings.word_embeddings, "embed.positions": b.embeddings.position_embeddings,
             "embed.types": b.embeddings.token_type_embeddings, "embed.norm": b.embeddings.LayerNorm,
             "head.dense": head.transform.dense, "head.norm": head.transform.LayerNorm}
    if ".".join(path) in whole:
        return [(getattr(whole[".".join(path)], kind), False)]
    if name == "head.bias":
        return [(head.bias, False)]
    l = b.encoder.layer[int(path[1])]
    own = l.attention.self
    parts = {"norm1": [l.attention.output.LayerNorm], "norm2": [l.output.LayerNorm],
             "attention.qkv": [own.query, own.key, own.value], "attention.out": [l.attention.output.dense],
             "mlp.up": [l.intermediate.dense], "mlp.down": [l.output.dense]}[".".join(path[2:])]
    return [(getattr(p, kind), False) for p in parts]


# ---- cases ----

BASE = dict(vocab=VOCAB, layers=LAYERS, width=WIDTH, heads=HEADS, context=CONTEXT)


def llama_like(name, config, model_class, tied=False, kv=2, head=8, bias=False, mlp=44, theta=10000.0, window=0, eps=1e-5,
               **more):
    c = dict(BASE, arch="llama", kv_heads=kv, head_size=head, mlp=mlp, norm="rms", norm_eps=eps, position="rope",
             rope_theta=theta, causal=True, qkv_bias=bias, out_bias=False, mlp_bias=False, gated=True, tied=tied,
             final_norm=True, window=window, **more)
    return dict(name=name, config=c, model=model_class(config), of=of_llama)


def cases():
    g = dict(vocab_size=VOCAB, n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH, n_positions=CONTEXT, attn_pdrop=0,
             resid_pdrop=0, embd_pdrop=0, attn_implementation="eager", bos_token_id=0, eos_token_id=0)
    c = dict(BASE, arch="gpt2", kv_heads=HEADS, head_size=8, mlp=4 * WIDTH, norm="layer", norm_eps=1e-5, position="learned",
             causal=True, qkv_bias=True, out_bias=True, mlp_bias=True, gated=False, tied=True, final_norm=True)
    yield dict(name="gpt2", config=c, model=tf.GPT2LMHeadModel(tf.GPT2Config(**g)), of=of_gpt2)
    yield dict(name="gpt2 untied", config=dict(c, tied=False),
               model=tf.GPT2LMHeadModel(tf.GPT2Config(**g, tie_word_embeddings=False)), of=of_gpt2)
    l = dict(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=44, num_hidden_layers=LAYERS,
             num_attention_heads=HEADS, max_position_embeddings=CONTEXT, attn_implementation="eager")
    yield llama_like("llama", tf.LlamaConfig(**l, num_key_value_heads=2, rms_norm_eps=1e-5, tie_word_embeddings=False),
                     tf.LlamaForCausalLM)
    yield llama_like("llama tied, head size 12, theta 500",
                     tf.LlamaConfig(**l, num_key_value_heads=1, rms_norm_eps=1e-6, head_dim=12, tie_word_embeddings=True,
                                    rope_parameters=dict(rope_type="default", rope_theta=500.0)),
                     tf.LlamaForCausalLM, tied=True, kv=1, head=12, theta=500.0, eps=1e-6)
    yield llama_like("mistral, window 9", tf.MistralConfig(**l, num_key_value_heads=2, rms_norm_eps=1e-5, sliding_window=9,
                                                           tie_word_embeddings=False),
                     tf.MistralForCausalLM, window=9)
    yield llama_like("qwen2", tf.Qwen2Config(**l, num_key_value_heads=2, rms_norm_eps=1e-6, tie_word_embeddings=True,
                                             use_sliding_window=False),
                     tf.Qwen2ForCausalLM, tied=True, bias=True, eps=1e-6)
    yield llama_like("qwen3", tf.Qwen3Config(**l, num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-6,
                                             tie_word_embeddings=True, use_sliding_window=False),
                     tf.Qwen3ForCausalLM, tied=True, eps=1e-6, qk_norm=True)
    gemma = dict(num_key_value_heads=1, head_dim=12, rms_norm_eps=1e-6, tie_word_embeddings=True)
    own = dict(tied=True, kv=1, head=12, eps=1e-6, norm_plus_one=True, embed_scale=math.sqrt(WIDTH), act="gelu_tanh")
    yield llama_like("gemma", tf.GemmaConfig(**l, **gemma), tf.GemmaForCausalLM, **own)
    yield llama_like("gemma 2", tf.Gemma2Config(**l, **gemma, sliding_window=9, query_pre_attn_scalar=10,
                                                attn_logit_softcapping=3.0, final_logit_softcapping=5.0),
                     tf.Gemma2ForCausalLM, **own, norm_branch=True, window=9, window_every=2,
                     attention_scale=1 / math.sqrt(10), attention_softcap=3.0, logit_softcap=5.0)
    for side_by_side in (True, False):
        n = dict(BASE, arch="gpt2", kv_heads=HEADS, head_size=8, mlp=4 * WIDTH, norm="layer", norm_eps=1e-5,
                 position="rope", rope_theta=10000.0, rope_dims=4, causal=True, qkv_bias=True, out_bias=True,
                 mlp_bias=True, gated=False, tied=False, final_norm=True, act="gelu", parallel=side_by_side)
        x = tf.GPTNeoXConfig(**{**l, "intermediate_size": 4 * WIDTH}, use_parallel_residual=side_by_side,
                             tie_word_embeddings=False, attention_dropout=0, hidden_dropout=0,
                             rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))
        yield dict(name=f"neox, parallel {side_by_side}", config=n, model=tf.GPTNeoXForCausalLM(x), of=of_neox)
    scalings = [("linear", dict(factor=3.0), dict(rope_factor=3.0)),
                ("dynamic", dict(factor=2.0), dict(rope_factor=2.0, rope_original=24)),
                ("yarn", dict(factor=4.0, original_max_position_embeddings=16),
                 dict(rope_factor=4.0, rope_original=16, rope_low=1.0, rope_high=32.0,
                      rope_attention=0.1 * math.log(4) + 1)),
                ("llama3", dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                original_max_position_embeddings=32),
                 dict(rope_factor=8.0, rope_original=32, rope_low=1.0, rope_high=4.0))]
    for kind, theirs, ours in scalings:
        few = dict(l, max_position_embeddings=24) if kind == "dynamic" else l
        yield llama_like(f"llama, rope {kind}",
                         tf.LlamaConfig(**few, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-5, tie_word_embeddings=False,
                                        rope_parameters=dict(rope_type=kind, rope_theta=50.0, **theirs)),
                         tf.LlamaForCausalLM, head=16, theta=50.0, rope_scaling=kind, **ours)
    short, long = [1.0, 1.1, 1.3, 1.5], [1.0, 2.0, 3.5, 6.0]
    yield llama_like("phi3, longrope",
                     tf.Phi3Config(**l, num_key_value_heads=2, rms_norm_eps=1e-5, tie_word_embeddings=False,
                                   resid_pdrop=0, embd_pdrop=0, attention_dropout=0, pad_token_id=0, bos_token_id=0,
                                   eos_token_id=0, original_max_position_embeddings=24,
                                   rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, short_factor=short,
                                                        long_factor=long, original_max_position_embeddings=24)),
                     tf.Phi3ForCausalLM, rope_scaling="longrope", rope_original=24, rope_short=short, rope_long=long,
                     rope_attention=math.sqrt(1 + math.log(64 / 24) / math.log(24)))
    c = dict(BASE, arch="bert", kv_heads=HEADS, head_size=8, mlp=4 * WIDTH, norm="layer", norm_post=True, norm_eps=1e-12,
             embed_norm=True, final_norm=False, position="learned", causal=False, qkv_bias=True, out_bias=True,
             mlp_bias=True, gated=False, tied=True, types=2, mlm_head=True)
    b = tf.BertConfig(vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                      intermediate_size=4 * WIDTH, max_position_embeddings=CONTEXT, hidden_dropout_prob=0,
                      attention_probs_dropout_prob=0, attn_implementation="eager")
    bert = tf.BertForMaskedLM(b)
    yield dict(name="bert", config=c, model=bert, of=of_bert)


def part_of(tensor, how):
    """As the table has it: the tensor, transposed (True), or some rows of it."""
    return tensor[how] if isinstance(how, slice) else tensor.T if how else tensor


def put(case):
    """Graft's weights into the peer; every peer parameter must be met."""
    met = set()
    for number, (name, shape) in enumerate(table(case["config"])):
        value = torch.from_numpy(weights(number, name, shape, case["config"].get("norm_plus_one", False)))
        row = 0
        for parameter, how in case["of"](case["model"], name):
            rows = part_of(parameter, how).shape[0]
            with torch.no_grad():
                part_of(parameter, how).copy_(value[row:row + rows])
            met.add(id(parameter))
            row += rows
        assert row == shape[0], name
    left = [n for n, p in case["model"].named_parameters() if id(p) not in met]
    assert not left, left


def run(case):
    model, bert = case["model"], case["config"]["arch"] == "bert"
    put(case)
    model.get_input_embeddings().padding_idx = None  # else that token gets no gradient
    model.double().eval()
    logits, losses, total, spread = [], [], 0, []
    for row, n in enumerate(LENGTHS):
        inputs = dict(input_ids=torch.tensor(ids(row, n))[None])
        if bert:
            inputs["token_type_ids"] = torch.tensor([int(t >= n // 2) for t in range(n)])[None]
        out = model(**inputs).logits[0]
        want = torch.tensor(targets(case, row, n))
        loss = torch.nn.functional.cross_entropy(out, want.clamp(min=0), reduction="none") * (want >= 0)
        total = total + loss.sum()
        spread.append(out.detach().flatten())
        losses += [[row, t, loss[t].item()] for t in range(n) if want[t] >= 0]
        for t in sorted({0, 1, n // 3, n // 2, n - 2, n - 1} & set(range(n))):
            logits += [[row, t, v, out[t, v].item()] for v in range((7 * t + row) % 23, VOCAB, 23)]
    std = torch.cat(spread).std().item()
    assert std >= 1, std
    total.backward()
    gradients = []
    for number, (name, shape) in enumerate(table(case["config"])):
        parts = [part_of(p.grad, how) for p, how in case["of"](model, name)]
        flat = torch.cat(parts).flatten()
        places = sorted({int(x) % flat.numel() for x in mix(np.arange(6) + 77 * number)} | {int(flat.abs().argmax())})
        gradients.append(dict(name=name, norm=flat.norm().item(), elements=[[i, flat[i].item()] for i in places]))
    print(f"{case['name']}: std of logits {std:.2f}, loss {total.item():.6f}", file=sys.stderr)
    return dict(name=case["name"], config=case["config"], logits=logits, losses=losses, loss=total.item(),
                gradients=gradients)


def rounded(x):
    if isinstance(x, float):
        return float(f"{x:.9g}")
    if isinstance(x, list):
        return [rounded(y) for y in x]
    return {k: rounded(v) for k, v in x.items()} if isinstance(x, dict) else x


def main():
    out = dict(peer=f"torch {torch.__version__}, transformers {tf.__version__}", lengths=LENGTHS,
               cases=[rounded(run(c)) for c in cases()])
    print(json.dumps(out, separators=(",", ":")).replace('],"', '],\n"').replace('{"name"', '\n{"name"'))


if __name__ == "__main__":
    main()
