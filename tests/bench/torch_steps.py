# SPDX-License-Identifier: Apache-2.0
"""torch_steps.py: whole training steps in PyTorch, measured, for torch_gpt.py and torch_bert.py."""
import resource
import time

import torch
from torch import nn


def measure(model, batches, dtype, mode):
    """batches: pairs of the model's arguments, which give the loss, and of the real tokens in them; two steps do not count."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    run = torch.compile(model) if mode == "compile" else model
    speed = []
    for arguments, tokens in batches:
        begin = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            loss = run(*arguments)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        speed.append(tokens / (time.perf_counter() - begin))
    median = sorted(speed[2:])[(len(speed) - 2) // 2]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{median:.0f} {memory:.2f} {torch.__version__}")
