#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# eval.sh: judging SmolLM2-135M (MODELS/smollm2.gguf) on rows of 512 tokens of English: tokens per second of the whole program, the best
# of some runs, from the model as it was imported (weights in blocks of 4 and 8 bits); beside it, with PEERS, transformers on the
# weights these blocks stand for (loss of all tokens; without start and loading), and llama.cpp on the same file (logits of all
# tokens). The bars: 1.8 times transformers in bf16, 1.3 times in fp32, 5 times llama.cpp.
#
#     ROUNDS=3    ROWS=8    THREADS=2    DTYPES='bf16 f32'    PARTS='graft transformers llama.cpp'
# shellcheck source=tests/bench/real.bash
. "$(dirname "$0")/real.bash"
need_model smollm2.gguf
rows=${ROWS:-8} threads=${THREADS:-2}
graft import -q "$models/smollm2.gguf" -o "$scratch/model"
"$here/text/english.sh" $((rows * 512 * 6)) >"$scratch/text"
graft tokenize -q -m "$scratch/model" -f files --length 512 "$scratch/text" | graft head -n "$rows" -o "$scratch/rows"

for dtype in ${DTYPES:-bf16 f32}; do
    part graft || break
    best=$(seconds graft eval -q -m "$scratch/model" --dtype "$dtype" --bootstrap 0 -j "$threads" "$scratch/rows")
    awk -v d="$dtype" -v n=$((rows * 512)) -v s="$best" 'BEGIN { printf "%-36s %7.0f tokens/s\n", "graft eval --dtype " d, n / s }'
done
if part transformers && has_peer transformers transformers; then
    graft export -q --to hf "$scratch/model" -o "$scratch/hf" 2>/dev/null
    # shellcheck disable=SC2086
    graft dump "$scratch/rows" | peer eval_peer.py transformers "$scratch/hf" "$threads" "${ROUNDS:-3}" ${DTYPES:-bf16 f32}
fi
if part llama.cpp && has_peer llama.cpp llama_cpp; then
    graft dump "$scratch/rows" | peer eval_peer.py llama.cpp "$models/smollm2.gguf" "$threads" "${ROUNDS:-3}"
fi
