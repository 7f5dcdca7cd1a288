#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_trainer_cases.py: eight steps of training as torch makes them, as trainer_cases.json: losses, norms and rates.

Models, weights and ids are those of make_model_cases.py. Rows are taken into batches of at most BATCH tokens as
graft-pretrain's page says; the loss is the sum over the scored tokens of a batch divided by their number. AdamW is
torch.optim.AdamW with two groups (what has two dimensions is decayed), clipping clip_grad_norm_, in double precision.

Made with torch 2.15 and transformers 5.23:  python3 tests/parity/make_trainer_cases.py > tests/parity/trainer_cases.json
"""
import json
import math
import sys

import numpy as np
import torch

import make_model_cases as peer

ROWS, BATCH, STEPS, WARMUP = 80, 170, 8, 3
LR, LR_MIN, BETAS, EPS, DECAY, CLIP = 1e-2, 0.1, (0.9, 0.95), 1e-8, 0.1, 0.5
SCHEDULES = {
    "cosine": lambda x: 0.5 * (1 + math.cos(math.pi * x)),
    "linear": lambda x: 1 - x,
}


def length(row):
    return int(peer.mix(np.array([500 + row]))[0] % np.uint64(40)) + 1


def batches():
    batch, tokens = [], 0
    for row in range(ROWS):
        if batch and tokens + length(row) > BATCH:
            yield batch
            batch, tokens = [], 0
        batch.append(row)
        tokens += length(row)
    yield batch


def rate(schedule, step):
    if step < WARMUP:
        return LR * step / WARMUP
    return LR * (LR_MIN + (1 - LR_MIN) * SCHEDULES[schedule]((step - WARMUP) / (STEPS - WARMUP)))


def train(case, schedule):
    model = case["model"]
    peer.put(case)
    model.double().train()
    flat = [p for p in model.parameters() if p.dim() < 2]
    deep = [p for p in model.parameters() if p.dim() >= 2]
    optimiser = torch.optim.AdamW([dict(params=deep, weight_decay=DECAY), dict(params=flat, weight_decay=0)], betas=BETAS, eps=EPS)
    steps = []
    for step, rows in zip(range(1, STEPS + 1), batches()):
        for group in optimiser.param_groups:
            group["lr"] = rate(schedule, step)
        total, scored = 0, 0
        for row in rows:
            n = length(row)
            ids = torch.tensor(peer.ids(row, n))
            first = max(1, row % 4)  # tokens before it are context only
            if n <= first:
                continue
            logits = model(input_ids=ids[None]).logits[0, first - 1:n - 1]
            total = total + torch.nn.functional.cross_entropy(logits, ids[first:], reduction="sum")
            scored += n - first
        loss = total / scored
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        steps.append([loss.item(), norm.item(), rate(schedule, step), rows[-1] + 1])
    print(f"{case['name']} {schedule}: loss {steps[0][0]:.4f} to {steps[-1][0]:.4f}", file=sys.stderr)
    return dict(name=case["name"], schedule=schedule, config=case["config"], steps=steps)


def main():
    made = [train(case, schedule) for schedule in SCHEDULES for case in peer.cases() if case["name"] in ("gpt2", "llama")]
    out = dict(peer=f"torch {torch.__version__}, transformers {peer.tf.__version__}", rows=ROWS, batch=BATCH, warmup=WARMUP, lr=LR,
               lr_min=LR_MIN, beta1=BETAS[0], beta2=BETAS[1], eps=EPS, decay=DECAY, clip=CLIP, cases=peer.rounded(made))
    print(json.dumps(out, separators=(",", ":")).replace('{"name"', '\n{"name"'))


if __name__ == "__main__":
    main()
