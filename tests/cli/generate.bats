#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# generate.bats: graft generate: prompts from everywhere, results in order, the same alone and among others.

load ../run/common

setup_file() {
    graft_make_fixtures
    head -n 40 corpus.txt | cut -c 1-20 >many.txt
    jq -c -R '{id: input_line_number, text: .}' many.txt >many.jsonl
}

setup() {
    graft_setup
    graft_link_fixtures
}

results() { graft generate -q -m base.model --json -n 12 "$@"; }

@test "a prompt has the same texts alone, among others, in any batch, on any threads" {
    results --samples 2 many.txt >all
    [ "$(wc -l <all)" -eq 80 ]
    [ "$(jq -s -c '[.[].sample] | .[:4]' all)" = '[0,1,0,1]' ]
    results --samples 2 --batch 1 -j 1 many.txt >one
    results --samples 2 --batch 33 -j 4 many.txt >four
    same all one
    same all four
    while IFS= read -r line; do results --samples 2 -p "$line"; done < <(head -n 6 many.txt) >alone
    head -n 12 all >first
    same first alone
    results --samples 2 <many.txt >stdin
    same all stdin
    results --samples 2 - < <(cat many.txt) >pipe
    same all pipe
    results --samples 2 --seed 1 many.txt >other
    run cmp -s all other
    [ "$status" -eq 1 ]
}

@test "plain text is the text of the JSON, a newline after each" {
    results many.txt | jq -r -j '.text + "\n"' >want
    graft generate -q -m base.model -n 12 many.txt >got
    same want got
    results many.txt | jq -r -j '.prompt + .text + "\n"' >want
    graft generate -q -m base.model -n 12 --echo many.txt >got
    same want got
}

@test "JSON lines in, JSON lines out, with what was kept" {
    results many.txt | jq -c '[.prompt, .text, .tokens, .finish, .logprob]' >lines
    graft generate -q -m base.model -n 12 many.jsonl | jq -c '[.prompt, .text, .tokens, .finish, .logprob]' >records
    same lines records
    graft generate -q -m base.model -n 12 -f jsonl --keep id <many.jsonl | jq -c .id >ids
    seq 1 40 >want
    same ids want
    graft generate -q -m base.model -n 3 -f tsv --text text corpus.tsv | jq -r .prompt | head -n 2 >got
    tail -n +2 corpus.tsv | cut -f 2 | head -n 2 >want
    same got want
}

@test "an empty line is a prompt, no line is none" {
    [ "$(printf '\n\n' | results | wc -l)" -eq 2 ]
    status_is 0 graft generate -m base.model -n 3 /dev/null
    [ -z "$output" ]
}

@test "greedy takes no chances" {
    results -T 0 -p 'The old' >a
    results -T 0 --seed 9 --top-k 1 -p 'The old' >b
    same a b
    results --top-k 1 -p 'The old' >c
    same a c
}

@test "the order of the chain makes a difference" {
    # Of a token: the texts differ in length. A temperature that comes first lets unlikely tokens into the top half.
    each='([.[].logprob] | add) / ([.[].tokens | length] | add)'
    results -T 5 --top-p 0.5 --samples 20 -p The | jq -s "$each" >huggingface
    results -T 5 --top-p 0.5 --samples 20 --chain llama.cpp -p The | jq -s "$each" >llama
    jq -n -e "$(cat huggingface) < $(cat llama)"
    results -T 5 --top-p 0.5 --samples 20 --chain penalty,top-k,top-p,min-p,temperature -p The | jq -s "$each" >named
    same llama named
    status_is 2 graft generate -m base.model -p x --chain temperature,top-q
    says "'top-q' is no stage"
    status_is 2 graft generate -m base.model -p x --chain temperature --top-k 3
    says '--top-k has no effect'
}

@test "stop texts are cut off, and nothing of them is printed" {
    graft generate -q -m base.model -n 30 --samples 20 --stop e --stop ' t' --json -p 'The' >all
    jq -s -e 'any(.[]; .finish == "stop") and all(.[]; (.text | contains("e") or contains(" t")) | not)' all
    graft generate -q -m base.model -n 30 --samples 20 --stop e --stop ' t' -p 'The' >text
    jq -r .text all >want
    same want text
    status_is 2 graft generate -m base.model -p x --stop ''
}

@test "what comes out is UTF-8, whatever the model makes" {
    graft generate -q -m init.model -n 60 --samples 50 -T 3 -p x >text
    iconv -f UTF-8 -t UTF-8 text >/dev/null
    graft generate -q -m init.model -n 60 --samples 50 -T 3 -p x --json | jq -e . >/dev/null
}

@test "a line is answered before the next one comes" {
    coproc graft generate -q -m base.model -n 5 --json
    pid=$COPROC_PID
    echo 'The old lamp' >&"${COPROC[1]}"
    read -r -t 20 first <&"${COPROC[0]}"
    [ "$(jq -r .prompt <<<"$first")" = 'The old lamp' ]
    echo 'The river' >&"${COPROC[1]}"
    read -r -t 20 second <&"${COPROC[0]}"
    [ "$(jq -r .prompt <<<"$second")" = 'The river' ]
    eval "exec ${COPROC[1]}>&-"
    wait "$pid"
}

@test "the context is the end, and said to be under -v" {
    status_is 0 graft generate -m base.model -v -n 1000 -T 1 --seed 2 --json -p 'The old'
    [ "$(jq -r .finish <<<"$output")" = context ]
    says 'the context of 64 tokens is full'
    says 'tokens/s'
    status_is 0 graft generate -m base.model --context 9 -n 1000 --json -p 'The old'
    [ "$(jq -r .finish <<<"$output")" = context ]
    status_is 2 graft generate -m base.model --context 65 -p x
}

@test "bad prompts: status 3, one line, what came before is out" {
    printf 'The old\n%0300d\nThe river\n' 0 >long.txt
    status_is 3 graft generate -m base.model -n 3 long.txt
    says 'prompt 2 has '
    says 'the context is 64'
    one_line
    [ "$(wc -l <<<"$output")" -eq 1 ]
    printf 'ok\nbad \xff\n' >bad.txt
    status_is 3 graft generate -m base.model -n 3 bad.txt
    says 'bad.txt'
    one_line
    status_is 0 graft generate -q -m base.model -n 3 --invalid replace bad.txt
    printf '{"text": "a"}\n{"txt": "b"}\n' >bad.jsonl
    status_is 3 graft generate -m base.model -n 3 bad.jsonl
    says bad.jsonl
    says "'text'"
    printf '{"text": "a"\n' >bad.jsonl
    status_is 3 graft generate -m base.model -n 3 bad.jsonl
    one_line
}

@test "misuse" {
    status_is 2 graft generate -m base.model -p x many.txt
    says 'not both'
    status_is 2 graft generate -m base.model -p x --keep id
    status_is 2 graft generate -p x
    graft learn-tokenizer -q --vocab 300 --special 'cls=[CLS]' --special 'sep=[SEP]' --special 'mask=[MASK]' -f lines corpus.txt -o mask.tok
    graft init -q -t mask.tok --arch bert --layers 1 --width 32 --heads 2 --context 64 -o mask.model
    status_is 2 graft generate -m mask.model -p x
    says 'cannot continue a text'
    status_is 3 graft generate -m bpe.tok -p x
    status_is 3 graft generate -m corpus.txt -p x
    head -c 3000 base.model >cut.model
    status_is 3 graft generate -m cut.model -p x
}

@test "-o is complete or not at all; full disks and closed pipes show" {
    graft generate -q -m base.model -n 5 -o out.txt many.txt
    [ "$(wc -l <out.txt)" -ge 40 ]
    echo before >kept.txt
    printf 'a\n%0300d\n' 0 >long.txt
    status_is 3 graft generate -q -m base.model -n 5 -o kept.txt long.txt
    [ "$(cat kept.txt)" = before ]
    status_is 1 bash -c 'graft generate -m base.model -n 5 -p x >/dev/full'
    says 'No space left on device'
    unread_pipe
    status_is 141 bash -c 'exec graft generate -q -m base.model -n 50 --samples 500 -p x >&5'
    exec 5>&-
    [ -z "$stderr" ]
}

@test "--plan counts the cache" {
    few=$(graft generate -m base.model --plan --batch 1 | tail -n 1)
    many=$(graft generate -m base.model --plan --batch 64 | tail -n 1)
    [[ $few == *'in all' && $few != "$many" ]]
    status_is 2 graft generate -m base.model --plan --context 1M
    says "--context 1000000 is more than the model's"
    status_is 0 graft generate -m <(cat base.model) --plan --batch 64
    [ "$(tail -n 1 <<<"$output")" = "$many" ]
}

@test "--plan takes no memory for the model, and refuses what is none" {
    graft init --arch gpt2 --layers 1 --width 512 --heads 8 --vocab 50257 -o large.model # 118 MB
    head -c 100000 large.model >cut.model
    for program in generate eval score logits extract-features pretrain; do
        status_is 0 bash -c "[ \"\$GRAFT_SANITIZER\" ] || ulimit -v 100000; exec graft $program -j 1 -m large.model --plan"
        [[ $output == *'in all' ]]
        status_is 3 graft "$program" -m cut.model --plan
        one_line
    done
}

@test "options of files have no use beside -p" {
    for option in '--text x' --no-header '--invalid replace' '--keep all' '-f lines'; do
        # shellcheck disable=SC2086 # an option and its value
        status_is 2 graft generate -m base.model -p a $option
        says 'is for prompts from files'
    done
}

@test "texts are not written over what is read" {
    cp many.txt prompts.txt
    status_is 2 graft generate -m base.model prompts.txt -o ./prompts.txt
    says "'prompts.txt' would overwrite"
    same many.txt prompts.txt
}

@test "fields that are carried along come out as they went in" {
    printf '%s\n' '{"text": "a b", "n": 0.1, "big": 123456789012345678901234567890, "sample": 7, "l": [1.50, {"s": "\u00e9 x"}]}' >p.jsonl
    results --keep all p.jsonl >out
    grep -q '^{"n":0.1,"big":123456789012345678901234567890,"l":\[1.50,{"s":"\\u00e9 x"}\],"prompt":"a b","sample":0,' out
    jq -e '.n == 0.1 and .sample == 0 and (.tokens | length) == 12' out
}

@test "a prompt is computed once for all its samples" {
    head -n 3 many.txt >three.txt
    tokens() { results -v "$@" 2>&1 >/dev/null | sed -n 's/.* prompts of \([0-9]*\) tokens.*/\1/p'; }
    results() { graft generate -m base.model --json -n 12 "$@"; }
    want=$(tokens three.txt)
    [ "$want" -gt 9 ]
    for batch in 1 2 8; do [ "$(tokens --samples 5 --batch $batch three.txt)" -eq "$want" ]; done
}

@test "prompts that begin alike are computed once as far as they do, and say the same" {
    awk 'NR <= 8 { print "The old lamp holds the river and warms the bright stone of the quiet garden " substr($0, 1, 7 * (NR % 4)) }' \
        corpus.txt >alike.txt
    echo 'The old lamp holds the river' >>alike.txt
    echo 'A quiet garden' >>alike.txt
    for options in '' '--dtype bf16' '--device ref'; do
        # shellcheck disable=SC2086
        results() { graft generate -m base.model --json -n 6 $options "$@"; }
        while IFS= read -r line; do results -p "$line"; done <alike.txt >alone
        for batch in 1 3 8; do
            results -v --batch $batch alike.txt >together 2>said
            same alone together
            sed -n 's/.* of \([0-9]*\) tokens, \([0-9]*\) of them shared.*/\1 \2/p' said | awk '{ exit !($2 > $1 / 2) }'
        done
    done
}
