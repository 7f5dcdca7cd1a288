#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tokenizer_cases.json: what regex, tokenizers and tiktoken make of texts chosen to be difficult.

    python tests/parity/make_tokenizer_cases.py bert-base-uncased/tokenizer.json > tests/parity/tokenizer_cases.json

Needs regex, tokenizers and tiktoken; the suite itself reads the JSON only (tests/unit/test_tokenizer.c).
  pieces      per pre-tokeniser: the pieces of each text
  normalizers per list of operations: the normal form of each text
  bpe         a small byte-level BPE (merges as pairs of bytes in hex; ids are tiktoken ranks), ids of each text
  wordpiece   a small vocabulary, ids and ends (in characters) of each text, uncased and cased
  bert-base-uncased  ids of each text with that vocabulary
Characters are such that Unicode 14 and later agree about them.
"""
import json
import random
import sys
import unicodedata

import regex
import tiktoken
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

PATTERNS = {
    "gpt2": r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
    "cl100k": r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"""
              r"""|\s+(?!\S)|\s""",
    "llama3": r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"""
              r"""|\s+(?!\S)|\s+""",
    "o200k": "|".join([
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""\p{N}{1,3}""", r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""", r"""\s*[\r\n]+""", r"""\s+(?!\S)""", r"""\s+"""]),
}
POOL = ["'s", "'S", "'\u017f", "'ll", "'LL", "'re", "'Ve", "'d", "'x", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u180e",
        "\u200b", "\u2028", "\x85", "a", "Z", "\u00e9", "e\u0301", "\u00df", "\u0130", "\u4e2d", "\u6587", "\ud55c", "\u05d0",
        "\u06f3", "\u00bd", "\u2167", "1", "23", "4567", "!", "...", "_", "\U0001f642", "\u0301", "the", " quick", " brown", "'",
        "\u2019s", "-", "\x00", "\x0b", "\x1f", "/", "#", "\ufffd", "\ufb01", "\u1e9b\u0323", "\uff21", "\u1100\u1161\u11a8"]
ENGLISH = ("The old lamp holds the small river. It's what they've found; we'll see 1,234 of them in 1999!\n"
           "Don't touch the bright bridge, she said -- or you'd regret it.\n\n  Naïve café owners can't agree.\r\n")


def texts():
    out = ["", " ", "a", " a", "  a", "a ", "a  ", "a\n  ", "\n", "\n\n a", "x" * 40, "ab" * 40, " " * 33, "12345678", ENGLISH,
           "Привет, мир! Как дела?", "こんにちは、世界！お元気ですか？", "안녕하세요, 세상!", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก",
           "don't DON'T don\u2019t 'tis 's's 'S", "http://example.org/a?b=c&d=%20#x", "if (x <= 0x1F) { return -1; }\n\treturn 0;",
           "x\u0378y\ue000\u200bz", "ÀÉÎõü ÅÄÖ Ω Ⅷ ½ ² ﬁ İstanbul", "中文字符mixed英文words", "a\u0301e\u0301 \u0344 \u1e9b\u0323", "\u00a0\u00a0x\u2003y", "!?!?\r\n\r\nz"]
    random.seed(7)
    known = [chr(c) for c in range(0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    for _ in range(60):
        out.append("".join(random.choice(POOL) for _ in range(random.randint(1, 24))))
    for _ in range(40):
        out.append("".join(random.choice(known) + random.choice(["", "", " ", "a"]) for _ in range(random.randint(1, 16))))
    return out


def byte_map():
    order = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    order += [b for b in range(256) if b not in order]
    shown = [chr(b) if i < 188 else chr(256 + i - 188) for i, b in enumerate(order)]
    return dict(zip(shown, order))


def small_bpe(samples):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(samples, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    back = byte_map()
    pairs = [[bytes(back[c] for c in side) for side in pair] for pair in merges]
    ranks = {bytes([b]): b for b in range(256)}
    for left, right in pairs:
        ranks[left + right] = len(ranks)
    return pairs, ranks


def wordpiece(samples, lowercase):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "old", "lamp", "##s", "##ing", "hold", "small", "don", "t", "'",
             "It", "it", "is", "caf", "##e", "##é", "na", "##ive", "##ï", "##ve", ",", ".", "!", "?", "中", "文", "字", "a", "b",
             "##a", "##b", "1", "##2", "##3", "1999", "x", "##x", "e", "é", "istanbul", "i", "-", "_", "#", "/"]
    tokenizer = Tokenizer(models.WordPiece(vocab={w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    encoded = [tokenizer.encode(t) for t in samples]
    return {"vocab": words, "lowercase": lowercase, "ids": [e.ids for e in encoded],
            "ends": [[end for _, end in e.offsets] for e in encoded]}


def main():
    samples = texts()
    for name in PATTERNS:
        for text in samples:
            assert "".join(regex.findall(PATTERNS[name], text)) == text
    bert = Tokenizer.from_file(sys.argv[1])
    bert.no_truncation()
    pairs, ranks = small_bpe([ENGLISH] + samples)
    encoding = tiktoken.Encoding("small", pat_str=PATTERNS["gpt2"], mergeable_ranks=ranks, special_tokens={})
    forms = {"nfc": normalizers.NFC(), "nfd": normalizers.NFD(), "nfkc": normalizers.NFKC(), "nfkd": normalizers.NFKD(),
             "lowercase": normalizers.Lowercase(),
             "clean_text chinese_chars strip_accents lowercase": normalizers.BertNormalizer()}
    cases = {
        "texts": samples,
        "pieces": {name: [regex.findall(pattern, text) for text in samples] for name, pattern in PATTERNS.items()},
        "normalizers": {name: [form.normalize_str(text) for text in samples] for name, form in forms.items()},
        "bpe": {"merges": [[side.hex() for side in pair] for pair in pairs],
                "ids": [encoding.encode_ordinary(text) for text in samples]},
        "wordpiece": [wordpiece(samples, True), wordpiece(samples, False)],
        "bert-base-uncased": [bert.encode(text, add_special_tokens=False).ids for text in samples],
    }
    print(json.dumps(cases, ensure_ascii=True, separators=(",", ":")))


main()
