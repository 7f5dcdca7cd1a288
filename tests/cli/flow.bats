#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# flow.bats: what shuffle, shard, mix and sample say and leave behind when they are misused.

load ../run/common

setup_file() {
    export PATH=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin:$PATH
    cd "$BATS_FILE_TMPDIR" || return 1
    seq 1 300 | sed 's/.*/line & of some text/' >corpus.txt
    graft learn-tokenizer -q --type bpe --vocab 300 -f lines corpus.txt -o bpe.tok
    seq 1 300 | graft learn-tokenizer -q --type bpe --vocab 300 -f lines -o other.tok
    graft tokenize -q -t bpe.tok -f lines corpus.txt -o a.tokens
    graft tokenize -q -t other.tok -f lines corpus.txt -o b.tokens
}

setup() {
    graft_setup
    ln -s "$BATS_FILE_TMPDIR"/*.tok* .
}

@test "a stream without rows, text, nothing, another tokenizer: exit 3 with one line" {
    echo text >text
    : >empty
    for command in 'shuffle -o out' 'sample -n 1 -o out' 'shard --count 9 -o out'; do
        for input in bpe.tok text empty; do
            # shellcheck disable=SC2086
            status_is 3 graft $command $input
            one_line
            says "'$input'"
            [ ! -e out ]
        done
        # shellcheck disable=SC2086
        status_is 3 graft $command a.tokens b.tokens
        one_line
        says "'b.tokens'"
        [ ! -e out ]
    done
    status_is 3 graft mix a.tokens:1 b.tokens:1 -o out
    says "'b.tokens'"
    status_is 3 graft mix bpe.tok:1 -o out
    [ ! -e out ]
}

@test "an output that cannot be is found out before the input is read" {
    mkfifo endless
    exec 4<>endless # held open: it does not end by itself
    for command in 'shuffle -o' 'sample -n 1 -o' 'shard --count 9 -o'; do
        cat a.tokens >&4
        # shellcheck disable=SC2086 # several words
        status_is 1 ends graft $command /nonexistent/out/x endless 4>&-
        says /nonexistent/out
    done
    exec 4>&-
}

@test "a full disk" {
    status_is 1 bash -c 'graft shuffle a.tokens >/dev/full'
    one_line
    status_is 1 bash -c 'graft sample -n 20 a.tokens >/dev/full'
    status_is 1 bash -c 'graft mix a.tokens:1 >/dev/full'
}

@test "a reader that is gone ends them without a word" {
    for command in 'shuffle --epochs 2000' 'mix a.tokens:1 --rows 200' 'sample --fraction 1'; do
        # shellcheck disable=SC2016
        status_is 0 bash -c "graft $command $([ "${command%% *}" = mix ] || echo a.tokens) | true"
        [ -z "$stderr" ]
    done
}

@test "shard says how it wants to be asked" {
    status_is 2 graft shard -o out a.tokens
    says 'one of --split NAME=FRACTION,..., --parts N, --count N and --size BYTES'
    status_is 2 graft shard --count 3 --size 3 -o out a.tokens
    status_is 2 graft shard --count 3 a.tokens
    says '-o'
    status_is 2 graft shard --split train=0.9,val=0.05 -o out a.tokens
    says 'rest=0.05'
    status_is 2 graft shard --split train=0.9,val=0.2 -o out a.tokens
    says 'add up to 1.1'
    status_is 2 graft shard --split ../x=0.5,y=0.5 -o out a.tokens
    says 'cannot be the name of a part'
    status_is 2 graft shard --count 3 --seed 1 -o out a.tokens
    says '--seed changes nothing'
    status_is 2 graft shard --split x=1 --prefix p -o out a.tokens
    says '--prefix names numbered parts'
    echo keep >file
    status_is 2 graft shard --count 3 -o file a.tokens
    says 'not a directory'
    [ "$(cat file)" = keep ] && [ ! -e out ]
}

@test "shard replaces what is there only when all is well, and warns of empty parts" {
    graft shard --split x=0.5,y=0.5 -o out a.tokens
    before=$(cat out/x.tokens out/y.tokens | sha256sum)
    head -c 2000 a.tokens >cut.tokens
    status_is 3 graft shard --split x=0.5,y=0.5 --seed 1 -o out cut.tokens
    [ "$(cat out/x.tokens out/y.tokens | sha256sum)" = "$before" ]
    [ "$(ls -A out)" = "$(printf 'x.tokens\ny.tokens')" ]
    status_is 0 graft shard --split x=0.999999,y=0.000001 -o out a.tokens
    says "'out/y.tokens' is empty"
    graft shard --count 100 -o parts a.tokens
    status_is 2 graft shard --count 200 -o parts a.tokens
    says "parts/part-00002.tokens"
    graft shard --count 200 --prefix other -o parts a.tokens
}

@test "mix says how it wants to be asked" {
    status_is 2 graft mix a.tokens
    says 'FILE:WEIGHT'
    status_is 2 graft mix a.tokens:0
    says 'not a number above 0'
    status_is 2 graft mix
    status_is 0 graft mix -v a.tokens:1 --rows 1000 -o out
    says 'fewer than were asked for'
    says 'a.tokens: 300 rows'
}

@test "sample and shuffle: numbers out of range, too few rows" {
    status_is 2 graft sample a.tokens
    says 'one of -n N, --fraction F and --per-class N'
    status_is 2 graft sample -n 3 --fraction 0.5 a.tokens
    status_is 2 graft sample --fraction 2 a.tokens
    status_is 2 graft sample --fraction 0.2 --memory 1G a.tokens
    says '--memory changes nothing'
    status_is 2 graft shuffle --epochs 0 a.tokens
    status_is 2 graft shuffle --memory 1000 a.tokens
    status_is 0 graft sample -n 1000 a.tokens -o out
    says '1000 rows were asked for, and there are 300'
    status_is 0 graft sample -n 0 a.tokens -o out
    status_is 0 graft shuffle out -o out2
}
