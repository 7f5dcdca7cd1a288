#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tokenize.sh: encoding 20 MB of English (the dictionary of dict-gcide) on one thread, best of three, MB of text per second:
# graft with reading, hashing, compressing and writing the stream, and with PEERS (a Python environment with tiktoken) tiktoken's
# encode_ordinary alone, in the same run. The bar: twice tiktoken, same number of ids.
#
# The tokenizer is r50k of GRAFT_DATA, or else 8192 ids learned from the text (and then there is nothing to compare).
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=${BUILD:-$here/../../build}/bin:$PATH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

dictionary=/usr/share/dictd/gcide.dict.dz
if [ ! -e $dictionary ]; then
    echo "skipped: there is no $dictionary (package dict-gcide)"
    exit 0
fi
text=$scratch/text
gzip -dc $dictionary | iconv -c -f utf-8 -t utf-8 2>/dev/null | head -c 20000000 | iconv -c -f utf-8 -t utf-8 >"$text" || true
ranks=${GRAFT_DATA:+$GRAFT_DATA/tokenizers/tiktoken/r50k_base.tiktoken}
if [ -n "$ranks" ] && [ -e "$ranks" ]; then
    graft import "$ranks" -o "$scratch/t.tok"
else
    graft learn-tokenizer --vocab 8192 "$text" -o "$scratch/t.tok"
    ranks=
fi

rate() { # LABEL ARG...: MB/s, the best of three
    local best=0 begin end took
    for _ in 1 2 3; do
        begin=${EPOCHREALTIME/./}
        graft tokenize -q -t "$scratch/t.tok" "${@:2}" "$text" -o "$scratch/out.tokens"
        end=${EPOCHREALTIME/./}
        took=$((end - begin))
        [ $best -gt 0 ] && [ $best -le $took ] || best=$took
    done
    awk -v label="$1" -v us=$best -v bytes="$(stat -c %s "$text")" 'BEGIN { printf "%-34s %7.1f MB/s\n", label, bytes / us }'
}

rate 'graft tokenize -j 1' -j 1
rate 'graft tokenize -j 1 --length 256' -j 1 --length 256
rate "graft tokenize -j $(nproc)" -j "$(nproc)"
graft tokenize -t "$scratch/t.tok" -j 1 -v "$text" -o "$scratch/out.tokens" 2>&1 | sed 's/^/  /'
if [ -n "$ranks" ] && [ -x "${PEERS:-}/bin/python" ]; then
    "$PEERS/bin/python" "$here/tokenize_peer.py" "$text" "$ranks" || echo 'tiktoken: not installed in PEERS'
else
    echo 'tiktoken: skipped (set GRAFT_DATA and PEERS)'
fi
