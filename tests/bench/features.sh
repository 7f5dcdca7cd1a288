#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# features.sh: vectors of texts by all-MiniLM-L6-v2 (MODELS/all-MiniLM-L6-v2), lines of English as they come: texts per second of
# tokenize and extract-features together, the best of some runs; beside it, with PEERS, sentence-transformers, which sorts by length.
#
#     ROUNDS=3    TEXTS=1000    THREADS=2    DTYPES='bf16 f32'    PARTS='graft sentence-transformers'
# shellcheck source=tests/bench/real.bash
. "$(dirname "$0")/real.bash"
need_model all-MiniLM-L6-v2
texts=${TEXTS:-1000} threads=${THREADS:-2}
graft import -q "$models/all-MiniLM-L6-v2" -o "$scratch/model"
"$here/text/english.sh" $((texts * 3000)) >"$scratch/english"
awk -v RS= -v n="$texts" '{ gsub(/[ \n]+/, " ") } length > 20 && ++k <= n' "$scratch/english" >"$scratch/texts"
for dtype in ${DTYPES:-bf16 f32}; do
    part graft || break
    # shellcheck disable=SC2016
    best=$(seconds bash -c 'graft tokenize -q -j "$3" -m "$1" -f lines --length 256 "$4" |
        graft extract-features -q -j "$3" -m "$1" --truncate --dtype "$2" -o "$5"' - "$scratch/model" "$dtype" "$threads" \
        "$scratch/texts" "$scratch/features")
    awk -v d="$dtype" -v n="$texts" -v s="$best" 'BEGIN { printf "%-36s %7.0f texts/s\n", "graft extract-features --dtype " d, n / s }'
done
if part sentence-transformers && has_peer sentence-transformers sentence_transformers; then
    # shellcheck disable=SC2086
    peer features_peer.py "$models/all-MiniLM-L6-v2" "$threads" "${ROUNDS:-3}" "$scratch/texts" ${DTYPES:-bf16 f32}
fi
