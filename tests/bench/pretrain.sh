#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pretrain.sh: whole training steps of a GPT of 13.9 M parameters (6 layers, 384 wide, 6 heads, vocabulary 8192) on 16 rows of
# 256 tokens, fp32 or bf16: tokens per second (the median step) and peak memory, and with PEERS (a Python environment with torch)
# PyTorch's in the same run. The bars: twice PyTorch, at most 1 GB in fp32; 2.5 times, at most 0.7 GB in bf16.
#
#     STEPS=12    steps to measure, after 2 that do not count        DTYPE=f32|bf16
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=${BUILD:-$here/../../build}/bin:$PATH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
steps=${STEPS:-12}
dtype=${DTYPE:-f32}

# Random rows, as text: the begin of any tokens stream with another vocabulary, then rows.
echo text | graft tokenize -q -t <(echo text | graft learn-tokenizer -q --vocab 257) -f lines | graft dump >"$scratch/any"
{
    head -n 1 "$scratch/any" | sed 's/"vocab":257/"vocab":8192/'
    awk -v rows=$((16 * (steps + 2))) 'BEGIN {
        srand(1)
        for (r = 0; r < rows; r++) {
            printf "{\"row\":{\"ids\":["
            for (t = 0; t < 256; t++) printf "%s%d", t ? "," : "", rand() * 8192
            printf "],\"doc\":\"0x%016x\",\"part\":0,\"skip\":1,\"bytes\":1,\"chars\":1}}\n", r
        }
    }'
    tail -n 1 "$scratch/any"
} | graft undump --edited -o "$scratch/rows.tokens"
graft init -q --arch gpt2 --layers 6 --width 384 --heads 6 --context 256 --vocab 8192 -o "$scratch/init.model"
graft pretrain -q -m "$scratch/init.model" --batch-tokens 4Ki --schedule constant --lr 1e-4 --warmup 0 --dtype "$dtype" \
    --log "$scratch/log" "$scratch/rows.tokens" -o "$scratch/out.model"
mine=$(jq -s '[.[2:][].tokens_per_second] | sort | .[length / 2 | floor] | round' "$scratch/log")
memory=$(jq -s 'last.memory / 1e9' "$scratch/log")
printf 'graft    %6.0f tokens/s  %.2f GB  %s\n' "$mine" "$memory" "$dtype"

if [ -x "${PEERS:-}/bin/python" ]; then
    theirs=$("$PEERS/bin/python" "$here/torch_gpt.py" "$steps" "$dtype") || { echo 'PyTorch: not installed in PEERS'; exit 0; }
    echo "$theirs"
    bar=2
    [ "$dtype" = f32 ] || bar=2.5
    awk -v a="$mine" -v b="$(awk '{ print $2 }' <<<"$theirs")" -v bar=$bar 'BEGIN { printf "graft / PyTorch  %.2f  (bar %s)\n", a / b, bar }'
else
    echo 'PyTorch: skipped (set PEERS)'
fi
