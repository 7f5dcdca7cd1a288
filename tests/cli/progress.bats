#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# progress.bats: on a terminal every long run says how far it has come and when it will end; elsewhere, and with -q, it says nothing.

load ../run/common

setup_file() {
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR graft_setup
    mkdir "$BATS_FILE_TMPDIR/made"
    cd "$BATS_FILE_TMPDIR/made" || return 1
    for i in $(seq 30000); do echo "line $i of a text that says what number $((i * i % 97)) is, and $((i % 13)) more"; done >corpus.txt
    head -n 500 corpus.txt >little.txt
    graft learn-tokenizer -q --vocab 290 -f lines little.txt -o t.tok
    graft tokenize -q -t t.tok -f lines corpus.txt -o a.tokens
    graft head -q -n 200 a.tokens -o few.tokens
    graft dump few.tokens >few.jsonl
    graft init -q -t t.tok --arch llama --layers 1 --width 16 --heads 2 --context 64 -o init.model
}

setup() {
    graft_setup
    need script
    ln -s "$BATS_FILE_TMPDIR/made/"* .
}

# terminal CMD...: what it writes to a terminal, a line for each state of the line of progress
terminal() { script -qec "$*" /dev/null </dev/null | tr '\r' '\n' | sed 's/\x1b\[K//g'; }

shows() { # PATTERN CMD...
    local pattern=$1 got
    shift
    got=$(terminal "$@")
    grep -qE "$pattern" <<<"$got" || { printf '%s\n' "no '$pattern' from $*:" "$got" >&2; return 1; }
    got=$(terminal "$@" -q)
    ! grep -qE "$pattern" <<<"$got" || { printf '%s\n' "-q shows $got" >&2; return 1; }
    "$@" >/dev/null 2>.err
    ! grep -qE "$pattern" .err
}

@test "text: how much of it is read, then how many merges are made" {
    shows 'reading text: 1\.05 MB of 1\.[0-9]+ MB' graft learn-tokenizer --vocab 400 -f lines corpus.txt -o x.tok
    shows 'merges: 0 of [0-9]+' graft learn-tokenizer --vocab 400 -f lines little.txt -o x.tok
    shows 'reading text: 1\.05 MB of 1\.[0-9]+ MB' graft tokenize -t t.tok -f lines corpus.txt -o x.tokens
    shows 'reading text: [0-9.]+ kB of [0-9.]+ kB' graft undump few.jsonl -o x.tokens
    # a pipe does not say how long it is
    terminal "cat corpus.txt | graft tokenize -t t.tok -f lines -o x.tokens" | grep -qE 'reading text: [0-9.]+ [kM]?B'
}

@test "streams: how much of them is read" {
    for c in cat verify sum 'shuffle' 'shard --count 20000 -o parts/' 'sample --rows 5' dump; do
        # shellcheck disable=SC2086 # several words
        case $c in
        shard*) shows "reading 'a.tokens': [0-9.]+ k?B of [0-9.]+ kB" graft $c a.tokens ;;
        verify | sum) shows "reading 'a.tokens': [0-9.]+ k?B of [0-9.]+ kB" graft $c a.tokens ;;
        dump) terminal "graft dump a.tokens >x.jsonl" | grep -qE "reading 'a.tokens'" ;;
        *) shows "reading 'a.tokens': [0-9.]+ k?B of [0-9.]+ kB" graft $c a.tokens -o x.tokens ;;
        esac
    done
    shows "reading 'a.tokens'" graft diff a.tokens a.tokens
    shows "reading 'few.tokens'" graft detokenize -t t.tok few.tokens -o x.txt
    terminal "graft dump few.tokens" | grep -qvE reading # the text itself is there
    shows 'rows shuffled: [0-9]+ of 60000' graft shuffle --epochs 2 a.tokens -o x.tokens
    shows 'rows mixed: 4096 of [0-9]+' graft mix a.tokens:1 a.tokens:1 -o x.tokens
    shows 'rows mixed: 4096 of 5000' graft mix --rows 5000 a.tokens:1 few.tokens:0.001 -o x.tokens
}

@test "models: steps, rows, and what is left" {
    shows 'step 1.* tokens/s .* left' graft pretrain -m init.model --batch-tokens 256 --steps 3 few.tokens -o x.model
    shows 'judging: [0-9]+ rows, [0-9]+ tokens/s, .* left' graft eval -m init.model few.tokens
    shows '[0-9]+ results' graft generate -m init.model -n 3 -o x.txt little.txt
}
