#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# import.sh: importing at the disk's speed, and a model of a billion parameters in use. A Llama of TinyLlama's shape with random
# weights, a folder of 2.2 GB in BF16, is made first: initialised, and exported through a pipe. Printed, best of ROUNDS:
#
#     import to /dev/null, page cache warm (the bar: 1 GB/s), and to a file, beside dd conv=fsync of the weights (0.8 of its
#         speed); the peak of memory (200 MB)
#     export of the same to a folder and to GGUF in Q8_0: memory does not grow with the model
#     eval of four rows of 256 tokens, and generate: the peak of memory beside what --plan says (5 %), seconds to the first token (5)
#     import of SmolLM2's GGUF file where MODELS has it (1 s, 150 MB), and to its first token (0.5 s)
#
#     ROUNDS=3    LAYERS=22   of the model    DIR=/tmp    where all of it is made (some 9 GB)    PARTS='disk export use smollm2'
# shellcheck source=tests/bench/real.bash
. "$(dirname "$0")/real.bash"
cd "$scratch"

run() { # COMMAND...: the quickest of some runs; $seconds and $peak (MB) are its
    for _ in $(seq "${ROUNDS:-3}"); do
        /usr/bin/env time -a -o times -f '%e %M' "$@" >said 2>&1 || { cat said && exit 1; }
    done
    read -r seconds peak <<<"$(sort -n times | head -n 1 | awk '{ print $1, $2 * 1.024 / 1000 }')"
    rm times
}
speed() { # LABEL BYTES
    awk -v label="$1" -v n="$2" -v s="$seconds" -v m="$peak" 'BEGIN { printf "%-34s %6.2f s  %5.2f GB/s  %7.1f MB\n", label, s, n / s / 1e9, m }'
}
planned() { # COMMAND...: MB
    "$@" --plan | awk '/in all$/ { print $1 * ($2 == "GB" ? 1000 : $2 == "MB" ? 1 : 0.001) }'
}
memory() { # LABEL PLANNED
    awk -v label="$1" -v s="$seconds" -v m="$peak" -v p="$2" \
        'BEGIN { printf "%-34s %6.2f s  %7.1f MB, planned %7.1f MB (%.3f)\n", label, s, m, p, m / p }'
}

"$here/text/english.sh" 400000 >text || exit 0
graft learn-tokenizer -q --type bpe --vocab 2048 -f paragraphs text -o bpe.tok
if part disk || part export || part use; then
    graft init -q --arch llama --vocab 32000 --layers "${LAYERS:-22}" --width 2048 --heads 32 --kv-heads 4 --mlp 5632 --context 2048 |
        graft export -q --to hf --type bf16 -o folder
    weights=$(stat -c %s folder/model.safetensors)
    cat folder/model.safetensors >/dev/null
    graft import -q -t bpe.tok folder -o model
fi
if part disk; then
    run graft import -q folder -o /dev/null
    speed 'import to /dev/null' "$weights"
    run graft import -q folder -o imported
    speed 'import to a file' "$weights"
    rm imported
    run dd if=folder/model.safetensors of=copied bs=1M conv=fsync
    speed 'dd conv=fsync' "$weights"
    rm copied
fi
if part export; then
    run graft export -q --to hf model -o again
    speed 'export to a folder' "$weights"
    rm -r again
    run graft export -q --to gguf --type q8_0 model -o q8_0.gguf
    speed 'export to GGUF, q8_0' "$weights"
    rm q8_0.gguf
fi
if part use; then
    graft tokenize -q -t bpe.tok -f files --length 256 text | graft head -n 4 -o rows.tokens
    for dtype in bf16 f32; do
        use=(--dtype "$dtype" -m model)
        run graft eval "${use[@]}" --micro-tokens 512 rows.tokens
        memory "eval --dtype $dtype" "$(planned graft eval "${use[@]}" --micro-tokens 512)"
        run graft generate "${use[@]}" -p 'A lamp is' -n 1 --batch 1 --context 256
        memory "generate --dtype $dtype, one token" "$(planned graft generate "${use[@]}" -n 1 --batch 1 --context 256)"
    done
fi
if part smollm2 && [ -e "$models/smollm2.gguf" ]; then
    run graft import -q "$models/smollm2.gguf" -o smol.model
    speed 'import of SmolLM2 in GGUF' "$(stat -c %s "$models/smollm2.gguf")"
    run graft generate -m smol.model --dtype bf16 -p 'The capital of France is' -n 1 --context 256
    memory '  its first token' "$(planned graft generate -m smol.model --dtype bf16 -n 1 --context 256)"
fi
