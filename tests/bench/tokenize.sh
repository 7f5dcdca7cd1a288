#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tokenize.sh: encoding 20 MB of English and 20 MB of mixed scripts and code (tests/bench/text) on one core and on two threads,
# best of three, MB of text per second: graft with reading, hashing, compressing and writing the stream, and with PEERS (a Python
# environment with tiktoken) tiktoken's encoding alone, in the same run. The bar: three times tiktoken, the same ids.
#
# Then, of GRAFT_DATA: bert-base, cl100k and SentencePiece's Llama, with PEERS (tokenizers) beside tokenizers on graft's export of
# them. The bar: ten times tokenizers.
#
# The tokenizer is r50k of GRAFT_DATA, or else 8192 ids learned from the text (and then there is nothing to compare).
# shellcheck source=tests/bench/bench.bash
. "$(dirname "$0")/bench.bash"
ranks=${GRAFT_DATA:+$GRAFT_DATA/tokenizers/tiktoken/r50k_base.tiktoken}
[ -e "$ranks" ] || ranks=

rate() { # LABEL ARG...: MB/s by the clock and by CPU time, the best of three
    for _ in 1 2 3; do
        /usr/bin/env time -a -o "$scratch/times" -f '%e %U %S' \
            graft tokenize -q -t "$scratch/t.tok" "${@:2}" "$text" -o "$scratch/out.tokens"
    done
    awk -v label="$1" -v bytes="$(stat -c %s "$text")" '
        NR == 1 || $1 < real { real = $1 }
        NR == 1 || $2 + $3 < cpu { cpu = $2 + $3 }
        END { printf "%-36s %7.1f MB/s  %7.1f by CPU time\n", label, bytes / real / 1e6, bytes / cpu / 1e6 }' "$scratch/times"
    rm "$scratch/times"
}

for kind in english mixed; do
    text=$scratch/$kind
    echo "$kind"
    "$here/text/$kind.sh" 20000000 >"$text" || continue
    if [ -n "$ranks" ]; then
        graft import -q "$ranks" -o "$scratch/t.tok"
    else
        graft learn-tokenizer -q --vocab 8192 "$text" -o "$scratch/t.tok"
    fi
    rate '  graft tokenize -j 1' -j 1
    rate '  graft tokenize -j 2' -j 2
    rate '  graft tokenize -j 2 --length 256' -j 2 --length 256
    graft tokenize -t "$scratch/t.tok" -j 2 -v "$text" -o "$scratch/out.tokens" 2>&1 | sed 's/^/  /'
    if [ -z "$ranks" ]; then
        echo '  tiktoken: skipped (set GRAFT_DATA)' >&2
    elif has_peer '  tiktoken' tiktoken; then
        graft dump "$scratch/out.tokens" | peer tokenize_peer.py "$text" "$ranks"
    fi
done

[ -n "$ranks" ] || exit 0
for file in bert-base-uncased/tokenizer.json tiktoken/cl100k_base.tiktoken sentencepiece/llama2.model; do
    graft import -q "$GRAFT_DATA/tokenizers/$file" -o "$scratch/t.tok"
    graft export -q --to tokenizer_json "$scratch/t.tok" -o "$scratch/tokenizer.json"
    for kind in english mixed; do
        text=$scratch/$kind
        echo "$kind, $file"
        rate '  graft tokenize -j 2' -j 2
        has_peer '  tokenizers' tokenizers && RAYON_NUM_THREADS=2 peer tokenize_json_peer.py "$text" "$scratch/tokenizer.json"
    done
done
