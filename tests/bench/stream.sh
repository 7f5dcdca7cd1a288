#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# stream.sh: graft cat and graft verify on a token stream of 2 GB of data (the dictionary of dict-gcide, tokenized and
# repeated), beside zstd -dc of the same file, best of three. The bar: no slower than zstd, under 100 MB of memory.
#
#     BYTES=2000000000    data of the stream        DIR=/tmp    where it is made (some 1.5 GB)
set -eu -o pipefail
PATH=${BUILD:-$(cd "$(dirname "$0")/../.." && pwd)/build}/bin:$PATH
scratch=$(mktemp -d -p "${DIR:-/tmp}")
trap 'rm -rf "$scratch"' EXIT

dictionary=/usr/share/dictd/gcide.dict.dz
if [ ! -e $dictionary ]; then
    echo "skipped: there is no $dictionary (package dict-gcide)"
    exit 0
fi
gzip -dc $dictionary | iconv -c -f utf-8 -t utf-8 >"$scratch/text" 2>/dev/null || true
head -c 4000000 "$scratch/text" | iconv -c -f utf-8 -t utf-8 | graft learn-tokenizer -q --vocab 8192 -o "$scratch/t.tok"
graft tokenize -q -t "$scratch/t.tok" --length 256 -f paragraphs "$scratch/text" -o "$scratch/one"
bytes=$(graft inspect --json "$scratch/one" | jq .bytes)
copies=()
for ((n = 0; n < ${BYTES:-2000000000}; n += bytes)); do copies+=("$scratch/one"); done
graft cat "${copies[@]}" -o "$scratch/all"
graft inspect "$scratch/all" | sed -n '1p;3p'

best() { # NAME COMMAND...: seconds of the fastest of three runs
    local name=$1 i begin end least=999999999
    shift
    for i in 1 2 3; do
        begin=${EPOCHREALTIME/./}
        "$@" >/dev/null 2>"$scratch/said.$i"
        end=${EPOCHREALTIME/./}
        [ $((end - begin)) -ge "$least" ] || least=$((end - begin))
    done
    printf '%-16s %6.2f s  %s\n' "$name" "$(jq -n "$least / 1e6")" "$(sed -n 's/.*\(peak memory .*\)/\1/p' "$scratch/said.1")"
    seconds=$least
}

best 'zstd -dc' zstd -dc "$scratch/all"
theirs=$seconds
best 'graft cat' graft cat -v "$scratch/all"
awk -v a="$seconds" -v b="$theirs" 'BEGIN { printf "  of zstd          %.2f  (bar 1)\n", a / b }'
best 'graft verify' graft verify -v "$scratch/all"
awk -v a="$seconds" -v b="$theirs" 'BEGIN { printf "  of zstd          %.2f  (bar 1)\n", a / b }'
