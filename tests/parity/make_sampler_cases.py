#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes sampler_cases.json: what transformers' logits processors make of fixed logits.

    python tests/parity/make_sampler_cases.py > tests/parity/sampler_cases.json

Needs torch and transformers; the suite itself reads the JSON only (tests/unit/test_sampler.c).
Each case: options, chain, logits, history, and the log-probabilities after the chain (null: removed).
"""
import json

import torch
import transformers
from transformers import (MinPLogitsWarper, RepetitionPenaltyLogitsProcessor,
                          TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

HUGGINGFACE = ["penalty", "temperature", "top-k", "top-p", "min-p"]
LLAMA_CPP = ["penalty", "top-k", "top-p", "min-p", "temperature"]
STAGES = {
    "penalty": ("repetition", 1.0, RepetitionPenaltyLogitsProcessor),
    "temperature": ("temperature", 1.0, TemperatureLogitsWarper),
    "top-k": ("top_k", 0, TopKLogitsWarper),
    "top-p": ("top_p", 1.0, TopPLogitsWarper),
    "min-p": ("min_p", 0.0, MinPLogitsWarper),
}


def run(chain, options, logits, history):
    scores = torch.tensor([logits], dtype=torch.float32)
    ids = torch.tensor([history], dtype=torch.long)
    for stage in chain:
        key, neutral, processor = STAGES[stage]
        if options.get(key, neutral) != neutral:
            scores = processor(options[key])(ids, scores)
    return torch.log_softmax(scores.double(), -1)[0].tolist()


def main():
    generator = torch.Generator().manual_seed(11)
    grids = [
        {},
        {"temperature": 0.7},
        {"top_k": 5},
        {"top_p": 0.8},
        {"min_p": 0.1},
        {"repetition": 1.3},
        {"temperature": 1.7, "top_k": 12, "top_p": 0.9, "min_p": 0.05, "repetition": 1.2},
        {"temperature": 0.5, "top_k": 7, "top_p": 0.6, "repetition": 0.8},
        {"temperature": 2.5, "top_p": 0.5, "min_p": 0.2},
        {"top_k": 1},
        {"top_p": 0.01},
    ]
    cases = []
    for number, options in enumerate(grids):
        for name, chain in (("huggingface", HUGGINGFACE), ("llama.cpp", LLAMA_CPP),
                            (",".join(reversed(HUGGINGFACE)), HUGGINGFACE[::-1])):
            logits = (torch.randn(24, generator=generator) * 3).tolist()
            logits = [round(x, 4) for x in logits]
            if number == 2:  # the fifth best and the next two are equal: all stay
                order = sorted(range(24), key=lambda v: -logits[v])
                logits[order[5]] = logits[order[6]] = logits[order[4]]
            history = torch.randint(24, (9,), generator=generator).tolist()
            expected = run(chain, options, logits, history)
            cases.append({"chain": name, "options": options, "logits": logits, "history": history,
                          "logprobs": [None if x == float("-inf") else round(x, 9) for x in expected]})
    print('{"made_by": "transformers %s", "cases": [' % transformers.__version__)
    print(",\n".join(json.dumps(case) for case in cases))
    print("]}")


if __name__ == "__main__":
    main()
