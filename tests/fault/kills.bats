#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kills.bats: kill -9, again and again, at moments that a seed draws: before the nth fallible operation (FAULT=kill:n,
# common/base/fault.h), so before every write, fsync, rename and allocation there is, and after some milliseconds. Then:
#
#   what was there before is there, whole; TMPDIR is empty; the run to the end gives the bytes of a run that never was killed
#
#     KILLS=200 SEED=7 bats tests/fault/kills.bats       (make check-kills; a few in make check)

load ../run/common

setup_file() {
    export KILLS=${KILLS:-6} SEED=${SEED:-1}
    export PATH=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin:$PATH
    cd "$BATS_FILE_TMPDIR" || return 1
    awk 'BEGIN { for (i = 0; i < 300; i++) printf "document %d has the words %d and %d\n", i, i * 7 % 11, i * 5 % 13 }' >corpus.txt
    graft learn-tokenizer -q --vocab 300 -f lines corpus.txt -o bpe.tok
    graft tokenize -q -t bpe.tok -f lines --length 24 corpus.txt -o a.tokens
    awk 'BEGIN { for (i = 0; i < 40000; i++) print "a line of text" }' | graft tokenize -q -t bpe.tok -f lines -o many.tokens
    graft init -q -t bpe.tok --arch llama --layers 1 --width 16 --heads 2 --context 24 -o a.model
}

setup() {
    graft_setup
    DATA=$BATS_FILE_TMPDIR
    export TMPDIR=$PWD/tmp
    mkdir "$TMPDIR" work
    cd work || return 1
    RANDOM=$SEED
}

draw() { echo $((1 + (RANDOM * 32768 + RANDOM) % $1)); }

# operations COMMAND: how many fallible ones a whole run has, at most; 256 of them at first.
operations() {
    local n=256
    while true; do
        got=0
        FAULT=kill:$n "$@" >/dev/null 2>&1 </dev/null || got=$?
        [ $got -eq 0 ] && break
        [ $got -eq 137 ] || { echo "status $got" >&2; return 1; }
        n=$((2 * n))
    done
    echo $n
}

# killed LIMIT COMMAND...: runs it until it is killed, at an operation below LIMIT or after up to 60 ms; fails when it comes to
# its end before (or ends otherwise).
killed() {
    local limit=$1 got=0 pid
    shift
    if [ $((RANDOM % 3)) -gt 0 ]; then
        FAULT=kill:$(draw "$limit") "$@" </dev/null || got=$?
    else
        "$@" </dev/null 3>&- &
        pid=$!
        sleep "0.0$((10 + RANDOM % 50))"
        kill -9 $pid 2>/dev/null || true
        wait $pid || got=$?
    fi 2>/dev/null
    [ $got -eq 137 ]
}

nothing_in_tmpdir() {
    [ -z "$(ls -A "$TMPDIR")" ] || { ls -A "$TMPDIR" >&2; return 1; }
}

# At most one hidden name may be left beside each output: the next writer takes it away (see the end of each test).
whole_or_hidden() { # WANT FILE...: each FILE is not there or WANT/FILE
    local want=$1 file
    shift
    for file in "$@"; do
        if [ -e "$file" ]; then same "$want/$file" "$file" || return 1; fi
        [ "$(find . -name ".graft-${file##*/}-*" | wc -l)" -le 1 ]
    done
}

# survives OUTPUT... -- COMMAND...: the command writes the outputs.
survives() {
    local outputs=() n=0 limit
    while [ "$1" != -- ]; do outputs+=("$1"); shift; done
    shift
    limit=$(operations "$@")
    mkdir ../want
    cp -r . ../want
    for ((n = 0; n < KILLS; )); do
        # half of the time into nothing, half over what is there
        [ $((RANDOM % 2)) -eq 0 ] || rm -rf "${outputs[@]}"
        killed "$limit" "$@" && n=$((n + 1))
        whole_or_hidden ../want "${outputs[@]}"
        nothing_in_tmpdir
    done
    "$@"
    diff -r . ../want
    [ -z "$(find . -name '.graft*')" ]
}

@test "shuffle" { survives out -- graft-shuffle -q -j 2 --epochs 3 --seed 1 "$DATA/a.tokens" -o out; }
@test "shuffle, spilling" { survives out -- graft-shuffle -q -j 2 --seed 1 --memory 1Mi "$DATA/many.tokens" -o out; }
@test "shard" {
    survives parts/train.tokens parts/test.tokens -- \
        graft-shard -q -j 2 --seed 1 --split train=0.8,test=0.2 "$DATA/a.tokens" -o parts
}
@test "learn-tokenizer" { survives out -- graft-learn-tokenizer -q -j 2 --vocab 300 -f lines "$DATA/corpus.txt" -o out; }
@test "tokenize" { survives out -- graft-tokenize -q -j 2 -t "$DATA/bpe.tok" -f lines "$DATA/corpus.txt" -o out; }

# From a pipe that is shuffled anew each time, with a checkpoint after every step: some kills in each step, as many while one
# is written.
@test "training, with checkpoints" {
    steps=$((2 * KILLS + 4))
    pretrain=(graft-pretrain -q -j 2 -m "$DATA/a.model" --batch-tokens 256 --grain 128 --dropout 0.1)
    shuffled() { env -u FAULT graft-shuffle -q -j 1 --epochs $((steps / 10 + 1)) --seed 2 "$DATA/a.tokens" 2>/dev/null; }
    limit=$(operations "${pretrain[@]}" --steps 3 --checkpoint three.ck --checkpoint-every 1 "$DATA/a.tokens" -o three)
    rm -f three three.ck*
    pretrain+=(--steps "$steps")
    "${pretrain[@]}" --log whole.jsonl -o whole.model < <(shuffled)
    pretrain+=(--checkpoint run.ck --checkpoint-every 1 --log run.jsonl -o run.model)
    ended=0
    for ((n = 0; n < KILLS; )); do
        got=0
        if [ $((n % 3)) -gt 0 ]; then
            FAULT=kill:$(draw "$limit") "${pretrain[@]}" < <(shuffled) || got=$?
        else
            "${pretrain[@]}" < <(shuffled) 3>&- &
            pid=$!
            sleep "0.0$((10 + RANDOM % 90))"
            kill -9 $pid || true
            wait $pid || got=$?
        fi 2>/dev/null
        [ ! -e run.model ] || same whole.model run.model
        [ ! -e run.ck ] || graft verify -q run.ck
        nothing_in_tmpdir
        if [ $got -eq 0 ]; then # so short was the way to the end: once more
            ended=$((ended + 1))
            [ $ended -lt 20 ]
            rm -f run.model run.ck run.jsonl
            continue
        fi
        [ $got -eq 137 ]
        n=$((n + 1))
    done
    "${pretrain[@]}" < <(shuffled)
    same whole.model run.model
    keys='[.step, .rows, .tokens, .loss, .norm, .rate]'
    [ "$(jq -c "$keys" run.jsonl)" = "$(jq -c "$keys" whole.jsonl)" ]
    [ -z "$(find . -name '.graft*' -o -name '*.lock')" ]
}
