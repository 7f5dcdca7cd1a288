#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torch_bert.py STEPS f32|bf16 bert eager|compile: PyTorch's speed at the masked training step that pretrain.sh measures: the
same encoder on rows of 8 to 256 tokens, padded to the longest of their batch (compiled: to 256, so that it is compiled once),
scaled dot product attention that leaves the padding out, logits of the masked places alone, clipping to 1, fused AdamW. Prints
real tokens per second of the median step, peak memory in GB, PyTorch's version. bf16 is autocast."""
import sys

import torch
from torch import nn
from torch.nn import functional

from torch_steps import measure

LAYERS, WIDTH, HEADS, CONTEXT, TOKENS, VOCAB, MASKED = 6, 384, 12, 256, 4096, 30522, 0.15


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)])
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x, seen):
        q, k, v = (t.transpose(1, 2) for t in self.qkv(x).unflatten(-1, (3, HEADS, -1)).unbind(2))
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        x = self.norms[0](x + self.out(mixed.transpose(1, 2).flatten(2)))
        return self.norms[1](x + self.mlp(x))


class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCAB, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.types = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList([Layer() for _ in range(LAYERS)])
        self.head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.LayerNorm(WIDTH, eps=1e-12))
        self.bias = nn.Parameter(torch.zeros(VOCAB))

    def forward(self, ids, seen, places, targets):
        x = self.norm(self.tokens(ids) + self.positions.weight[: ids.shape[1]] + self.types.weight[0])
        for layer in self.layers:
            x = layer(x, seen)
        logits = functional.linear(self.head(x.flatten(0, 1)[places]), self.tokens.weight, self.bias)  # tied
        return functional.cross_entropy(logits, targets)


def batch(compiled):
    lengths = []
    while True:
        n = int(torch.randint(8, CONTEXT + 1, (1,)))
        if sum(lengths) + n > TOKENS:
            break
        lengths.append(n)
    longest = CONTEXT if compiled else max(lengths)
    seen = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]
    ids = torch.randint(VOCAB, seen.shape)
    real = seen.flatten().nonzero().flatten()
    places = real[torch.randperm(len(real))[: round(MASKED * len(real))]]
    targets = ids.flatten()[places]
    ids.view(-1)[places] = 0
    return (ids, seen[:, None, None, :], places, targets), sum(lengths)


def main():
    steps, dtype, mode = int(sys.argv[1]), sys.argv[2], sys.argv[4]
    torch.manual_seed(0)
    measure(Bert(), [batch(mode == "compile") for _ in range(steps + 2)], dtype, mode)


main()
