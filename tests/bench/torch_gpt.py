#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torch_gpt.py STEPS f32|bf16: PyTorch's speed at the training step that pretrain.sh measures: the same GPT, scaled dot product
attention, clipping to 1, fused AdamW. Prints "PyTorch N tokens/s  N GB" of the median step. bf16 is autocast."""
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional

LAYERS, WIDTH, HEADS, CONTEXT, ROWS, VOCAB = 6, 384, 6, 256, 16, 8192


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)])
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(approximate="tanh"), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        heads = self.qkv(self.norms[0](x)).unflatten(-1, (3, HEADS, WIDTH // HEADS))
        q, k, v = (t.transpose(1, 2) for t in heads.unbind(2))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norms[1](x))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCAB, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.Sequential(*[Layer() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, ids, targets):
        x = self.layers(self.tokens(ids) + self.positions.weight)
        logits = functional.linear(self.norm(x), self.tokens.weight)  # tied
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main():
    steps, dtype = int(sys.argv[1]), sys.argv[2]
    torch.manual_seed(0)
    model = Gpt()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    ids = torch.randint(VOCAB, (ROWS, CONTEXT + 1))
    took = []
    for _ in range(steps + 2):
        begin = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            loss = model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        took.append(time.perf_counter() - begin)
    median = sorted(took[2:])[steps // 2]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"PyTorch  {ROWS * CONTEXT / median:6.0f} tokens/s  {memory:.2f} GB  {dtype} torch {torch.__version__}")


main()
