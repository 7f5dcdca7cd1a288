#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""real_models.py PART MODELS SCRATCH: real models in graft beside the programs that they come from, a line for each comparison:
what, against, bar, measured, 1 or 0 (it holds), separated by tabs. graft is on the PATH, GRAFT_DATA names the folder of texts.

    minilm      all-MiniLM-L6-v2: vectors of 1,000 texts, and with a prompt that pooling leaves out (sentence-transformers)
    logits      SmolLM2-135M: log-probabilities of 4,000 tokens (transformers, weights dequantised by it)
    perplexity  of the same model (llama.cpp)
    choices     HellaSwag, LAMBADA, WikiText (lm-evaluation-harness)
    stories     stories260K: the text that was published with it
    tokenizers  2 MB of mixed scripts and code (tiktoken, tokenizers, sentencepiece)
"""
import bz2
import json
import math
import os
import re
import subprocess
import sys

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "interop"))
sys.dont_write_bytecode = True
part, models, scratch = sys.argv[1:4]
data = os.environ.get("GRAFT_DATA", "")
gguf = os.path.join(models, "smollm2.gguf")
smollm2 = os.path.join(scratch, "smollm2.model")


class Skip(Exception):
    pass


def row(what, against, bar, measured, ok):
    print(f"{what}\t{against}\t{bar}\t{measured}\t{int(bool(ok))}", flush=True)


def need(*paths):
    for path in paths:
        if not os.path.exists(path):
            raise Skip(f"there is no {path}")


def graft(*args, **kw):
    return subprocess.run(["graft", *args], check=True, stdout=subprocess.PIPE, **kw).stdout


def at(name):
    return os.path.join(scratch, name)


def write(name, text):
    with open(at(name), "w", encoding="utf-8", newline="") as f:
        f.write(text)
    return at(name)


def write_lines(name, records):
    return write(name, "".join(json.dumps(r) + "\n" for r in records))


def columns(path, *names):
    """Columns of a stream of rows, each a list of arrays."""
    from graft_stream import read

    types = {"F32": np.float32, "U16": np.uint16, "U32": np.uint32, "I32": np.int32}
    (content, _), = read(path)
    out = []
    for name in names:
        i = [c["name"] for c in content.columns].index(name)
        c = content.columns[i]
        values = np.frombuffer(bytes(content.data[i]), types[c["dtype"]])
        if c["shape"] == [-1]:
            out.append(np.split(values, np.cumsum(content.lengths[i])[:-1]))
        else:
            out.append(list(values.reshape(content.rows, -1)))
    return out


def import_smollm2():
    need(gguf)
    if not os.path.exists(smollm2):
        graft("import", "-q", gguf, "-o", smollm2)


def transformers_smollm2():
    """The model and the tokenizer of the GGUF file, as transformers read it."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder, name = os.path.split(gguf)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)


def sherlock():
    path = os.path.join(data, "text", "sherlock.txt")
    need(path)
    with open(path, encoding="utf-8") as f:
        return f.read()


# ---------------------------------------------------------------------- vectors

def vectors(model, texts, *options, name="texts"):
    path = write(name + ".txt", "".join(t + "\n" for t in texts))
    graft("tokenize", "-q", "-m", model, "-f", "lines", "--length", "256", path, "-o", at(name + ".tokens"))
    graft("extract-features", "-q", "-m", model, "--truncate", *options, at(name + ".tokens"), "-o", at(name + ".features"))
    return np.stack(columns(at(name + ".features"), "x")[0]).astype(np.float64)


def compare_vectors(what, ours, theirs):
    theirs = np.asarray(theirs, np.float64)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    worst = float(((ours * theirs).sum(1) / lengths).min())
    off = float(np.abs(ours - theirs).max())
    row(what, "sentence-transformers", "cosine >= 0.99999", f"1 - {1 - worst:.1e}, numbers at most {off:.1e} off",
        ours.shape == theirs.shape and worst >= 0.99999 and off < 1e-4)


def minilm():
    from sentence_transformers import SentenceTransformer

    folder = os.path.join(models, "all-MiniLM-L6-v2")
    need(folder)
    pieces = [" ".join(p.split()) for p in sherlock().split("\n\n")]
    texts = [p for p in pieces if p][:1000]
    graft("import", "-q", folder, "-o", at("minilm.model"))
    peer = SentenceTransformer(folder, device="cpu")
    words = max(len(peer.tokenizer(t)["input_ids"]) for t in texts)
    compare_vectors(f"MiniLM, {len(texts)} texts of up to {words} tokens, cut at 256", vectors(at("minilm.model"), texts),
                    peer.encode(texts, show_progress_bar=False))
    compare_vectors("  the same, not normalised", vectors(at("minilm.model"), texts[:50], "--no-normalize", name="long"),
                    [peer.encode(t, output_value="token_embeddings", show_progress_bar=False).mean(0).numpy() for t in texts[:50]])
    saved = at("prompted")
    peer.prompts = {"query": "Represent this sentence for searching relevant passages: "}
    for module in peer:
        if hasattr(module, "include_prompt"):
            module.include_prompt = False
    peer.save(saved)
    graft("import", "-q", saved, "-o", at("prompted.model"))
    asked = [peer.prompts["query"] + t for t in texts[:50]]
    compare_vectors("  with a prompt that is not pooled", vectors(at("prompted.model"), asked, "--prompt", "query", name="asked"),
                    peer.encode(texts[:50], prompt_name="query", show_progress_bar=False))


# ---------------------------------------------------------------------- logits and perplexity

def smollm2_rows():
    """4,000 tokens of text in rows of 500: their ids."""
    import_smollm2()
    path = write("logits.txt", sherlock()[2000:22000])
    graft("tokenize", "-q", "-m", smollm2, "-f", "files", "--length", "500", path, "-o", at("all.tokens"))
    graft("head", "-q", "-n", "8", at("all.tokens"), "-o", at("logits.tokens"))
    return [ids.astype(np.int64) for ids in columns(at("logits.tokens"), "ids")[0]]


def logits():
    import torch

    rows = smollm2_rows()
    model, _ = transformers_smollm2()
    graft("logits", "-q", "-m", smollm2, at("logits.tokens"), "-o", at("smollm2.logits"))
    ours, = columns(at("smollm2.logits"), "logp")
    os.unlink(at("smollm2.logits"))
    worst, places, agree, count = 0.0, 0, 0, 0
    for ids, mine in zip(rows, ours, strict=True):
        with torch.inference_mode():
            theirs = model(input_ids=torch.tensor(ids)[None]).logits[0].double().log_softmax(-1).numpy()
        mine = mine.reshape(-1, theirs.shape[1])
        n = min(len(mine), len(theirs))
        worst = max(worst, float(np.abs(mine[:n] - theirs[:n]).max()))
        best = theirs[:n].argmax(1)
        # Where the two best are closer than the bar, either may come first.
        lead = theirs[np.arange(n), best] - theirs[np.arange(n), mine[:n].argmax(1)]
        agree += int((lead == 0).sum())
        places += int((lead < 2e-3).sum())
        count += n
    row(f"SmolLM2-135M, logits of {count} tokens", "transformers", "2e-3, same argmax", f"{worst:.1e}, {agree} of {count}",
        worst <= 2e-3 and places == count and count >= 3900)


def perplexity():
    import llama_cpp

    import_smollm2()
    length, text = 512, sherlock()[2000:22000]
    path = write("perplexity.txt", text)
    graft("tokenize", "-q", "-m", smollm2, "-f", "files", path, "-o", at("perplexity.tokens"))
    ours = json.loads(graft("eval", "-q", "--json", "-m", smollm2, "--window", "half", "--length", str(length), at("perplexity.tokens")))
    llama = llama_cpp.Llama(gguf, n_ctx=length, n_batch=length, n_ubatch=length, n_threads=2, n_threads_batch=2, logits_all=True,
                            verbose=False)
    # As llama.cpp's tools/perplexity has it; this file says that no bos is added.
    ids = llama.tokenize(text.encode(), add_bos=False, special=False)
    total, count = 0.0, 0
    for start in range(0, len(ids) - length + 1, length):
        chunk = ids[start:start + length]
        llama.reset()
        llama.eval(chunk)
        scores = np.asarray(llama.scores[:length], np.float64)
        for i in range(length // 2, length - 1):
            top = scores[i].max()
            total -= scores[i][chunk[i + 1]] - top - math.log(np.exp(scores[i] - top).sum())
            count += 1
    theirs = math.exp(total / count)
    off = ours["perplexity"] / theirs - 1
    row(f"SmolLM2-135M, perplexity by halves of {length}, {count} tokens", "llama.cpp", "within 0.5 %",
        f"{ours['perplexity']:.4f} and {theirs:.4f}: {100 * off:+.2f} %", abs(off) <= 0.005 and ours["tokens"] == count)


# ---------------------------------------------------------------------- lm-evaluation-harness

def hellaswag_records(n):
    path = os.path.join(data, "eval", "hellaswag_val_full.txt.bz2")
    need(path)
    with bz2.open(path, "rt", encoding="utf-8") as f:
        lines = [line.rstrip("\n") for _, line in zip(range(6 * n), f)]
    return [(lines[i], int(lines[i + 1]), lines[i + 2:i + 6]) for i in range(0, len(lines), 6)]


def score(name, records, *options):
    path = write_lines(name + ".jsonl", records)
    out = graft("score", "-q", "-m", smollm2, "--length", "1024", *options, path)
    return [json.loads(line) for line in out.splitlines()]


def harness():
    """The harness's own model around the weights of the GGUF file."""
    from lm_eval.models.huggingface import HFLM

    model, tokenizer = transformers_smollm2()
    return HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", max_length=1024, batch_size=4, device="cpu")


def ask(peer, kind, arguments):
    from lm_eval.api.instance import Instance

    requests = [Instance(request_type=kind, doc={}, arguments=a, idx=i) for i, a in enumerate(arguments)]
    return getattr(peer, kind)(requests, disable_tqdm=True)


def choices():
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer

    import_smollm2()
    peer = harness()
    items = hellaswag_records(int(os.environ.get("ITEMS", "40")))
    pairs = [(context, " " + ending) for context, _, endings in items for ending in endings]
    ours = score("hellaswag", [{"context": a, "continuation": b} for a, b in pairs])
    theirs = ask(peer, "loglikelihood", pairs)
    worst = max(abs(a["loglikelihood"] - b[0]) for a, b in zip(ours, theirs, strict=True))
    a = np.array([x["loglikelihood"] for x in ours]).reshape(-1, 4)
    b = np.array([x[0] for x in theirs]).reshape(-1, 4)
    chars = np.array([len(e) for _, _, endings in items for e in endings]).reshape(-1, 4)
    same = int(((a.argmax(1) == b.argmax(1)) & ((a / chars).argmax(1) == (b / chars).argmax(1))).sum())
    right = int((a / chars).argmax(1).tolist() == 0) if not items else int(sum((a / chars).argmax(1) == [g for _, g, _ in items]))
    row(f"HellaSwag, {len(items)} items, log-likelihoods", "lm-evaluation-harness", "1e-3, same choices",
        f"{worst:.1e}, {same} of {len(items)} ({right} right by acc_norm)", worst <= 1e-3 and same == len(items))

    path = os.path.join(data, "eval", "lambada_test.jsonl")
    need(path)
    with open(path, encoding="utf-8") as f:
        texts = [json.loads(line)["text"] for _, line in zip(range(30), f)]
    pairs = [(" ".join(t.split(" ")[:-1]), " " + t.split(" ")[-1]) for t in texts]
    ours = score("lambada", [{"context": a, "continuation": b} for a, b in pairs])
    theirs = ask(peer, "loglikelihood", pairs)
    worst = max(abs(a["loglikelihood"] - b[0]) for a, b in zip(ours, theirs, strict=True))
    same = sum(a["greedy"] == b[1] for a, b in zip(ours, theirs, strict=True))
    row(f"LAMBADA, {len(texts)} items, log-likelihoods", "lm-evaluation-harness", "1e-3, same greedy", f"{worst:.1e}, {same} of {len(texts)}",
        worst <= 1e-3 and same == len(texts))

    path = os.path.join(data, "text", "wikitext-2.test.txt")
    need(path)
    with open(path, encoding="utf-8") as f:
        page = re.split(r"\n = [^=].* = \n", f.read())[1][:9000]
    pages = [wikitext_detokenizer({"page": page}), wikitext_detokenizer({"page": page[:700]})]
    ours = score("wikitext", [{"text": p} for p in pages], "--rolling")
    theirs = ask(peer, "loglikelihood_rolling", [(p,) for p in pages])
    a, b = sum(x["loglikelihood"] for x in ours), sum(theirs)
    words = sum(len(re.split(r"\s+", p)) for p in pages)
    mine, other = math.exp(-a / sum(x["words"] for x in ours)), math.exp(-b / words)
    row(f"WikiText, {sum(x['tokens'] for x in ours)} tokens in windows of 1,024", "lm-evaluation-harness", "1e-3 of log-likelihood a token",
        f"{abs(a - b) / sum(x['tokens'] for x in ours):.1e}; word perplexity {mine:.4f} and {other:.4f}",
        abs(a - b) / sum(x["tokens"] for x in ours) <= 1e-3 and abs(mine / other - 1) < 1e-4)


# ---------------------------------------------------------------------- stories260K

def stories():
    folder = os.path.join(data, "models", "stories260K")
    need(folder)
    with open(os.path.join(folder, "stories260K.md"), encoding="utf-8") as f:
        blocks = re.findall(r"^```\n\$ \./run [^\n]*\n(.*?)\n```", f.read(), re.S | re.M)
    graft("import", "-q", os.path.join(folder, "tok512.bin"), "-o", at("stories.tok"))
    graft("import", "-q", "-t", at("stories.tok"), os.path.join(folder, "stories260K.bin"), "-o", at("stories.model"))
    # The published run draws 256 tokens, the first of which is the one that begins a text.
    said = graft("generate", "-q", "-m", at("stories.model"), "-T", "0", "-n", "256", "-p", "").decode().rstrip("\n").lstrip(" ")
    n = len(os.path.commonprefix([said, blocks[0]]))
    row("stories260K, the likeliest text", "as published (llama2.c)", "the same", f"{n} of {len(blocks[0])} characters",
        n >= len(blocks[0]))
    write("stories.txt", "".join(b.replace("\n", " ") + "\n" for b in blocks))
    graft("tokenize", "-q", "-m", at("stories.model"), "-f", "lines", at("stories.txt"), "-o", at("stories.tokens"))
    loss = json.loads(graft("eval", "-q", "--json", "-m", at("stories.model"), "--bootstrap", "0", at("stories.tokens")))["loss"]
    row("  loss on the two published stories", "1.2968 on TinyStories", "(reported)", f"{loss:.4f}", math.isfinite(loss))


# ---------------------------------------------------------------------- tokenizers

def encoded(tokenizer, name):
    graft("import", "-q", tokenizer, "-o", at(name + ".tok"))
    graft("tokenize", "-q", "-t", at(name + ".tok"), "-f", "files", at("mixed.txt"), "-o", at(name + ".tokens"))
    return columns(at(name + ".tokens"), "ids")[0][0].tolist()


def tokenizers():
    text = subprocess.run([os.path.join(here, "..", "bench", "text", "mixed.sh"), "2000000"], check=True, stdout=subprocess.PIPE).stdout
    text = text.decode("utf-8", "ignore").replace("\0", "")
    write("mixed.txt", text)
    folder = os.path.join(data, "tokenizers")
    peers = []

    def compare(name, against, ours, theirs):
        same = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
        row(f"ids of 2 MB of scripts and code, {name}", against, "the same", f"{same} of {len(theirs)}", ours == theirs)
        peers.append(name)

    need(folder)
    import base64

    import sentencepiece
    import tiktoken
    import tokenizers as hf

    for name, pattern in (("r50k", r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""),
                          ("cl100k", r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""")):
        path = os.path.join(folder, "tiktoken", name + "_base.tiktoken")
        need(path)
        with open(path, "rb") as f:
            ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in f if line.strip())}
        peer = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        compare(name, "tiktoken", encoded(path, name)[1:-1], peer.encode_ordinary(text))
    path = os.path.join(folder, "bert-base-uncased", "tokenizer.json")
    need(path)
    peer = hf.Tokenizer.from_file(path)
    peer.no_truncation()
    peer.no_padding()
    peer.encode_special_tokens = True # spelled out in a text they are text
    compare("bert-base-uncased", "tokenizers", encoded(path, "bert"), peer.encode(text).ids)
    path = os.path.join(folder, "sentencepiece", "llama2.model")
    need(path)
    peer = sentencepiece.SentencePieceProcessor(model_file=path)
    compare("llama2.model", "sentencepiece", encoded(path, "llama2")[1:-1], peer.encode(text))


try:
    {f.__name__: f for f in (minilm, logits, perplexity, choices, stories, tokenizers)}[part]()
except Skip as e:
    print(f"{part}: skipped: {e}", file=sys.stderr)
except ModuleNotFoundError as e:
    print(f"{part}: skipped: no module {e.name} in this environment", file=sys.stderr)
