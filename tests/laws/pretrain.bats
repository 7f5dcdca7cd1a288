#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pretrain.bats: the laws of training: the same input gives the same bytes, whatever the threads, the micro-batch, the pipe, or
# crashes and restarts in between.

load ../run/common

setup_file() {
    export ROOT=${BATS_TEST_DIRNAME%/tests/*}
    export PATH=${BUILD:-$ROOT/build}/bin:$PATH LC_ALL=C.UTF-8
    cd "$BATS_FILE_TMPDIR" || return 1
    awk 'BEGIN {
        split("lamp river stone garden letter winter engine bridge candle harbour", noun, " ")
        split("old small bright heavy quiet broken", adjective, " ")
        x = 7
        for (i = 0; i < 360; i++) {
            line = ""
            n = i % 9
            for (w = 0; w <= n; w++) {
                x = (x * 1103 + 12345) % 65536
                line = line " the " adjective[x % 6 + 1] " " noun[int(x / 8) % 10 + 1]
            }
            print substr(line, 2) "."
        }
    }' >corpus.txt
    graft learn-tokenizer -q --vocab 300 -f lines --special 'eos=<|endoftext|>' --special 'mask=<mask>' corpus.txt -o t.tok
    head -n 300 corpus.txt | graft tokenize -q -t t.tok -f lines --length 24 -o train.tokens
    tail -n 60 corpus.txt | graft tokenize -q -t t.tok -f lines --length 24 -o val.tokens
    graft init -q -t t.tok --arch llama --layers 2 --width 32 --heads 4 --kv-heads 2 --context 24 -o llama.model
    graft init -q -t t.tok --arch gpt2 --layers 2 --width 32 --heads 2 --context 24 -o gpt2.model
    graft init -q -t t.tok --arch bert --layers 2 --width 32 --heads 2 --context 24 -o bert.model
}

setup() {
    graft_setup
    DATA=$BATS_FILE_TMPDIR
    # Rows, batches and grains that do not divide each other, so that every boundary is met.
    TRAIN=(--batch-tokens 200 --grain 64 --micro-tokens 130 --warmup 2 --steps 10 --lr 3e-3 --seed 5)
}

id() {
    graft inspect --json "$1" | jq -r .id
}

same_id() {
    [ -n "$(id "$1")" ]
    [ "$(id "$1")" = "$(id "$2")" ]
}

differ() {
    [ -s "$1" ]
    [ -s "$2" ]
    if cmp -s "$1" "$2"; then false; fi
}

@test "threads, micro-batch and recomputation change no byte" {
    for model in llama gpt2 bert; do
        train() { graft pretrain -q -m "$DATA/$model.model" "${TRAIN[@]}" --dropout 0.1 "$@" "$DATA/train.tokens"; }
        train -j 1 -o one.model
        train -j 2 -o x.model; same one.model x.model
        train -j 4 -o x.model; same one.model x.model
        train --micro-tokens 1 -o x.model; same one.model x.model
        train --micro-tokens 64Ki -o x.model; same one.model x.model
        train --micro-tokens 100 --recompute -j 3 -o x.model; same one.model x.model
        train --seed 6 -o x.model
        differ one.model x.model
    done
}

@test "bf16 likewise" {
    train() { graft pretrain -q -m "$DATA/llama.model" "${TRAIN[@]}" --dtype bf16 "$@" "$DATA/train.tokens"; }
    train -j 1 -o one.model
    train -j 4 --micro-tokens 1 -o x.model; same one.model x.model
    train --micro-tokens 64Ki --recompute -o x.model; same one.model x.model
    graft pretrain -q -m "$DATA/llama.model" "${TRAIN[@]}" "$DATA/train.tokens" -o x.model
    differ one.model x.model
}

@test "a file, a pipe and a pipe in small pieces give the same id" {
    graft pretrain -q -m "$DATA/llama.model" "${TRAIN[@]}" "$DATA/train.tokens" -o file.model
    graft pretrain -q -m "$DATA/llama.model" "${TRAIN[@]}" <"$DATA/train.tokens" -o x.model
    same_id file.model x.model
    # shellcheck disable=SC2002 # a pipe is the point
    cat "$DATA/train.tokens" | graft pretrain -q -m "$DATA/llama.model" "${TRAIN[@]}" >x.model
    same_id file.model x.model
    dd if="$DATA/train.tokens" bs=61 status=none |
        graft pretrain -q -m <(cat "$DATA/llama.model") --val <(cat "$DATA/val.tokens") "${TRAIN[@]}" -o x.model
    same_id file.model x.model
}

@test "killed again and again, it ends with the bytes of a run that never was" {
    local models='llama bert' start=257 step=23
    [ -z "$GRAFT_SANITIZER" ] || models=bert start=1500 step=199
    for model in $models; do
        train=(graft pretrain -q -m "$DATA/$model.model" "${TRAIN[@]}" --dropout 0.1 --val "$DATA/val.tokens" --val-every 3
            --keep-best "$DATA/train.tokens")
        "${train[@]}" --log whole.jsonl -o whole.model
        rm -f run.ck run.model
        kills=0
        # Before its first operation, then later and later, so that each run comes further than the one before: in long strides
        # while it starts, and since there is a checkpoint in such as meet each part of a step.
        for ((n = 1;; n += $([ -e run.ck ] && echo $step || echo $start))); do
            got=0
            FAULT=kill:$n "${train[@]}" --checkpoint run.ck --checkpoint-every 1 --log run.jsonl -o run.model || got=$?
            [ $got -ne 0 ] || break
            [ $got -eq 137 ]
            kills=$((kills + 1))
            [ ! -e run.model ] || same whole.model run.model # killed when all was done
        done
        same whole.model run.model
        [ $kills -gt 5 ]
        # every step and judgement once, with the same numbers
        keys='[.step, .rows, .tokens, .loss, .norm, .rate, .validation, .best]'
        [ "$(jq -c "$keys" run.jsonl)" = "$(jq -c "$keys" whole.jsonl)" ]
        # a finished checkpoint gives its result again
        rm run.model
        "${train[@]}" --checkpoint run.ck -o run.model
        same whole.model run.model
        [ ! -e run.ck.lock ]
    done
}

@test "k steps and resuming are n steps, with other threads and micro-batches, through a pipe" {
    train() { graft pretrain -q -m "$DATA/gpt2.model" "${TRAIN[@]}" --val "$DATA/val.tokens" --val-every 4 "$@"; }
    train "$DATA/train.tokens" -o whole.model
    for k in 1 5 9; do
        rm -f run.ck
        train --stop-after $k -j 1 --checkpoint run.ck "$DATA/train.tokens" -o part.model
        differ part.model whole.model
        dd if="$DATA/train.tokens" bs=100 status=none | train --checkpoint run.ck -j 3 --micro-tokens 1Ki -o x.model
        same_id whole.model x.model
    done
    rm run.ck
    train --dtype bf16 "$DATA/train.tokens" -o whole.model
    train --dtype bf16 --stop-after 5 --checkpoint run.ck "$DATA/train.tokens" -o part.model
    train --dtype bf16 --checkpoint run.ck "$DATA/train.tokens" -o x.model
    same whole.model x.model
}

@test "a snapshot is the result of a run stopped there" {
    train() { graft pretrain -q -m "$DATA/llama.model" "${TRAIN[@]}" "$@" "$DATA/train.tokens"; }
    train --snapshots log2:log2 --checkpoint run.ck -o whole.model
    [ "$(ls log2)" = "$(printf 'step-%08d.model\n' 1 2 4 8)" ]
    for k in 1 2 8; do
        train --stop-after $k -o x.model
        same_id x.model "log2/step-0000000$k.model"
    done
    train --snapshots 5:five -o x.model
    same whole.model x.model
    same_id whole.model five/step-00000010.model
    graft verify five/step-00000005.model
}

@test "the last batch is trained, also when it is the only one" {
    graft pretrain -q -m "$DATA/llama.model" --schedule constant --log all.jsonl "$DATA/train.tokens" -o x.model \
        --batch-tokens 1G --warmup 0
    [ "$(wc -l <all.jsonl)" -eq 1 ]
    rows=$(graft inspect --json "$DATA/train.tokens" | jq .rows)
    [ "$(jq .rows all.jsonl)" -eq "$rows" ]
    graft pretrain -q -m "$DATA/llama.model" --schedule constant --log some.jsonl "$DATA/train.tokens" -o x.model \
        --batch-tokens 1000 --warmup 0
    [ "$(tail -n 1 some.jsonl | jq .rows)" -eq "$rows" ]
    [ "$(jq -s '[.[].tokens] as $t | [range(1; $t | length) | $t[.] - $t[. - 1]] | max <= 1000' some.jsonl)" = true ]
}

@test "a tiny set is learned by heart by every kind of model" {
    head -n 20 "$DATA/corpus.txt" | graft tokenize -q -t "$DATA/t.tok" -f lines --length 24 -o tiny.tokens
    learn() { # MODEL EPOCHS RATE
        graft shuffle -q --epochs "$2" --seed 1 tiny.tokens |
            graft pretrain -q -m "$DATA/$1.model" --lr "$3" --warmup 5 --batch-tokens 400 --weight-decay 0 --log log -o x.model
        jq -s -e --argjson near "${near:-0.5}" '.[0].loss > 5.5 and (.[-20:] | map(.loss) | add / length) < $near' log
    }
    if [ -n "$GRAFT_SANITIZER" ]; then # the way there is enough
        near=5.2 learn llama 25 5e-3
        return
    fi
    learn llama 150 5e-3
    learn gpt2 150 5e-3
    learn bert 600 1e-2 # sees a sixth of the tokens in an epoch
}
