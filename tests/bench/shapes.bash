# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shapes.bash: what the measurements of training share: models of a few shapes with random weights, streams of random
# rows, and the speed of some steps; with bench.bash, which it sources.
#
#     13.9M   GPT, 6 layers, 384 wide, 6 heads, vocabulary 8192, rows of 256 tokens, 16 of them a step
#     124M    GPT-2, 12 layers, 768 wide, 12 heads, vocabulary 50257, rows of 512 tokens, 4 of them a step
#     bert    encoder, 6 layers, 384 wide, 12 heads, vocabulary 30522, rows of up to 256 tokens, 4096 tokens a step

# shellcheck source=tests/bench/bench.bash
. "$(dirname "${BASH_SOURCE[0]}")/bench.bash"

shape_set() {
    case $1 in
    13.9M) arch=gpt2 layers=6 width=384 heads=6 vocab=8192 context=256 batch=4096 ;;
    124M) arch=gpt2 layers=12 width=768 heads=12 vocab=50257 context=512 batch=2048 ;;
    bert) arch=bert layers=6 width=384 heads=12 vocab=30522 context=256 batch=4096 ;;
    *) echo "no shape '$1': 13.9M, 124M, bert" >&2 && return 2 ;;
    esac
}

# The model of the shape that is set: $scratch/model.
shape_model() {
    local special=(--special 'eos=<|endoftext|>')
    [ "$arch" = bert ] && special=(--special 'mask=[MASK]')
    echo text | graft learn-tokenizer -q --vocab 257 "${special[@]}" -o "$scratch/tokenizer"
    graft init -q --arch "$arch" -t "$scratch/tokenizer" --layers "$layers" --width "$width" --heads "$heads" \
        --context "$context" --vocab "$vocab" -o "$scratch/model"
}

# shape_rows full|ragged STEPS FILE: rows for so many steps, as long as the context or of 8 tokens to that, uniformly. They
# begin as any stream of tokens does, with another vocabulary.
shape_rows() {
    local skip=1
    [ "$arch" = bert ] && skip=0
    echo text | graft tokenize -q -t "$scratch/tokenizer" -f lines | graft dump >"$scratch/any"
    {
        head -n 1 "$scratch/any" | sed "s/\"vocab\":[0-9]*/\"vocab\":$vocab/"
        awk -v kind="$1" -v tokens=$(($2 * batch)) -v longest="$context" -v vocab="$vocab" -v skip="$skip" 'BEGIN {
            srand(1)
            for (r = t = 0; t < tokens; r++) {
                n = kind == "full" ? longest : 8 + int(rand() * (longest - 7))
                if (t + n > tokens && kind == "full") break
                t += n
                ids = ""
                for (i = 0; i < n; i++) ids = ids (i ? "," : "") int(rand() * vocab)
                printf "{\"row\":{\"ids\":[%s],\"doc\":\"0x%016x\",\"part\":0,\"skip\":%d,\"bytes\":1,\"chars\":1}}\n", ids, r, skip
            }
        }'
        tail -n 1 "$scratch/any"
    } | graft undump --edited -o "$3"
}

# shape_steps ROWS LOG OUT [OPTION ...]: trains that model; leaves the log and what came out.
shape_steps() {
    graft pretrain -q -m "$scratch/model" --batch-tokens "$batch" --schedule constant --lr 1e-4 --warmup 0 --log "$2" "$1" \
        -o "$3" "${@:4}"
}

# Median tokens per second of the steps of some logs but the first two of each; peak memory in GB.
shape_speed() {
    for log in "$@"; do jq '.tokens_per_second' "$log" | tail -n +3; done | sort -n | awk '{ x[NR] = $1 } END { printf "%.0f", x[int((NR + 1) / 2)] }'
}
shape_memory() {
    jq -s 'last.memory / 1e9' "$1"
}
