#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# decode.sh: continuing a text with SmolLM2-135M (MODELS/smollm2.gguf), tokens per second, the best of some runs: one sequence; 16 prompts
# together; 16 prompts of one beginning of 400 tokens. Beside it, with PEERS, llama.cpp from the same file, one sequence. The
# bar: 1.3 times llama.cpp, one sequence, both with two threads.
#
#     ROUNDS=3    TOKENS=128  of a sequence    THREADS=2    DTYPES='bf16 f32'    PARTS='one together prefix llama.cpp'
# shellcheck source=tests/bench/real.bash
. "$(dirname "$0")/real.bash"
need_model smollm2.gguf
tokens=${TOKENS:-128} threads=${THREADS:-2}
graft import -q "$models/smollm2.gguf" -o "$scratch/model"
seq -f 'Once upon a time, %.0f people' 16 >"$scratch/prompts"
beginning=$("$here/text/english.sh" 1600 | tr -s ' \n|\\&' ' ')
sed "s|^|$beginning |" "$scratch/prompts" >"$scratch/long"

speed() { # LABEL ARG...
    for _ in $(seq "${ROUNDS:-3}"); do
        graft generate -v -m "$scratch/model" -T 0 -j "$threads" --context 1Ki -o /dev/null "${@:2}" 2>&1 |
            sed -n 's/.*, \([0-9.]*\) tokens\/s.*/\1/p'
    done | sort -n | tail -n 1 | awk -v label="$1" '{ printf "%-36s %7.1f tokens/s\n", label, $1 }'
}
for dtype in ${DTYPES:-bf16 f32}; do
    if part one; then speed "graft generate --dtype $dtype" --dtype "$dtype" -n "$tokens" -p 'Once upon a time'; fi
    if part together; then speed '  16 prompts together' --dtype "$dtype" -n "$tokens" --batch 16 "$scratch/prompts"; fi
    if part prefix; then speed '  16 prompts of one beginning, 16 each' --dtype "$dtype" -n 16 --batch 16 "$scratch/long"; fi
done
if part llama.cpp && has_peer llama.cpp llama_cpp; then
    peer decode_peer.py "$models/smollm2.gguf" "$threads" "${ROUNDS:-3}" "$tokens"
fi
