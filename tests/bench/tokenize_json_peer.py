#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tokenize_json_peer.py TEXT TOKENIZER.JSON: the speed of tokenizers on a text by its lines, on all threads (best of two)."""
import sys
import time

from tokenizers import Tokenizer

with open(sys.argv[1], encoding="utf-8", newline="") as f:
    text = f.read()
lines = text.split("\n")
tokenizer = Tokenizer.from_file(sys.argv[2])
best = float("inf")
for _ in range(2):
    begin = time.perf_counter()
    tokenizer.encode_batch(lines, add_special_tokens=False)
    best = min(best, time.perf_counter() - begin)
print(f"{'  tokenizers, two threads':<36} {len(text.encode()) / 1e6 / best:7.1f} MB/s")
