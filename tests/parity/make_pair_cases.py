#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes pair_cases.json: ids and token types that tokenizers gives pairs of texts, with BERT's template, whole and
shortened ("longest_first").

    python tests/parity/make_pair_cases.py > tests/parity/pair_cases.json

Needs tokenizers and transformers, whose BertTokenizer is asked the same and must agree; the suite itself reads the
JSON only (tests/unit/test_tokenizer.c).
"""
import json

import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "old", "lamp", "##s", "##ing", "hold", "small", "don", "t", "'",
         "it", "is", "caf", "##e", "na", "##ive", ",", ".", "!", "?", "a", "b", "##a", "##b", "1", "##2", "##3", "x", "##x"]
TEXTS = ["", "a", "The old lamps hold.", "It isn't the café, is it?", "a b a b a b a b a b a b", "xxx xx x", "123, 1 2 3!",
         "naive naive NAIVE  holding\tsmall lamps", "[SEP] zzz", "the old lamp is the old lamp. the small lamp is small."]
LENGTHS = [0, 5, 6, 9, 12, 13, 20]


def main():
    vocab = {w: i for i, w in enumerate(WORDS)}
    plain = Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]"))
    plain.normalizer = normalizers.BertNormalizer(lowercase=True)
    plain.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    plain.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    peer = BertTokenizer(vocab=vocab, do_lower_case=True)
    cases = []
    for length in LENGTHS:
        if length:
            plain.enable_truncation(length, strategy="longest_first")
        for first in TEXTS:
            for second in TEXTS:
                e = plain.encode(first, second)
                # BertTokenizer takes an empty second text for none, and finds special tokens in texts unasked.
                if second and "[" not in first + second:
                    other = peer(first, second, truncation="longest_first" if length else False, max_length=length or None)
                    assert other["input_ids"] == e.ids and other["token_type_ids"] == e.type_ids, (first, second, length)
                cases.append({"first": TEXTS.index(first), "second": TEXTS.index(second), "length": length,
                              "ids": e.ids, "second_from": e.type_ids.index(1)})
                assert e.type_ids == sorted(e.type_ids)
    print(json.dumps({"tokenizers": tokenizers.__version__, "vocab": WORDS, "lowercase": True, "texts": TEXTS,
                      "lengths": LENGTHS, "pairs": cases},
                     ensure_ascii=True, separators=(",", ":")))


main()
