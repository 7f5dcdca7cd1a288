#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# threads.bats: far more threads than processors, in several programs at once, change no byte. A thread may then be stopped for
# long anywhere: what must not matter, and where ThreadSanitizer finds what a quiet machine hides.

load ../run/common

setup_file() {
    export PATH=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin:$PATH
    cd "$BATS_FILE_TMPDIR" || return 1
    awk 'BEGIN {
        x = 7
        for (i = 0; i < 6000; i++) {
            line = "document " i
            for (k = 0; k < i % 40; k++) { x = (x * 1103 + 12345) % 65536; line = line " word" x % 97 }
            print line
        }
    }' >corpus.txt
    each 1 one
}

# each THREADS FOLDER: the whole way with so many threads: text, tokenizer, rows, plumbing, training, judging, generating.
each() {
    local j=(-q -j "$1")
    mkdir "$2"
    graft learn-tokenizer "${j[@]}" --vocab 320 -f lines corpus.txt -o "$2/a.tok"
    graft tokenize "${j[@]}" -t "$2/a.tok" -f lines --length 32 corpus.txt -o "$2/a.tokens"
    graft detokenize "${j[@]}" -t "$2/a.tok" -l "$2/a.tokens" -o "$2/a.txt"
    graft cat "${j[@]}" "$2/a.tokens" "$2/a.tokens" -o "$2/cat.tokens"
    graft shuffle "${j[@]}" --seed 1 --memory 1Mi "$2/cat.tokens" -o "$2/shuffled.tokens"
    graft mix "${j[@]}" --seed 1 --stop all "$2/a.tokens:1" "$2/shuffled.tokens:2" -o "$2/mixed.tokens"
    graft sample "${j[@]}" --seed 1 -n 400 "$2/mixed.tokens" -o "$2/few.tokens"
    graft shard "${j[@]}" --seed 1 --split train=0.8,val=0.2 "$2/few.tokens" -o "$2/parts"
    graft init -q -t "$2/a.tok" --arch llama --layers 2 --width 32 --heads 2 --context 32 -o "$2/init.model"
    graft pretrain "${j[@]}" -m "$2/init.model" --batch-tokens 1Ki --grain 128 --warmup 1 --steps 4 --dropout 0.1 --val "$2/parts/val.tokens" \
        --checkpoint "$2/run.ck" --checkpoint-every 2 "$2/parts/train.tokens" -o "$2/a.model"
    graft eval "${j[@]}" --json -m "$2/a.model" "$2/parts/val.tokens" | jq 'del(.inputs)' >"$2/eval.json"
    graft generate "${j[@]}" -m "$2/a.model" --seed 3 -n 12 --samples 5 -p document -o "$2/generated.txt"
    graft sum -j "$1" "$2/mixed.tokens" | cut -d ' ' -f 1 >"$2/sum"
    graft verify -q -j "$1" "$2/mixed.tokens"
}

setup() {
    graft_setup
    ln -s "$BATS_FILE_TMPDIR"/* .
}

@test "16 threads, two of each program at once: the bytes of one thread" {
    each 16 a 3>&- &
    local other=$!
    each 16 b
    wait $other
    diff -r -x run.ck one a # a checkpoint says how long it took
    diff -r -x run.ck one b
}

@test "16 threads each in a pipeline: the rows of one thread" {
    graft cat -j 16 one/a.tokens one/a.tokens | graft shuffle -q -j 16 --seed 1 --memory 1Mi |
        graft mix -q -j 16 --seed 1 --stop all one/a.tokens:1 /dev/stdin:2 | graft sample -q -j 16 --seed 1 -n 400 |
        graft pretrain -q -j 16 -m one/init.model --batch-tokens 1Ki --warmup 1 --steps 4 -o piped.model
    graft pretrain -q -j 1 -m one/init.model --batch-tokens 1Ki --warmup 1 --steps 4 one/few.tokens -o file.model
    same_id piped.model file.model
}

same_id() {
    local a
    a=$(graft inspect --json "$1" | jq -r .id)
    [ -n "$a" ] && [ "$a" = "$(graft inspect --json "$2" | jq -r .id)" ]
}
