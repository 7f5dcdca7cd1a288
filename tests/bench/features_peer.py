#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""features_peer.py FOLDER THREADS ROUNDS TEXTS DTYPE...: sentence-transformers' speed in making vectors of the lines of a file, texts per
second, the best of some runs and of two sizes of batches, without start and loading."""
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

folder, threads, rounds, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
with open(path, encoding="utf-8") as f:
    texts = f.read().splitlines()
model = SentenceTransformer(folder, device="cpu")
for dtype in sys.argv[5:]:
    model = model.to({"f32": torch.float32, "bf16": torch.bfloat16}[dtype])
    best = 0
    for _ in range(rounds):
        for together in 32, 128:
            begin = time.perf_counter()
            model.encode(texts, batch_size=together, show_progress_bar=False, convert_to_tensor=True)
            best = max(best, len(texts) / (time.perf_counter() - begin))
    print(f"{'sentence-transformers ' + dtype:<36} {best:7.0f} texts/s", flush=True)
