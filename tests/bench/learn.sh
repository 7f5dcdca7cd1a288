#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# learn.sh: learning 8192 ids from 40 MB of English (tests/bench/text) and 32768 from 400 MB of it: seconds and peak memory, and
# with PEERS (a Python environment with tokenizers) those of Hugging Face's trainer in the same run. The bars: a quarter of its
# time, and for ten times the text at most 1.1 times the memory.
#
#     SIZES='40 400'    millions of bytes; the peer takes minutes for 400
# shellcheck source=tests/bench/bench.bash
. "$(dirname "$0")/bench.bash"

learn() { # THREADS VOCAB: seconds and kilobytes
    /usr/bin/env time -o "$scratch/times" -f '%e %M' graft learn-tokenizer -q -j "$1" --vocab "$2" "$scratch/text" -o "$scratch/t.tok"
    cat "$scratch/times"
}

smaller=
for size in ${SIZES:-40 400}; do
    "$here/text/english.sh" "${size}000000" >"$scratch/text" || exit 0
    vocab=8192
    [ "$size" -le 40 ] || vocab=32768
    echo "$size MB, $vocab ids"
    for threads in 1 2; do
        read -r seconds memory < <(learn $threads $vocab)
        printf '  %-28s %7.2f s  %7.1f MB\n' "graft learn-tokenizer -j $threads" "$seconds" "$(jq -n "$memory / 1000")"
    done
    read -r seconds memory < <(learn 2 32768)
    if [ -n "$smaller" ]; then
        printf '  memory for 32768 ids: %.1f MB, %.2f of that for the smaller text (bar 1.1)\n' "$(jq -n "$memory / 1000")" \
            "$(jq -n "$memory / $smaller")"
    fi
    smaller=$memory
    if has_peer '  tokenizers' tokenizers; then peer learn_peer.py "$scratch/text" $vocab; fi
done
