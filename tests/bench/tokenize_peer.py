#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tokenize_peer.py TEXT RANKS: tiktoken's speed on a text with r50k, one thread, best of three."""
import base64
import sys
import time

import tiktoken

with open(sys.argv[1], encoding="utf-8", newline="") as f:
    text = f.read()
with open(sys.argv[2], "rb") as f:
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in f if line.strip())}
pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
encoding = tiktoken.Encoding("r50k", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
best = float("inf")
for _ in range(3):
    begin = time.perf_counter()
    ids = encoding.encode_ordinary(text)
    best = min(best, time.perf_counter() - begin)
print(f"{'tiktoken, one thread':<34} {len(text.encode()) / 1e6 / best:7.1f} MB/s  ({len(ids)} ids)")
