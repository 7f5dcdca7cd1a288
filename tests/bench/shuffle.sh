#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shuffle.sh: shuffle and shard beside cat, seconds and peak memory, on a token stream of BYTES raw bytes (default 1 GB; the
# dictionary of dict-gcide tokenized and repeated), and beside `zstd -1 -T2` of the raw bytes. The bar: shuffle in at most 2.5
# times what cat takes. Best of three; the first lines say how large the stream is.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=${BUILD:-$here/../../build}/bin:$PATH
bytes=${BYTES:-1000000000}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

dictionary=/usr/share/dictd/gcide.dict.dz
if [ ! -e $dictionary ]; then
    echo "skipped: there is no $dictionary (package dict-gcide)"
    exit 0
fi
gzip -dc $dictionary | iconv -c -f utf-8 -t utf-8 >text 2>/dev/null || true
head -c 5000000 text | graft learn-tokenizer --vocab 8192 -f paragraphs - -o bpe.tok
graft tokenize -t bpe.tok -f paragraphs --length 256 text -o one.tokens
one=$(graft inspect --json one.tokens | jq .bytes)
copies=()
for ((sum = 0; sum < bytes; sum += one)); do copies+=(one.tokens); done
graft cat "${copies[@]}" -o all.tokens
graft inspect all.tokens | sed -n '1,8p'

best() { # LABEL COMMAND...: the quickest of three
    local i label=$1
    shift
    for i in 1 2 3; do
        /usr/bin/env time -f '%e %U %S %M' -o times.$i "$@" >/dev/null 2>&1 || { echo "$label: failed"; return; }
    done
    sort -n times.1 times.2 times.3 | head -n 1 |
        awk -v label="$label" '{ printf "%-34s %7.2f s  (%.2f user, %.2f system)  %6.1f MB\n", label, $1, $2, $3, $4 / 1000 }'
}

best 'graft cat' graft cat all.tokens -o out.tokens
best 'graft shuffle' graft shuffle all.tokens -o out.tokens
best 'graft shuffle -z 0' graft shuffle -z 0 all.tokens -o out.tokens
best 'graft shuffle --memory 64Mi' graft shuffle --memory 64Mi all.tokens -o out.tokens
best 'graft shard --split (two parts)' graft shard --split a=0.9,b=0.1 -o parts all.tokens
rm -rf parts out.tokens
zstd -dc all.tokens >raw
best 'zstd -1 -T2' zstd -1 -T2 -qf raw -o out.zst
best 'zstd -dc' zstd -dc all.tokens
