#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_gguf_cases.py: what llama.cpp computes with the GGUF files that graft exports, as gguf_cases.json.

Every tiny model of families/ that GGUF can say is imported and exported in F32, loaded by llama.cpp (F32 cache, one thread) and
by gguf-py, and compared with transformers on the folder that it came from: every logit, or of encoders every hidden state, of
rows of 1 to 48 tokens. Printed: the file's SHA-256, which bar the largest difference holds, and at how many tokens another logit
is the largest.
tests/cli/export.bats exports again and compares the digests: what is written is what llama.cpp was seen to compute.

llama.cpp computes GELU from a table of F16, which is where differences of GPT-2, GPT-NeoX, BERT and Gemma come from. It computes
no windows but Gemma 2's: rows of those models are no longer than their windows. Its longrope takes the long divisors for all
rows once the context is longer than the first: there only such rows are compared.

Made with torch 2.15, transformers 5.23 and llama-cpp-python 0.3.36, graft on PATH:
    python3 tests/parity/make_gguf_cases.py tests/parity >tests/parity/gguf_cases.json
"""
import ctypes
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import gguf
import llama_cpp as ll
import numpy as np
import torch
import transformers as tf

from make_family_cases import ids

LENGTHS = [13, 1, 40, 7, 48, 22]
FAMILIES = ["gpt2", "llama", "llama-tied", "llama-biases", "llama-linear", "llama-yarn", "llama-llama3", "mistral", "qwen2",
            "qwen2-window", "qwen3", "phi3", "phi3-longrope", "gemma", "gemma2", "gpt_neox", "gpt_neox-serial", "bert-body",
            "roberta", "xlm-roberta", "distilbert"]
BARS = [1e-3, 0.02]
WINDOWS = {"mistral": 9, "qwen2-window": 7, "phi3": 11}


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def silent(level, text, data):
    pass


class Peer:
    """A GGUF file in llama.cpp; hidden: the last layer's states instead of logits."""

    def __init__(self, path, hidden):
        self.hidden = hidden
        self.model = ll.llama_model_load_from_file(path.encode(), ll.llama_model_default_params())
        assert self.model, path
        p = ll.llama_context_default_params()
        p.n_ctx = p.n_batch = p.n_ubatch = 64
        p.type_k = p.type_v = 0
        p.flash_attn_type = 0
        p.n_threads = p.n_threads_batch = 1
        p.embeddings = hidden
        if hidden:
            p.pooling_type = 0
        self.context = ll.llama_init_from_model(self.model, p)
        self.columns = (ll.llama_model_n_embd(self.model) if hidden
                        else ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(self.model)))

    def __call__(self, tokens):
        batch = ll.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, t in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(t), i, 1, 1
            batch.seq_id[i][0] = 0
        if self.hidden:
            assert ll.llama_encode(self.context, batch) == 0
        else:
            ll.llama_memory_clear(ll.llama_get_memory(self.context), True)
            assert ll.llama_decode(self.context, batch) == 0
        get = ll.llama_get_embeddings_ith if self.hidden else ll.llama_get_logits_ith
        out = [np.ctypeslib.as_array(get(self.context, i), shape=(self.columns,)).copy() for i in range(len(tokens))]
        ll.llama_batch_free(batch)
        return np.array(out)


def exported(folder, scratch):
    model, out = os.path.join(scratch, "x.model"), os.path.join(scratch, "x.gguf")
    subprocess.run(["graft", "import", "-q", folder, "-o", model], check=True)
    subprocess.run(["graft", "export", "-q", "--to", "gguf", "--type", "f32", model, "-o", out], check=True)
    assert len(gguf.GGUFReader(out).tensors) > 10
    return out


def rows_of(name):
    for row, n in enumerate(LENGTHS):
        n = min(n, WINDOWS.get(name, n))
        if name != "phi3-longrope" or n > 16:
            tokens = ids(row, n)
            yield np.where(tokens == 1, 5, tokens) if "roberta" in name else tokens


def case(root, name):
    folder = os.path.join(root, "families", name)
    hidden = "bert" in name
    with tempfile.TemporaryDirectory() as scratch:
        if name == "gemma2":  # llama.cpp has no other scale of scores than that of the heads
            subprocess.run(["cp", "-r", folder, scratch], check=True)
            folder = os.path.join(scratch, name)
            config = json.load(open(os.path.join(folder, "config.json")))
            config["query_pre_attn_scalar"] = config["head_dim"]
            json.dump(config, open(os.path.join(folder, "config.json"), "w"))
        path = exported(folder, scratch)
        peer = Peer(path, hidden)
        kind = tf.AutoModel if hidden else tf.AutoModelForCausalLM
        model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").double().eval()
        worst, other = 0, 0
        for tokens in rows_of(name):
            with torch.no_grad():
                out = model(input_ids=torch.tensor(tokens)[None])
            want = (out.last_hidden_state if hidden else out.logits)[0].numpy()
            got = peer(tokens)
            worst = max(worst, abs(got - want).max())
            other += 0 if hidden else int((got.argmax(1) != want.argmax(1)).sum())
        digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
    print(f"{name}: {worst:.2g} off, {other} others", file=sys.stderr)
    return dict(name=name, sha256=digest, within=next((bar for bar in BARS if worst <= bar), None), others=other)


def main():
    root = sys.argv[1]
    ll.llama_log_set(silent, None)
    ll.llama_backend_init()
    tf.logging.set_verbosity_error()
    cases = [case(root, name) for name in sys.argv[2:] or FAMILIES]
    peer = f"transformers {tf.__version__}, llama-cpp-python 0.3.36"
    print(json.dumps(dict(peer=peer, cases=cases), separators=(",", ":")).replace('{"name"', '\n{"name"'))


if __name__ == "__main__":
    main()
