#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hostile.bats: streams made to do harm (hostile.py), and weights that are no numbers: every program that reads them ends with
# status 3 (verify: 4) and one line, and in little memory, whatever is claimed.

load ../run/common

setup() {
    graft_setup
}

# Address space, in kB: what a program may take at most from here on. A sanitizer takes terabytes.
little_memory() { [ -n "${GRAFT_SANITIZER:-}" ] || ulimit -v 700000; }

# The first Python that has the packages.
find_python() {
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import msgpack, zstandard, xxhash' 2>/dev/null && return
    done
    skip "no python3 with msgpack, zstandard and xxhash"
}

refused() { # STATUS COMMAND...
    status_is "$1" ends "${@:2}" </dev/null || { echo "$file: ${*:2}" >&2; return 1; }
    [ "$1" -eq 4 ] || one_line
}

@test "files that lie" {
    find_python
    mkdir files
    "$python" "$ROOT/tests/fault/hostile.py" files
    little_memory
    n=0
    for file in files/*; do
        refused 4 graft verify -j 2 "$file"
        refused 4 graft verify -j 1 "$file"
        refused 3 graft cat -j 2 "$file" -o out
        refused 3 bash -c "cat $file | graft sum"
        refused 3 bash -c "set -o pipefail; cat $file | graft dump >/dev/null"
        refused 3 graft diff "$file" "$file"
        # Looks at ends and tables only, or at the first rows: a lie elsewhere it need not see, but must survive.
        for look in 'inspect' 'lineage' 'head -n 1 -o out' 'verify --salvage -o out'; do
            # shellcheck disable=SC2086 # several words
            ends graft $look "$file" >stdout 2>stderr </dev/null && continue
            got=$?
            [ $got -eq 3 ] || { echo "$look $file: status $got" >&2; cat stderr >&2; false; }
        done
        n=$((n + 1))
    done
    [ $n -gt 20 ]
    rm -f out
    [ -z "$(find . -name '.graft*')" ]
}

@test "what reads models, tokens and tokenizers refuses them as well" {
    find_python
    mkdir files
    "$python" "$ROOT/tests/fault/hostile.py" files
    little_memory
    echo some text >text.txt
    for file in files/*; do
        refused 3 graft eval -m "$file" "$file"
        refused 3 graft pretrain --schedule constant -m "$file" "$file" -o out
        refused 3 graft tokenize -t "$file" text.txt -o out
        refused 3 graft detokenize -t "$file" "$file"
        refused 3 graft shuffle "$file" -o out
        refused 3 graft generate -m "$file" -p text
        refused 3 graft extract-features -m "$file" "$file" -o out
        refused 3 graft logits -m "$file" "$file" -o out
        refused 3 graft score -m "$file" --rolling -f lines text.txt -o out
    done
    [ ! -e out ]
}

make_model() { # a.tokens and good.model
    printf 'a b c d e f\n%.0s' {1..30} >text.txt
    graft learn-tokenizer -q --vocab 258 -f lines text.txt -o t.tok
    graft tokenize -q -t t.tok -f lines --length 16 text.txt -o a.tokens
    graft init -q -t t.tok --arch gpt2 --layers 1 --width 8 --heads 2 --context 16 -o good.model
}

spoil() { # TENSOR NUMBER FROM TO: its first element
    graft dump "$3" |
        awk -v at="\"tensor\":\"$1\"" -v bad="$2" 'index($0, at) { sub(/"data":\["[^"]*"/, "\"data\":[\"" bad "\"") } { print }' |
        graft undump --edited -o "$4"
}

@test "weights that are no numbers" {
    make_model
    for bad in nan:400000 -nan:400000 inf -inf; do
        spoil layers.0.mlp.up.weight "$bad" good.model bad.model
        graft verify -q bad.model # a sound stream, but no model
        file=$bad
        for command in 'eval -m bad.model a.tokens' 'generate -m bad.model -p a -n 2' \
            'extract-features -m bad.model a.tokens -o out' 'logits -m bad.model a.tokens -o out' \
            'score -m bad.model --rolling -f lines text.txt -o out' \
            'pretrain -m bad.model --steps 2 a.tokens -o out'; do
            # shellcheck disable=SC2086 # several words
            refused 3 graft $command
            says "'layers.0.mlp.up.weight', element 0 is"
        done
    done
    [ ! -e out ]
}

@test "a checkpoint whose weights are no numbers" {
    make_model
    train=(graft pretrain -m good.model --steps 4 --batch-tokens 64 --grain 32 a.tokens -o out)
    "${train[@]}" -q --stop-after 2 --checkpoint run.ck
    rm out
    for family in weights mean square; do
        spoil "$family.layers.0.mlp.up.weight" nan:400000 run.ck bad.ck
        file=$family
        refused 3 "${train[@]}" --checkpoint bad.ck
        says "'bad.ck': tensor '$family.layers.0.mlp.up.weight', element 0 is NaN"
        [ ! -e out ]
    done
}
