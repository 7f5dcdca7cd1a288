#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""decode_peer.py FILE THREADS ROUNDS TOKENS: llama.cpp's speed in continuing one text, the likeliest token each time, tokens per second,
the best of some runs."""
import sys
import time

import llama_cpp

path, threads, rounds, tokens = sys.argv[1], *map(int, sys.argv[2:5])
llama = llama_cpp.Llama(path, n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False)
prompt = llama.tokenize(b"Once upon a time", add_bos=False)
best = 0
for _ in range(rounds):
    llama.reset()
    begin = time.perf_counter()
    count = 0
    for _ in llama.generate(prompt, temp=0.0, top_k=1):
        count += 1
        if count == tokens:
            break
    best = max(best, tokens / (time.perf_counter() - begin))
print(f"{'llama.cpp, one sequence':<36} {best:7.1f} tokens/s")
