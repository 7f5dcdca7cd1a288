#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# training_files.sh: train.tokens, gpt2.model and llama.model in the current directory, small and always the same: what
# make_training_cases.py lets torch train on, and tests/cli/training_parity.bats lets graft.
set -eu

i=0
while [ $((i += 1)) -le 200 ]; do
    echo "line $i of a text that says what number $((i * i % 97)) is"
done >corpus.txt
graft learn-tokenizer -q --vocab 290 -f lines corpus.txt -o t.tok
graft tokenize -q -t t.tok -f lines --length 16 corpus.txt | graft shuffle -q --epochs 2 --seed 3 -o train.tokens
graft init -q -t t.tok --arch gpt2 --layers 2 --width 24 --heads 3 --context 32 -o gpt2.model
graft init -q -t t.tok --arch llama --layers 2 --width 24 --heads 4 --kv-heads 2 --context 32 -o llama.model
