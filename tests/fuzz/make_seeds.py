#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_seeds.py: writes the first inputs of every fuzz target to corpus/TARGET/seed-*. Findings and what a fuzzer grew stand
beside them under other names and stay. Needs the packages of ../interop/graft_stream.py, numpy and gguf, and graft on PATH.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))
import msgpack  # noqa: E402
import numpy as np  # noqa: E402
import zstandard  # noqa: E402

GOLDEN = os.path.join(ROOT, "tests", "golden")
KINDS = ["tokenizer", "tokens", "model", "adapter", "head", "features", "logits", "checkpoint"]


def seed(target, name, data):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "seed-" + name), "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def frames(data):
    """The decompressed zstd frames of a stream."""
    at, out = 0, []
    while at < len(data):
        magic, size = struct.unpack_from("<II", data, at)
        if magic & 0xFFFFFFF0 == 0x184D2A50:
            at += 8 + size
            continue
        d = zstandard.ZstdDecompressor().decompressobj()
        out.append(d.decompress(data[at:]))
        at = len(data) - len(d.unused_data)
    return out


def labelled():
    """A stream with a label of each kind."""
    kinds = (("class", "I32", []), ("classes", "I32", [-1]), ("number", "F32", []), ("tokens", "I32", [-1]))
    labels = [{"name": k, "kind": k, "classes": ["a", "b"]} for k, _, _ in kinds]
    del labels[2]["classes"]
    begin = {"graft": 1, "kind": "features", "columns": [{"name": "label." + k, "dtype": d, "shape": s} for k, d, s in kinds],
             "tensors": [], "meta": {"labels": labels}}
    lines = [{"begin": begin},
             {"row": {"label.class": 1, "label.classes": [0, 1], "label.number": "0x1p-1", "label.tokens": [-1, 0]}},
             {"row": {"label.class": -1, "label.classes": [], "label.number": "nan:400000", "label.tokens": []}},
             {"end": {}}]
    text = "\n".join(json.dumps(line) for line in lines)
    return subprocess.run(["graft", "undump", "--edited"], input=text.encode(), capture_output=True, check=True).stdout


def streams():
    for kind in KINDS:
        data = read(os.path.join(GOLDEN, kind + ".stream"))
        if kind in ("tokens", "model", "features"):
            seed("stream", kind, data)
        parts = frames(data)
        seed("records", kind, b"".join(struct.pack("<H", len(p)) + p for p in parts))
        if kind in ("tokens", "model", "logits"):
            seed("undump", kind, b"\0" + read(os.path.join(GOLDEN, kind + ".jsonl")))
        seed("msgpack", kind + "-begin", parts[0])
        seed("msgpack", kind + "-end", parts[-1])
    seed("records", "labels", b"".join(struct.pack("<H", len(p)) + p for p in frames(labelled())))
    two = read(os.path.join(GOLDEN, "features.stream"))
    seed("stream", "joined", two + two)
    # Threads, spooled, frames before it begins anew; bytes that come at once.
    for name, way, piece, data in (("threads", 2 + 8 * 3, 100, two), ("spooled", 1 + 4 + 8, 0, two), ("alone", 0, 700, two + two),
                                   ("joined", 3, 1461, two + two), ("cut", 2 + 8 * 7, 50, two[:1000]),
                                   ("flipped", 1, 300, two[:900] + bytes([two[900] ^ 4]) + two[901:])):
        seed("intake", name, struct.pack("<BH", way, piece) + data)


def values():
    seed("msgpack", "all", pack({"nil": None, "t": True, "f": False, "u": 2**63, "i": -2**63, "s": 1, "m": -33,
                                 "r": 0.1, "nan": float("nan"), "str": "na\u00efve" * 20, "bin": bytes(range(256)),
                                 "list": list(range(20)), "map": {"$bin": "00", "k": {"$x": []}}}))
    seed("msgpack", "deep", b"\x91" * 16 + b"\xc0")
    seed("msgpack", "float32", b"\xca\x3f\x80\0\0")


def tensor(name, dtype, shape, data):
    return bytes([name, dtype, len(shape)]) + b"".join(struct.pack("<H", n) for n in shape) + data


def tokenizer(name, meta, tokens, flags, merges, text, extra=()):
    meta = pack({"tokenizer": meta})
    start, whole = [0], b""
    for t in tokens:
        whole += t
        start.append(len(whole))
    tensors = [tensor(0, 0, [len(whole)], whole),
               tensor(1, 1, [len(start)], struct.pack("<%dQ" % len(start), *start)),
               tensor(2, 0, [len(tokens)], bytes(flags))]
    if merges:
        flat = [i for m in merges for i in m]
        tensors.append(tensor(3, 2, [len(merges), 2], struct.pack("<%dI" % len(flat), *flat)))
    tensors += extra
    seed("tokenizer", name,
         struct.pack("<H", len(meta)) + meta + bytes([len(tensors)]) + b"".join(tensors) + text.encode())


def tokenizers():
    op = lambda name, **more: {"op": name, **more}  # noqa: E731
    letters = [bytes([b]) for b in range(256)]
    merges = [(2 + ord("t"), 2 + ord("h")), (258, 2 + ord("e")), (2 + ord(" "), 259)]
    for cut in ("gpt2", "cl100k", "llama3", "o200k"):
        tokenizer("bpe-" + cut,
                  {"normalizer": [op("nfc")] if cut == "gpt2" else [], "pretokenizer": [op(cut)],
                   "model": op("bpe", byte_level=True), "postprocessor": [], "decoder": [op("bytes")],
                   "special": {"eos": 0, "mask": 1}},
                  [b"<e>", b"<m>"] + letters + [b"th", b"the", b" the"], [3, 3] + [0] * 259, merges,
                  "the <e> then the 123 na\u00efve<m> it's")
    tokenizer("regex",
              {"normalizer": [], "pretokenizer": [op("regex", pattern=r"\p{L}+|\s+|.")],
               "model": op("bpe", byte_level=True, ignore_merges=True), "postprocessor": [], "decoder": [op("bytes")],
               "special": {}},
              [b"<e>", b"<m>"] + letters + [b"th", b"the", b" the"], [3, 3] + [0] * 259, merges, "the then")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s", "##ing", "th", "s", "i", "##t", "##i", "un", "##able",
             "!", ",", "\u65e5"] + list("abcdefgh") + ["##" + c for c in "abcdefgh"]
    tokenizer("wordpiece",
              {"normalizer": [op("clean_text"), op("chinese_chars"), op("strip_accents"), op("lowercase")],
               "pretokenizer": [op("bert")], "model": op("wordpiece"),
               "postprocessor": [op("template", before=["cls"], after=["sep"])],
               "decoder": [op("wordpiece")],
               "special": {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}},
              [w.encode() for w in words], [3] * 5 + [0] * (len(words) - 5), [],
              "The things, un\u00e0ble [MASK] \u65e5\u672c!")
    all_forms = {"normalizer": [op(n) for n in ("nfd", "nfkc", "nfkd", "nfc", "lowercase")], "pretokenizer": [op("bert")],
                 "model": op("wordpiece", prefix="++", max_chars=7),
                 "postprocessor": [op("template", before=["bos"], after=["eos", "pad"])],
                 "decoder": [op("wordpiece", prefix="++", cleanup=False)], "special": {"bos": 0, "eos": 0, "pad": 0, "unk": 0}}
    few = [b"?", b"a", b"++b"]
    tokenizer("forms", all_forms, few, [1, 0, 0], [], "ab b a?")
    none = {"normalizer": [], "pretokenizer": [], "model": op("bpe", byte_level=True), "postprocessor": [], "decoder": [],
            "special": {}}
    template = lambda before, after=(): op("template", before=before, after=after)  # noqa: E731
    # Each part in turn is what it must not be.
    faults = [("normalizer", {}), ("normalizer", [1]), ("normalizer", [{}]), ("normalizer", [op("nfc", form=1)]),
              ("normalizer", [op("x")]), ("pretokenizer", [op("regex", pattern=1)]), ("pretokenizer", [op("regex")]),
              ("model", []), ("model", op("bpe")), ("model", op("bpe", byte_level=1)), ("model", op("bpe", byte_level=False)),
              ("model", op("wordpiece", max_chars=-1)), ("model", op("wordpiece")), ("postprocessor", [template(1)]), ("postprocessor", [template([1])]),
              ("postprocessor", [template(["cls"])]), ("postprocessor", [template([]), template([])]),
              ("special", []), ("special", {"king": 1}), ("special", {"bos": 7}), ("more", []), ("decoder", None)]
    for i, (key, value) in enumerate(faults):
        meta = {**none, key: value}
        if value is None:
            del meta[key]
        tokenizer("fault-%d" % i, meta, few, [0, 0, 0], [], "a")
    tokenizer("scores", none, few, [0, 0, 0], [], "a", [tensor(4, 3, [3], struct.pack("<3f", 0, 1, 2))])
    tokenizer("scores-infinite", none, few, [0, 0, 0], [], "a", [tensor(4, 3, [3], struct.pack("<3f", 0, float("inf"), 2))])
    tokenizer("scores-two", none, few, [0, 0, 0], [], "a", [tensor(4, 3, [2], struct.pack("<2f", 0, 1))])
    tokenizer("merge-of-nothing", none, few, [0, 0, 0], [(1, 3)], "a")
    tokenizer("merge-of-words", all_forms, few, [0, 0, 0], [(1, 2)], "a")
    tokenizer("merges-flat", none, few, [0, 0, 0], [], "a", [tensor(3, 2, [2], struct.pack("<2I", 0, 1))])
    tokenizer("flags-lacking", none, few, [0, 0], [], "a")
    for name, start in (("first", [1, 1, 2, 5]), ("falls", [0, 3, 2, 5]), ("ends", [0, 1, 2, 4])):
        tables = [tensor(0, 0, [5], b"?a++b"), tensor(1, 1, [4], struct.pack("<4Q", *start)), tensor(2, 0, [3], bytes(3))]
        meta = pack({"tokenizer": none})
        seed("tokenizer", "start-" + name, struct.pack("<H", len(meta)) + meta + b"\3" + b"".join(tables))
    meta = pack({"tokenizer": none})
    seed("tokenizer", "no-tables", struct.pack("<H", len(meta)) + meta + b"\0")
    meta = pack({"token": none})
    seed("tokenizer", "no-tokenizer", struct.pack("<H", len(meta)) + meta + b"\0")


def texts():
    samples = {"english": "It's the DON'T we'll  end.\n\n  they're\t 1234567 \r\n",
               "scripts": "\u65e5\u672c\u8a9e \u0420\u0443\u0441\u0441\u043a\u0438\u0439 \u00e9\u0301 \u0e44\u0e17\u0e22 \U0001f600\u200d\U0001f469 \u01c5 \u2167",
               "code": "def f(x):\n    return {'a': [1, 2.5e-3]}  # ...\n\n\n",
               "spaces": " \u00a0\u2003\u3000 \u180e\u200b \u0085 x  \n \n y   "}
    for i, (name, text) in enumerate(samples.items()):
        for which in range(4):
            seed("tokenize", "%s-%d" % (name, which), bytes([which + 4 * i]) + text.encode())
    seed("tokenize", "faults", b"\x05ab\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80 it's")
    seed("tokenize", "run", b"\x02" + b"a" * 300)


def configurations():
    for arch in ("gpt2", "llama", "bert"):
        text = json.dumps({"arch": arch, "layers": 2, "width": 64, "heads": 4, "context": 64, "vocab": 300})
        seed("config", arch, b"\0" + text.encode())
    seed("config", "rope", b"\0" + json.dumps({"arch": "llama", "layers": 1, "width": 32, "heads": 4, "kv_heads": 2, "mlp": 96,
                                               "context": 32, "vocab": 300, "rope_theta": 5e5, "rope_dims": 4,
                                               "window": 8, "tied": False, "norm_eps": 1e-6}).encode())
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "m")
        for arch in ("gpt2", "llama", "bert"):
            subprocess.run(["graft", "init", "-q", "--arch", arch, "--layers", "1", "--width", "8", "--heads", "2",
                            "--context", "8", "--vocab", "300", "-o", model], check=True)
            begin = msgpack.unpackb(frames(read(model))[0], raw=False)
            seed("config", arch + "-map", b"\1" + pack(begin["begin"]["meta"]["config"]))


def documents():
    form = {"lines": 0, "paragraphs": 1, "files": 2, "jsonl": 3, "csv": 4, "tsv": 5}
    header, replace, keep = 6, 12, 24
    seed("documents", "lines", bytes([form["lines"]]) + "one\r\ntwo \u00e9\n\nlast".encode())
    seed("documents", "replaced", bytes([form["lines"] + replace]) + b"a\xff\xfe\nb\xe2\x82\n")
    seed("documents", "paragraphs", bytes([form["paragraphs"]]) + b"a\nb\n\n \n\nc\n")
    seed("documents", "files", bytes([form["files"]]) + b"all of it\n")
    seed("documents", "jsonl", bytes([form["jsonl"] + header + keep]) +
         b'{"text": "a\\u00e9\\ud83d\\ude00", "n": 1.5, "x": [null, true]}\n{"x": {}, "text": ""}\n')
    seed("documents", "csv", bytes([form["csv"] + header + keep]) + b'id,text\r\n1,"a ""b"", \n c"\n2,d\n')
    seed("documents", "csv-plain", bytes([form["csv"]]) + b'a,b\n"",c\n')
    seed("documents", "tsv", bytes([form["tsv"] + header]) + b'text\tid\na b\t"\n')
    fields, words, conll = 96, 192, 1
    seed("documents", "labels-jsonl", bytes([form["jsonl"] + header + fields]) +
         b'{"text": "a", "b": ["x", 1.50 , null, true]}\n{"b": -2e3 , "text": ""}\n{"text": "c"}\n')
    seed("documents", "labels-csv", bytes([form["csv"] + header + fields]) + b'b,text\n"x; y",a\n,b\n')
    seed("documents", "words-jsonl", bytes([words]) + b'{"text": ["a", "\\u00e9b"], "b": ["O", "X"]}\n')
    seed("documents", "words-conll", bytes([words + conll]) +
         "-DOCSTART- -X- O\n\nThe DT O\nl\u00e4mp NN B\n\n\nRiver NN O\n".encode())
    row = "%s\t%s\t_\tX\t_\t_\t_\t_\t_\t_\n"
    seed("documents", "words-conllu", bytes([words + conll]) +
         ("# sent_id = 1\n" + row % ("1-2", "ab") + row % ("1", "a") + row % ("1.1", "x") + row % ("2", "b")).encode())


def tensor_files():
    for reader, name in enumerate(("tensors.safetensors", "tensors.gguf", "tensors.npy", "tensors.npz", "llama2c.bin")):
        seed("tensor_file", name, bytes([reader]) + read(os.path.join(GOLDEN, name)))


def chats():
    """Templates of models, and what shows the constructs they lack; two with a conversation of their own."""
    folder = os.path.join(ROOT, "tests", "parity", "chat_templates")
    for name in sorted(os.listdir(folder)):
        seed("chat", name.replace(".jinja", ""), read(os.path.join(folder, name)))
    with open(os.path.join(ROOT, "tests", "parity", "chat_cases.json"), encoding="utf-8") as f:
        cases = json.load(f)
    texts = [s["template"] for s in cases["snippets"] if s["text"] is not None]
    for i in range(0, len(texts), 8):
        seed("chat", "constructs-%d" % (i // 8), "\n".join(texts[i:i + 8]).encode())
    for name in ("chatml", "llama2"):
        seed("chat", name + "-turns", read(os.path.join(folder, name + ".jinja")) + b"\0" +
             json.dumps(cases["conversations"]["turns"]).encode())
    seed("chat", "deep", b"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")


def tokenizer_files():
    """tokenizer.json of each family's shape, and SentencePiece models, all with a handful of tokens."""
    mark = "\u2581"
    letters = [mark] + list("abcdefghijklmnopqrstuvwxyz.,")
    added = [{"id": 0, "content": "<unk>", "special": True}, {"id": 1, "content": "<s>", "special": True, "rstrip": True},
             {"id": 2, "content": "of", "normalized": True, "single_word": True, "lstrip": True}]
    words = [t["content"] for t in added] + letters + [mark + "t", "he", mark + "the"]
    ids = {w: i for i, w in enumerate(words)}
    merges = [[mark, "t"], ["h", "e"], [mark + "t", "he"]]
    spaces = {"type": "Metaspace", "replacement": mark, "prepend_scheme": "first", "split": False}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                "special_tokens": {"<s>": {"ids": [1]}}}
    llama = {"added_tokens": added, "normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": mark}, {"type": "Replace", "pattern": {"String": " "}, "content": mark}]},
        "post_processor": template, "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": mark}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "vocab": ids, "merges": merges}}
    unigram = {"added_tokens": added[:2], "normalizer": {"type": "NFKC"}, "pre_tokenizer": spaces, "decoder": spaces,
               "model": {"type": "Unigram", "unk_id": 0, "vocab": [[w, -float(i)] for i, w in enumerate(words)]}}
    gpt = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "MergedWithNext"},
        {"type": "Split", "pattern": {"Regex": "\\s+|[a-c]+"}, "behavior": "Removed", "invert": True},
        {"type": "ByteLevel", "add_prefix_space": False}]}, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\u0120": 3}, "merges": ["a b"]}}
    bert = {"normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "the": 1, "##y": 2}}}
    for name, value in [("llama", llama), ("unigram", unigram), ("gpt", gpt), ("bert", bert)]:
        seed("tokenizer_json", name, json.dumps(value).encode())
    seed("tokenizer_json", "deep", b"[" * 3000)

    def field(number, value):
        if isinstance(value, float):
            return bytes([number << 3 | 5]) + struct.pack("<f", value)
        key = number << 3 | (0 if isinstance(value, int) else 2)
        out = bytes([key & 127 | 128, key >> 7]) if key > 127 else bytes([key])
        body = bytes([value]) if isinstance(value, int) else value
        if not isinstance(value, int):
            out += bytes([len(body) & 127 | 128, len(body) >> 7])
        return out + body

    trie = struct.pack("<I", 1024) + bytes(1024) + b"a\0"
    for kind in (1, 2):
        model = b"".join(field(1, field(1, w.encode()) + field(2, -float(i)) + (field(3, 2) if i == 0 else b""))
                         for i, w in enumerate(words) if w != "of")
        model += field(2, field(3, kind) + field(40, 0)) + field(3, field(3, 1) + field(4, kind - 1) + field(2, trie))
        seed("sentencepiece", "model-%d" % kind, model)
    seed("sentencepiece", "cut", model[:-30])

    pieces = ["<unk>", "\n<s>\n", "\n</s>\n"] + ["<0x%02X>" % i for i in range(256)] + [" ", "a", "b", " a", "ab", " ab"]
    llama2c = struct.pack("<i", 7) + b"".join(struct.pack("<fi", -float(i), len(p)) + p.encode() for i, p in enumerate(pieces))
    seed("llama2c_tokenizer", "pieces", llama2c)
    seed("llama2c_tokenizer", "cut", llama2c[:-3])


FOLDER = ["config.json", "model.safetensors", "model.safetensors.index.json", "a", "b", "tokenizer.json", "modules.json",
          "sub/config.json", "sentence_bert_config.json", "README.md", "tokenizer_config.json",
          "config_sentence_transformers.json", "vocab.txt"]


def header(path):
    data = read(path)
    return data[8:8 + struct.unpack("<Q", data[:8])[0]].rstrip()


def folder_seed(name, files):
    seed("folder", name, b"".join(struct.pack("<BH", FOLDER.index(f), len(data)) + data for f, data in files.items()))


def folders():
    """Of transformers: tiny models of the families, their weights zeros; one of sentence-transformers; one in shards."""
    compact = lambda text: json.dumps(json.loads(text), separators=(",", ":")).encode()  # noqa: E731
    families = os.path.join(ROOT, "tests", "parity", "families")
    of = {}
    for name in ("bert-body", "distilbert", "gemma2", "gpt2", "gpt_neox", "llama-llama3", "llama-yarn", "phi3-longrope",
                 "qwen2-window", "qwen3", "xlm-roberta"):
        of[name] = {"config.json": compact(read(os.path.join(families, name, "config.json"))),
                    "model.safetensors": header(os.path.join(families, name, "model.safetensors"))}
        folder_seed(name, of[name])
    module = "sentence_transformers.models."
    folder_seed("sentences", {
        **of["bert-body"],
        "modules.json": compact(json.dumps([{"type": module + t, "path": p} for t, p in (
            ("Transformer", ""), ("Pooling", "sub"), ("Normalize", "2"))])),
        "sub/config.json": b'{"word_embedding_dimension":24,"pooling_mode_mean_tokens":true}',
        "sentence_bert_config.json": b'{"max_seq_length":32,"do_lower_case":false}',
        "config_sentence_transformers.json": b'{"prompts":{"query":"query: "},"similarity_fn_name":"cosine"}',
        "tokenizer.json": b'{"model":{"type":"WordPiece","unk_token":"?","vocab":{"?":0,"a":1}},"normalizer":{"type":'
                          b'"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"}}',
        "tokenizer_config.json": b'{"unk_token":"?","chat_template":"{{ messages }}"}',
        "README.md": b"---\nlicense: mit\n---\n"})
    llama = of["llama-llama3"]
    table = json.loads(llama["model.safetensors"])
    table.pop("__metadata__", None)
    shards, index, ends = {"a": {}, "b": {}}, {}, {"a": 0, "b": 0}
    for i, (name, t) in enumerate(sorted(table.items())):
        shard = "ab"[i % 2]
        size = t["data_offsets"][1] - t["data_offsets"][0]
        shards[shard][name] = {**t, "data_offsets": [ends[shard], ends[shard] + size]}
        ends[shard] += size
        index[name] = shard
    parts = {"model.safetensors.index.json": {"metadata": {"total_size": sum(ends.values())}, "weight_map": index},
             "a": shards["a"], "b": shards["b"]}
    parts = {name: compact(json.dumps(value)) for name, value in parts.items()}
    folder_seed("shards", {"config.json": llama["config.json"], **parts})
    small = [parts["model.safetensors.index.json"], parts["a"], parts["b"]]
    seed("shards", "llama", b"".join(struct.pack("<H", len(p)) + p for p in small))
    one = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    for name, file in (("one", b"a"), ("outside", b"../a"), ("missing", b"d")):
        index = b'{"metadata":{},"weight_map":{"w":"%s"}}' % file
        seed("shards", name, struct.pack("<H", len(index)) + index + struct.pack("<H", len(one)) + one)


def gguf_models():
    """Keys and tensors of GGUF files, whose weights are zeros."""
    import gguf
    whole = os.path.join(ROOT, "tests", "parity", "gguf", "llama.gguf")
    reader = gguf.GGUFReader(whole)
    size = os.path.getsize(whole) - reader.data_offset
    seed("gguf_model", "llama", struct.pack("<I", size)[:3] + read(whole)[:reader.data_offset])
    vectors = ("blk.0.attn_norm.bias", "blk.0.attn_norm.weight", "blk.0.ffn_norm.bias", "blk.0.ffn_norm.weight",
               "output_norm.bias", "output_norm.weight")
    products = {"blk.0.attn_qkv": (24, 8), "blk.0.attn_output": (8, 8), "blk.0.ffn_up": (16, 8), "blk.0.ffn_down": (8, 16)}
    families = {
        "gpt2": {**{n: (8,) for n in vectors}, "position_embd.weight": (6, 8), "token_embd.weight": (5, 8),
                 **{n + ".weight": s for n, s in products.items()}, **{n + ".bias": s[:1] for n, s in products.items()}},
        "gptneox": {**{n: (8,) for n in vectors}, "token_embd.weight": (5, 8), "output.weight": (5, 8),
                    **{n + ".weight": s for n, s in products.items()}, **{n + ".bias": s[:1] for n, s in products.items()}},
        "gemma2": {**{n: (8,) for n in vectors + ("blk.0.post_attention_norm.weight", "blk.0.post_ffw_norm.weight")
                      if n.endswith("weight")}, "token_embd.weight": (5, 8), "blk.0.attn_q.weight": (8, 8),
                   "blk.0.attn_k.weight": (4, 8), "blk.0.attn_v.weight": (4, 8), "blk.0.attn_output.weight": (8, 8),
                   "blk.0.ffn_gate.weight": (16, 8), "blk.0.ffn_up.weight": (16, 8), "blk.0.ffn_down.weight": (8, 16)},
        "bert": {**{n + s: (8,) for n in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm")
                    for s in (".weight", ".bias")}, "token_embd.weight": (5, 8), "position_embd.weight": (6, 8),
                 "token_types.weight": (2, 8),
                 **{f"blk.0.{n}.weight": s for n, s in (("attn_q", (8, 8)), ("attn_k", (8, 8)), ("attn_v", (8, 8)),
                                                        ("attn_output", (8, 8)), ("ffn_up", (16, 8)), ("ffn_down", (8, 16)))},
                 **{f"blk.0.{n}.bias": (s,) for n, s in (("attn_q", 8), ("attn_k", 8), ("attn_v", 8), ("attn_output", 8),
                                                         ("ffn_up", 16), ("ffn_down", 8))}}}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.gguf")
        for arch, tensors in families.items():
            w = gguf.GGUFWriter(path, arch)
            w.add_license("mit")
            w.add_context_length(6)
            w.add_embedding_length(8)
            w.add_block_count(1)
            w.add_feed_forward_length(16)
            w.add_head_count(2)
            if arch == "gemma2":
                w.add_head_count_kv(1)
                w.add_layer_norm_rms_eps(1e-6)
                w.add_attn_logit_softcapping(50.0)
                w.add_final_logit_softcapping(30.0)
                w.add_sliding_window(4)
                w.add_key_length(4)
                w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
                w.add_rope_scaling_factor(4.0)
                w.add_rope_scaling_orig_ctx_len(3)
            else:
                w.add_layer_norm_eps(1e-5)
            if arch == "gptneox":
                w.add_parallel_residual(True)
                w.add_rope_dimension_count(2)
            if arch == "bert":
                w.add_causal_attention(False)
                w.add_pooling_type(gguf.PoolingType.MEAN)
            for name, shape in tensors.items():
                w.add_tensor(name, np.zeros(shape, "f2" if len(shape) > 1 else "f4"))
            w.write_header_to_file()
            w.write_kv_data_to_file()
            w.write_tensors_to_file()
            w.close()
            reader = gguf.GGUFReader(path)
            size = os.path.getsize(path) - reader.data_offset
            seed("gguf_model", arch, struct.pack("<I", size)[:3] + read(path)[:reader.data_offset])


def main():
    corpus = os.path.join(HERE, "corpus")
    for folder, _, names in os.walk(corpus):
        for name in names:
            if name.startswith("seed-"):
                os.remove(os.path.join(folder, name))
    for make in (streams, values, tokenizers, texts, configurations, documents, tensor_files, chats, tokenizer_files, folders,
                 gguf_models):
        make()


if __name__ == "__main__":
    if not shutil.which("graft"):
        sys.exit("make_seeds.py: graft is not on PATH")
    main()
