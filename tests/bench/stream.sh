#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# stream.sh: cat, verify, shuffle and shard on a token stream of 4 GB of data (the dictionary of dict-gcide, tokenized by paragraphs
# and repeated), seconds and peak memory, beside zstd -1 -T2 of the raw bytes and zstd -dc, best of RUNS; all but shard write to
# /dev/null, as what a disk takes is not measured here. The bars: cat at most 1/1.2 of zstd -1, shuffle at most 2.5 times cat.
#
#     BYTES=4000000000    data of the stream        RUNS=3        DIR=/tmp    where it is made (some 11 GB for 4 GB)
# shellcheck source=tests/bench/bench.bash
. "$(dirname "$0")/bench.bash"
cd "$scratch"

"$here/text/english.sh" 40000000 >text || exit 0
head -c 5000000 text | iconv -c -f utf-8 -t utf-8 | graft learn-tokenizer -q --vocab 8192 -f paragraphs - -o bpe.tok
graft tokenize -q -t bpe.tok -f paragraphs --length 256 text -o one.tokens
one=$(graft inspect --json one.tokens | jq .bytes)
copies=()
for ((sum = 0; sum < ${BYTES:-4000000000}; sum += one)); do copies+=(one.tokens); done
graft cat "${copies[@]}" -o all.tokens
graft inspect all.tokens | sed -n '1p;3p'
zstd -dc all.tokens >raw

best() { # LABEL COMMAND...: the quickest; its seconds stay in $seconds
    local label=$1
    shift
    for _ in $(seq "${RUNS:-3}"); do
        /usr/bin/env time -a -o times -f '%e %U %S %M' "$@" >/dev/null 2>said || { echo "$label: failed"; cat said; exit 1; }
    done
    seconds=$(sort -n times | head -n 1 | tee line | cut -d ' ' -f 1)
    awk -v label="$label" '{ printf "%-30s %7.2f s  (%.2f user, %.2f system)  %6.1f MB\n", label, $1, $2, $3, $4 / 1000 }' line
    rm times
}

ratio() { # WHAT A B BAR
    awk -v what="$1" -v a="$2" -v b="$3" -v bar="$4" 'BEGIN { printf "  %s %.2f  (bar %s)\n", what, a / b, bar }'
}

best 'zstd -1 -T2' zstd -1 -T2 -qc raw
zstd=$seconds
best 'zstd -dc' zstd -dqc all.tokens
best 'graft cat' graft cat all.tokens
cat=$seconds
ratio 'zstd -1 / cat' "$zstd" "$cat" 1.2
best 'graft verify' graft verify all.tokens
best 'graft shuffle' graft shuffle all.tokens
ratio 'shuffle / cat' "$seconds" "$cat" 2.5
ratio 'shuffle / zstd -1 -T2' "$seconds" "$zstd" none
best 'graft shuffle -z 0' graft shuffle -z 0 all.tokens
ratio 'shuffle / cat' "$seconds" "$cat" 2.5
best 'graft shuffle --memory 64Mi' graft shuffle --memory 64Mi all.tokens
best 'graft shard (two parts)' graft shard --split a=0.9,b=0.1 -o parts all.tokens
