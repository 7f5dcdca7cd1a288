#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torch_gpt.py STEPS f32|bf16 13.9M|124M eager|compile: PyTorch's speed at the training step that pretrain.sh measures: the
same GPT, scaled dot product attention, clipping to 1, fused AdamW. Prints tokens per second of the median step, peak memory in
GB, PyTorch's version. bf16 is autocast."""
import sys

import torch
from torch import nn
from torch.nn import functional

from torch_steps import measure

# layers, width, heads, context, rows, vocabulary
SHAPES = {"13.9M": (6, 384, 6, 256, 16, 8192), "124M": (12, 768, 12, 512, 4, 50257)}


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x):
        heads = self.qkv(self.norms[0](x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = (t.transpose(1, 2) for t in heads.unbind(2))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norms[1](x))


class Gpt(nn.Module):
    def __init__(self, layers, width, heads, context, vocab):
        super().__init__()
        self.tokens = nn.Embedding(vocab, width)
        self.positions = nn.Embedding(context, width)
        self.layers = nn.Sequential(*[Layer(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, ids, targets):
        x = self.layers(self.tokens(ids) + self.positions.weight)
        logits = functional.linear(self.norm(x), self.tokens.weight)  # tied
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main():
    steps, dtype, shape, mode = int(sys.argv[1]), *sys.argv[2:5]
    layers, width, heads, context, rows, vocab = SHAPES[shape]
    torch.manual_seed(0)
    model = Gpt(layers, width, heads, context, vocab)
    ids = torch.randint(vocab, (rows, context + 1))
    batches = [((ids[:, :-1], ids[:, 1:]), rows * context)] * (steps + 2)
    measure(model, batches, dtype, mode)


main()
