#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""learn_peer.py TEXT VOCAB: Hugging Face's byte-level BPE trainer on a text: seconds, CPU seconds, peak memory."""
import resource
import sys
import time

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trainer = trainers.BpeTrainer(vocab_size=int(sys.argv[2]), show_progress=False, special_tokens=["<|endoftext|>"],
                              initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
begin = time.perf_counter()
tokenizer.train([sys.argv[1]], trainer)
took = time.perf_counter() - begin
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"  {'tokenizers':<28} {took:7.2f} s  {used.ru_maxrss / 1e3:7.1f} MB  ({used.ru_utime + used.ru_stime:.1f} s CPU)")
