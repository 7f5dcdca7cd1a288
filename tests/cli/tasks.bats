#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# tasks.bats: labels are learned, by a model or by an adapter beside it, and said; what does not belong together is refused.

load ../run/common

setup_file() {
    export ROOT=${BATS_TEST_DIRNAME%/tests/*}
    export PATH=${BUILD:-$ROOT/build}/bin:$PATH LC_ALL=C.UTF-8
    cd "$BATS_FILE_TMPDIR" || return 1
    awk 'BEGIN {
        split("red green blue", colour, " "); split("apple pear plum", fruit, " ")
        print "id,text,colour,fruits,length"
        for (i = 0; i < 240; i++) {
            c = colour[i % 3 + 1]; f = fruit[int(i / 3) % 3 + 1]; g = fruit[int(i / 9) % 3 + 1]
            printf "%d,\"the %s basket has a %s and one %s\",%s,%s%s,%d\n", i, c, f, g, c, f, f == g ? "" : ";" g, length(c)
        }
    }' >all.csv
    awk -F'"' 'NR > 1 { print $2 }' all.csv | graft learn-tokenizer -q --vocab 300 -f lines -o t.tok
    graft init -q -t t.tok --arch llama --layers 2 --width 32 --heads 4 --kv-heads 2 --context 48 -o causal.model
    graft tokenize -q -t t.tok --label colour,fruits:classes,length:number --label-separator ";" --keep id,colour all.csv -o all.tokens
    graft shuffle -q --epochs 6 --seed 1 all.tokens -o many.tokens
    graft finetune -q -m causal.model --task colour --lr 3e-3 --batch-tokens 512 many.tokens -o colour.model
    graft lora-train -q -m causal.model --task colour -r 4 --targets all --lr 1e-2 --batch-tokens 512 many.tokens -o colour.adapter
}

setup() {
    graft_setup
    DATA=$BATS_FILE_TMPDIR
    cp "$DATA"/*.tokens "$DATA"/*.model "$DATA"/*.adapter "$DATA"/t.tok .
    FAST=(--batch-tokens 512 --lr 3e-3)
}

right() { jq -s '[.[] | .colour == .label | if . then 1 else 0 end] | add / length'; }
fail() {
    echo "$@"
    return 1
}

@test "a class is learned and said, with kept fields and probabilities" {
    graft predict -q -m colour.model all.tokens >lines
    [ "$(wc -l <lines)" -eq 240 ]
    jq -e -s 'all(.probability > 0.3 and .probability <= 1)' lines
    jq -e -s 'map(.id) == [range(240) | tostring]' lines
    jq -e -n "$(right <lines) > 0.95" || fail "$(right <lines)"
    graft predict -q -m causal.model -a colour.adapter all.tokens >lines
    jq -e -n "$(right <lines) > 0.95" || fail "$(right <lines)"
}

@test "the same answer alone and among others, whatever the threads" {
    graft predict -q -j 1 -m colour.model all.tokens >one
    graft predict -q -j 3 --micro-tokens 48 -m colour.model all.tokens >three
    same one three
    graft head -q -n 1 all.tokens | graft predict -q -m colour.model >alone
    same alone <(head -n 1 one)
}

@test "the bytes do not depend on threads, memory or an interruption" {
    train=(graft finetune -q "${FAST[@]}" -m causal.model --task "colour,fruits,length" --dropout 0.1 --steps 6 many.tokens)
    "${train[@]}" -j 1 -o one
    "${train[@]}" -j 3 --micro-tokens 64 --recompute -o three
    same one three
    "${train[@]}" --checkpoint ck --checkpoint-every 1 --stop-after 3 -o part
    "${train[@]}" --checkpoint ck --checkpoint-every 1 -o rest
    same one rest
}

@test "several heads of several kinds" {
    graft shuffle -q --epochs 12 --seed 2 all.tokens |
        graft finetune -q --batch-tokens 256 --lr 1e-2 -m causal.model --task colour,fruits,length --pooling mean --val all.tokens --log log -o out
    tail -n 1 log >last; jq -e ".validation | .accuracy >= 0.5 and .rmse < 0.5 and .micro_f1 > 0.6 and .macro_f1 > 0.8" last || fail "$(cat last)"
    graft predict -q -m out all.tokens >lines
    head -n 1 lines | jq -e '(.colour.label | type) == "string" and (.fruits.labels | type) == "array" and (.length.value | type) == "number"'
    graft predict -q -m out --task length all.tokens | head -n 1 | jq -e '(.value | type) == "number"'
    [ "$(graft inspect --json out | jq -c '[.meta.labels[].kind]')" = '["class","classes","number"]' ]
}

@test "classes of the held-out rows are found by their names" {
    awk -F, 'NR == 1 || $3 == "red"' "$DATA/all.csv" >red.csv
    graft tokenize -q -t t.tok --label colour red.csv -o red.tokens 2>/dev/null
    [ "$(graft inspect --json red.tokens | jq -c '.meta.labels[0].classes')" = '["red"]' ]
    graft finetune -q "${FAST[@]}" -m causal.model --task colour --val red.tokens --log log many.tokens -o out
    tail -n 1 log | jq -e '.validation.accuracy > 0.9'
}

@test "labels of tokens" {
    awk 'BEGIN { for (i = 0; i < 60; i++) printf "the O\n%s B\nbasket O\n\n", i % 2 ? "red" : "blue" }' >words.conll
    graft tokenize -q -t t.tok -f conll --label ner:tokens words.conll -o words.tokens
    graft shuffle -q --epochs 8 --seed 1 words.tokens | graft finetune -q -m causal.model --task ner --batch-tokens 256 --lr 3e-3 -o out
    graft head -q -n 1 words.tokens | graft predict -q -m out >line
    jq -e '.labels | index("B") != null and index("O") != null' line
}

@test "a model with heads goes on, and gets new ones" {
    graft finetune -q "${FAST[@]}" -m colour.model --steps 2 many.tokens -o more.model
    [ "$(graft inspect --json more.model | jq -c .meta.heads)" = "$(graft inspect --json colour.model | jq -c .meta.heads)" ]
    graft predict -q -m more.model all.tokens | right >rate
    jq -e -n "$(cat rate) > 0.9"
    graft finetune -q "${FAST[@]}" -m colour.model --task length --head-dense tanh --pooling mean,max --steps 2 many.tokens -o other.model
    graft predict -q -m other.model all.tokens | head -n 1 | jq -e '.value'
    graft eval -q -m other.model all.tokens >out # still a language model
}

@test "only what is named is trained" {
    graft finetune -q "${FAST[@]}" -m causal.model --task colour --train 'layers.1.*,norm.*' --steps 3 many.tokens -o out
    graft diff causal.model out >differences || true
    grep -q 'layers.1.mlp.up.weight' differences
    [ "$(grep -c 'layers.0' differences)" -eq 0 ]
    [ "$(grep -c embed differences)" -eq 0 ]
    status_is 2 graft finetune "${FAST[@]}" -m causal.model --task colour --train 'nothing*' many.tokens -o none
    says "--train 'nothing*' matches no parameter"
    [ ! -e none ]
}

@test "what does not belong together" {
    status_is 2 graft finetune "${FAST[@]}" -m causal.model --task taste many.tokens -o out
    says taste
    says colour
    status_is 3 graft predict -m causal.model all.tokens
    one_line
    says 'the model has no heads for labels'
    status_is 2 graft predict -m colour.model --task length all.tokens
    says length
    status_is 2 graft finetune -m causal.model --pooling mean many.tokens -o out
    says '--pooling has no use without --task'
    status_is 2 graft finetune -m causal.model --task colour --objective causal many.tokens -o out
    says '--objective has no use beside --task'
    { echo text,colour; echo one,violet; echo two,red; } >odd.csv
    graft tokenize -q -t t.tok --label colour odd.csv -o odd.tokens
    status_is 3 graft finetune "${FAST[@]}" -m causal.model --task colour --val odd.tokens many.tokens -o out
    one_line
    says violet
    { echo text,colour; echo one,red; echo two,red; } >one.csv
    graft tokenize -q -t t.tok --label colour one.csv -o one.tokens 2>/dev/null
    status_is 3 graft finetune "${FAST[@]}" -m causal.model --task colour one.tokens -o out
    one_line
    says 'a single class'
    [ ! -e out ]
}
