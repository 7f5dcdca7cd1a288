#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fixtures.sh DIR: fills DIR with the small files that the EXAMPLES of the pages use. Everything is made by graft from a text
# that is made here, and tiny: an example should end within a second or two.
#
#   corpus.txt           some 60 kB of plain sentences, one document per line
#   corpus.jsonl         the same as {"id": n, "text": "...", "label": "..."} lines
#   corpus.csv, .tsv     the first lines of it with a header: id, text, label
#   bpe.tok              learned from it (320 entries)
#   corpus.tokens        tokenized, 32 ids a row
#   a.tokens b.tokens    its two halves
#   data/train.tokens data/val.tokens
#   init.model           untrained, two layers; base.model after a few steps
#   prompts.txt          three lines
set -eu -o pipefail
cd "$1"

awk 'BEGIN {
    srand(1)
    split("lamp river stone garden letter winter engine bridge candle harbour", noun, " ")
    split("old small bright heavy quiet broken", adjective, " ")
    split("holds finds follows warms leaves carries", verb, " ")
    for (i = 0; i < 1000; i++)
        printf "The %s %s %s the %s %s.\n", adjective[int(rand() * 6) + 1], noun[int(rand() * 10) + 1],
            verb[int(rand() * 6) + 1], adjective[int(rand() * 6) + 1], noun[int(rand() * 10) + 1]
}' >corpus.txt
awk '{ printf "{\"id\": %d, \"text\": \"%s\", \"label\": \"%s\"}\n", NR, $0, NR % 2 ? "odd" : "even" }' corpus.txt >corpus.jsonl
awk 'BEGIN { print "id,text,label" } NR <= 100 { printf "%d,\"%s\",%s\n", NR, $0, NR % 2 ? "odd" : "even" }' corpus.txt >corpus.csv
awk 'BEGIN { print "id\ttext\tlabel" } NR <= 100 { printf "%d\t%s\t%s\n", NR, $0, NR % 2 ? "odd" : "even" }' corpus.txt >corpus.tsv
printf 'The old lamp\nThe river\nA quiet garden\n' >prompts.txt

graft learn-tokenizer -q --type bpe --vocab 320 -f lines corpus.txt -o bpe.tok
graft tokenize -q -t bpe.tok -f lines --length 32 corpus.txt -o corpus.tokens
graft head -n 500 corpus.tokens -o a.tokens
head -n 600 corpus.txt | tail -n 100 | graft tokenize -q -t bpe.tok -f lines --length 32 -o b.tokens
mkdir data
graft shard -q --split train=0.9,val=0.1 -o data/ corpus.tokens
graft init -q -t bpe.tok --arch llama --layers 2 --width 32 --heads 2 --kv-heads 1 --context 64 -o init.model
graft pretrain -q -m init.model --steps 4 --batch-tokens 512 --micro-tokens 512 --grain 256 data/train.tokens -o base.model
