#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""eval_peer.py transformers FOLDER THREADS ROUNDS DTYPE... | llama.cpp FILE THREADS ROUNDS: another program's speed in judging the rows
of `graft dump` on stdin, tokens per second, the best of some runs: transformers with one row and with four at once, its
losses summed as graft sums them; llama.cpp one row after another."""
import json
import sys
import time

what, model, threads, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rows = [json.loads(line)["row"]["ids"] for line in sys.stdin if line.startswith('{"row"')]
rows = [row for row in rows if len(row) == 512]


def best(label, work):
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    print(f"{label:<36} {sum(map(len, rows)) / min(seconds):7.0f} tokens/s", flush=True)


if what == "llama.cpp":
    import llama_cpp

    llama = llama_cpp.Llama(model, n_ctx=512, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads,
                            logits_all=True, verbose=False)

    def judge():
        for row in rows:
            llama.reset()
            llama.eval(row)

    best("llama.cpp, logits of all tokens", judge)
else:
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for dtype in sys.argv[5:]:
        loaded = transformers.AutoModelForCausalLM.from_pretrained(
            model, dtype={"f32": torch.float32, "bf16": torch.bfloat16}[dtype]).eval()
        for together in 1, 4:

            def judge():
                with torch.inference_mode():
                    for at in range(0, len(rows), together):
                        ids = torch.tensor(rows[at : at + together])
                        logits = loaded(input_ids=ids).logits[:, :-1]
                        torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="sum").item()

            best(f"transformers {dtype}, {together} rows at once", judge)
