#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_training_cases.py: losses, norms and rates of the first steps of training in torch, as training_cases.json.

The models are transformers', the optimiser torch.optim.AdamW behind clip_grad_norm_, in double precision, starting from
the weights and rows that training_files.sh makes with graft. A batch closes before the row that would exceed it; its loss
is the mean over its scored tokens. The rates are written down here once more, from the manual page.

Made with torch 2.15 and transformers 5.23, graft being on the PATH:
    python3 tests/parity/make_training_cases.py > tests/parity/training_cases.json
"""
import json
import math
import os
import subprocess
import sys
import tempfile

import torch
import transformers as tf

from make_model_cases import of_gpt2, of_llama

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, BATCH, LR, WARMUP, LR_MIN, DECAY, CLIP, BETAS, EPS = 20, 256, 1e-2, 5, 0.1, 0.3, 1.0, (0.9, 0.95), 1e-8


def records(path):
    dump = subprocess.run(["graft", "dump", path], check=True, stdout=subprocess.PIPE)
    return map(json.loads, dump.stdout.splitlines())


def tensors(path):
    out = {}
    for r in records(path):
        if "tensor" in r and not r["tensor"].startswith("tokenizer."):
            flat = [float.fromhex(x) if isinstance(x, str) else x for x in r["data"]]
            out.setdefault(r["tensor"], (r["shape"], []))[1].extend(flat)
    return {name: torch.tensor(flat, dtype=torch.float64).reshape(shape) for name, (shape, flat) in out.items()}


def batches(path):
    batch, size = [], 0
    for r in records(path):
        if "row" not in r:
            continue
        n = len(r["row"]["ids"])
        if batch and size + n > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(r["row"])
        size += n
    yield batch


def peers():
    g = dict(vocab_size=290, n_layer=2, n_head=3, n_embd=24, n_positions=32, attn_pdrop=0, resid_pdrop=0, embd_pdrop=0,
             attn_implementation="eager", bos_token_id=0, eos_token_id=0)
    yield "gpt2", tf.GPT2LMHeadModel(tf.GPT2Config(**g)), of_gpt2
    l = dict(vocab_size=290, hidden_size=24, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=32, attn_implementation="eager", rms_norm_eps=1e-5,
             tie_word_embeddings=False)
    yield "llama", tf.LlamaForCausalLM(tf.LlamaConfig(**l)), of_llama


def put(model, of, weights):
    """Graft's weights into the peer; returns the parameters that are decayed, and the others."""
    decayed, others, met = [], [], set()
    for name, value in weights.items():
        row = 0
        for parameter, transposed in of(model, name):
            rows = parameter.shape[1 if transposed else 0]
            part = value[row:row + rows]
            with torch.no_grad():
                parameter.copy_(part.T if transposed else part)
            row += rows
            met.add(id(parameter))
            (others if name.endswith(".bias") or "norm" in name else decayed).append(parameter)
        assert row == value.shape[0], name
    assert met == {id(p) for p in model.parameters()}
    return decayed, others


def rate(step):
    if step < WARMUP:
        return LR * step / WARMUP
    x = (step - WARMUP) / (STEPS - WARMUP)
    return LR * (LR_MIN + (1 - LR_MIN) * 0.5 * (1 + math.cos(math.pi * x)))


def batch_loss(model, rows):
    total, count = 0, 0
    for row in rows:
        ids = torch.tensor(row["ids"])
        logits = model(ids[None]).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
        scored = torch.arange(1, len(ids)) >= row["skip"]
        total, count = total + losses[scored].sum(), count + int(scored.sum())
    return total / count


def train(model, of, weights):
    model.double().train()
    decayed, others = put(model, of, weights)
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0}],
                                  lr=LR, betas=BETAS, eps=EPS)
    steps = []
    for step, rows in enumerate(batches("train.tokens"), 1):
        if step > STEPS:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate(step)
        optimiser.zero_grad()
        loss = batch_loss(model, rows)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        steps.append({"loss": round(loss.item(), 9), "norm": round(norm.item(), 9), "rate": rate(step)})
    return steps


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run([os.path.join(HERE, "training_files.sh")], check=True)
        out = {name: train(model, of, tensors(name + ".model")) for name, model, of in peers()}
    lines = ",\n".join('"%s": [\n%s]' % (k, ",\n".join(map(json.dumps, v))) for k, v in out.items())
    sys.stdout.write("{%s}\n" % lines)


main()
