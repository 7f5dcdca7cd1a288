#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lora.bats: an adapter is learned, used, gone on with; what does not belong together is refused.

load ../run/common

setup_file() {
    export ROOT=${BATS_TEST_DIRNAME%/tests/*}
    export PATH=${BUILD:-$ROOT/build}/bin:$PATH LC_ALL=C.UTF-8
    cd "$BATS_FILE_TMPDIR" || return 1
    for i in $(seq 200); do echo "line $i of a text that says what number $((i * i % 97)) is"; done >corpus.txt
    graft learn-tokenizer -q --vocab 290 -f lines corpus.txt -o t.tok
    graft tokenize -q -t t.tok -f lines --length 32 corpus.txt -o all.tokens
    graft head -n 150 all.tokens -o train.tokens
    graft init -q -t t.tok --arch llama --layers 2 --width 32 --heads 4 --kv-heads 2 --context 32 -o init.model
    graft pretrain -q -m init.model --steps 20 --batch-tokens 512 --lr 1e-2 train.tokens -o base.model
    graft lora-train -q -m base.model -r 4 --targets all --lr 1e-2 --batch-tokens 256 train.tokens -o a.adapter
}

setup() {
    graft_setup
    DATA=$BATS_FILE_TMPDIR
    cp "$DATA"/*.tokens "$DATA"/*.model "$DATA"/*.adapter .
    FAST=(-m base.model --batch-tokens 256 --warmup 1 --lr 1e-2)
}

loss() { graft eval --json --bootstrap 0 "$@" | jq .loss; }
fail() {
    echo "$@"
    return 1
}
differ() { ! cmp -s "$1" "$2"; }

@test "an adapter gains, and its weight says how much of it counts" {
    base=$(loss -m base.model all.tokens)
    whole=$(loss -m base.model -a a.adapter all.tokens)
    none=$(loss -m base.model -a a.adapter --adapter-weight 0 all.tokens)
    halves=$(loss -m base.model -a a.adapter -a a.adapter --adapter-weight 0.5 --adapter-weight 0.5 all.tokens)
    jq -e -n "$whole < $base - 0.05" || fail "$whole after $base"
    jq -e -n "$none == $base" || fail "$none without, $base"
    jq -e -n "($halves - $whole) | fabs < 1e-5" || fail "$halves of two halves, $whole"
}

@test "the bytes do not depend on threads, memory or an interruption" {
    train=(graft lora-train -q "${FAST[@]}" -r 3 --targets "q,down" --lora-dropout 0.1 --steps 6 train.tokens)
    "${train[@]}" -j 1 -o one
    "${train[@]}" -j 3 --micro-tokens 64 --grain 1Ki --recompute -o three
    same one three
    "${train[@]}" --checkpoint ck --checkpoint-every 1 --stop-after 3 -o part
    "${train[@]}" --checkpoint ck --checkpoint-every 1 -o rest
    same one rest
    differ one part
}

@test "going on from an adapter" {
    graft lora-train -q "${FAST[@]}" --start a.adapter --steps 4 train.tokens -o b.adapter
    [ "$(graft inspect --json b.adapter | jq -c .meta.adapter.parts)" = "$(graft inspect --json a.adapter | jq -c .meta.adapter.parts)" ]
    graft lineage b.adapter >out
    grep -q "adapter 'a.adapter'" out
    before=$(loss -m base.model -a a.adapter all.tokens)
    after=$(loss -m base.model -a b.adapter all.tokens)
    jq -e -n "$after < $before" || fail "$after after $before"
    status_is 2 graft lora-train "${FAST[@]}" --start a.adapter -r 4 train.tokens -o out.adapter
    says '--rank has no use beside --start'
}

@test "a quantised base" {
    graft quantize -q --type q8_0 base.model -o small.model
    graft lora-train -q "${FAST[@]}" -m small.model -r 2 --steps 8 train.tokens -o s.adapter
    before=$(loss -m small.model all.tokens)
    after=$(loss -m small.model -a s.adapter all.tokens)
    jq -e -n "$after < $before" || fail "$after after $before"
}

@test "continuing prompts and scoring with an adapter" {
    graft generate -q -m base.model -p 'line 7' --tokens 6 --temperature 0 >without
    graft generate -q -m base.model -a a.adapter -p 'line 7' --tokens 6 --temperature 0 >with
    differ without with
    graft generate -q -m base.model -a a.adapter --adapter-weight 0 -p 'line 7' --tokens 6 --temperature 0 >zero
    same without zero
    echo '{"context": "line 7", "continuation": " of a text"}' >q.jsonl
    graft score -q -m base.model q.jsonl >without
    graft score -q -m base.model -a a.adapter q.jsonl >with
    differ without with
}

@test "an adapter of another model" {
    status_is 3 graft eval -m init.model -a a.adapter all.tokens
    one_line
    says "the adapter 'a.adapter': belongs to the model of id"
    says '--force'
    graft eval -q -m init.model -a a.adapter --force all.tokens >out
    graft init -q -t "$DATA/t.tok" --arch gpt2 --layers 2 --width 32 --heads 4 --context 32 -o gpt2.model
    status_is 3 graft eval -m gpt2.model -a a.adapter --force all.tokens
    one_line
    says "the adapter 'a.adapter': tensor 'layers.0.attention.k.lora.B' is not F32 [32, 4], as the base model wants it"
    status_is 3 graft lora-train "${FAST[@]}" -m init.model --start a.adapter train.tokens -o out.adapter
    one_line
    says 'belongs to the model of id'
    [ ! -e out.adapter ]
}

@test "no adapter, and options of one without one" {
    status_is 3 graft eval -m base.model -a base.model all.tokens
    one_line
    says adapter
    status_is 2 graft eval -m base.model --force all.tokens
    says '--force has no use without an adapter'
    status_is 2 graft eval -m base.model -a a.adapter --adapter-weight x all.tokens
    says "--adapter-weight 'x' is no number"
    status_is 2 graft eval -m base.model -a a.adapter --adapter-weight 1 --adapter-weight 2 all.tokens
    says '2 of --adapter-weight for 1 adapters'
}

@test "targets and ranks that the model has not" {
    for options in '--targets q,head' '--targets gate_up,gate' '-r 33' '--rank-of q=0' '--rank-of nothing=2'; do
        # shellcheck disable=SC2086 # words
        status_is 2 graft lora-train "${FAST[@]}" $options train.tokens -o out.adapter
        [ ! -e out.adapter ]
    done
}

@test "snapshots are adapters" {
    graft lora-train -q "${FAST[@]}" --steps 2 --snapshots 1:snaps train.tokens -o out.adapter
    graft verify -q snaps/step-00000001.adapter
    [ "$(graft inspect --json snaps/step-00000002.adapter | jq -r .id)" = "$(graft inspect --json out.adapter | jq -r .id)" ]
}

@test "the plan has no gradients of what is frozen" {
    graft lora-train -m base.model --plan >lora
    graft pretrain -m base.model --plan >full
    of() { awk '/gradients, F32/ { print $1 }' "$1"; }
    [ -n "$(of lora)" ] && [ "$(of lora)" != "$(of full)" ]
}
