#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tokenize_peer.py TEXT RANKS: tiktoken's speed on a text with r50k, on one thread and on two (a half of the text each), best of
three; on stdin `graft dump` of graft's row of the text, whose ids must be the same."""
import base64
import json
import sys
import time

import tiktoken

with open(sys.argv[1], encoding="utf-8", newline="") as f:
    text = f.read()
with open(sys.argv[2], "rb") as f:
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in f if line.strip())}
pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
encoding = tiktoken.Encoding("r50k", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
megabytes = len(text.encode()) / 1e6


def rate(label, encode):
    best = [float("inf")] * 2
    for _ in range(3):
        begin, cpu = time.perf_counter(), time.process_time()
        encode()
        best = [min(best[0], time.perf_counter() - begin), min(best[1], time.process_time() - cpu)]
    print(f"{label:<36} {megabytes / best[0]:7.1f} MB/s  {megabytes / best[1]:7.1f} by CPU time")


half = text.index("\n", len(text) // 2)
halves = [text[:half], text[half:]]
rate("  tiktoken, one thread", lambda: encoding.encode_ordinary(text))
rate("  tiktoken, two threads", lambda: encoding.encode_ordinary_batch(halves, num_threads=2))
ours = json.loads(next(line for line in sys.stdin if line.startswith('{"row"')))["row"]["ids"][1:-1]
theirs = encoding.encode_ordinary(text)
print(f"  {len(theirs)} ids, {'the same' if ours == theirs else 'NOT THE SAME'}")
sys.exit(ours != theirs)
