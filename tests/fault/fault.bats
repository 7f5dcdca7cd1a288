#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# fault.bats: every program, with its nth fallible operation failing (FAULT=n, common/base/fault.h), for n = 1, 2, 3 ...:
#
#   it ends by itself (no hang, no crash), with status 0 or 1, and after a failure says one line;
#   a file that was there before it holds what it held, or the complete new content; nothing is left lying about;
#   what ended with status 0 is what it always is.

load ../run/common

setup_file() {
    export PATH=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin:$PATH
    cd "$BATS_FILE_TMPDIR" || return 1
    awk 'BEGIN { for (i = 0; i < 40; i++) printf "document %d has the words %d and %d\n", i, i * 7 % 11, i * 5 % 13 }' >corpus.txt
    graft learn-tokenizer -q --type bpe --vocab 280 -f lines corpus.txt -o bpe.tok
    graft tokenize -q -t bpe.tok -f lines --length 24 corpus.txt -o a.tokens
    graft tokenize -q -t bpe.tok -f lines --length 24 corpus.txt -o b.tokens
    graft dump a.tokens >a.txt
    graft init -q -t bpe.tok --arch llama --layers 1 --width 16 --heads 2 --kv-heads 1 --context 32 -o a.model
}

setup() {
    graft_setup
    cp "$BATS_FILE_TMPDIR"/* .
    mkdir work
    cd work || return 1
}

# Whether this is the known good result: out holds the output file, or what came on stdout.
result() { cat out stdout 2>/dev/null | cksum; }

# The command with FAULT=$1: its status is left in $got.
attempt() {
    local fault=$1 old
    shift
    [ -z "$good" ] || echo old >out
    old=$([ ! -e out ] || cksum <out)
    got=0
    FAULT=$fault timeout 60 "$@" >stdout 2>stderr </dev/null || got=$?
    case $got in
    0) [ "$(result)" = "$want" ] || complain "status 0, another result" ;;
    1)
        grep -q '^graft-[a-z-]*: .' stderr || complain "no message: $(cat stderr)"
        [ "$(wc -l <stderr)" -eq 1 ] || complain "not one line: $(cat stderr)"
        # The last fsync, of the directory, comes after the file is in place.
        [ -z "$good" ] || [ "$(cksum <out)" = "$old" ] || [ "$(cksum <out)" = "$good" ] || complain "the old file is gone"
        ;;
    *) complain "status $got: $(cat stderr)" ;;
    esac
    rm -f stderr
    [ "$(find . -mindepth 1 | sort | tr '\n' ' ')" = "${good:+./out }./stdout " ] || complain "left lying about: $(find .)"
}

complain() {
    echo "FAULT=$fault: $1" >&2
    exit 1
}

# attempts COMMAND...: the command writes `out` or standard output. Runs it without faults, then with the fault at 1, 2 ... 30
# and from there on in growing steps, until it does not come so far (twice in a row: some faults are got over, as when a
# file without a name cannot be had); then with the first faults of each kind, which may come late.
attempts() {
    local n=1 got good want untouched=0
    "$@" >stdout 2>stderr </dev/null || { cat stderr >&2; return 1; }
    want=$(result)
    good=$([ ! -e out ] || cksum <out)
    while [ $untouched -lt 2 ]; do
        attempt $n "$@"
        [ "$got" -eq 0 ] && untouched=$((untouched + 1)) || untouched=0
        n=$((n < 30 ? n + 1 : n + n / 7))
    done
    # So that nobody takes a loop that stops at once for a test.
    [ $n -gt 10 ] || { echo "only $n operations could fail" >&2; return 1; }
    for n in read:1 read:2 read:3 write:1 write:2 open:1 open:2 open:3 thread:1 thread:2 fsync:1 fsync:2 rename:1; do
        attempt $n "$@"
    done
}

@test "learn-tokenizer" { attempts graft-learn-tokenizer -q -j 2 --type bpe --vocab 280 -f lines ../corpus.txt -o out; }
@test "tokenize" { attempts graft-tokenize -q -j 2 -t ../bpe.tok -f lines --length 24 ../corpus.txt -o out; }
@test "detokenize" { attempts graft-detokenize -q -j 2 -t ../bpe.tok -l ../a.tokens -o out; }
@test "cat" { attempts graft-cat -q -j 2 ../a.tokens ../b.tokens -o out; }
@test "cat to a pipe" { attempts graft-cat -q -j 2 ../a.tokens ../b.tokens; }
@test "head" { attempts graft-head -q -j 2 -n 7 ../a.tokens -o out; }
@test "shuffle" { attempts graft-shuffle -q -j 2 --seed 1 ../a.tokens -o out; }
@test "shuffle, spilling" { attempts graft-shuffle -q -j 2 --seed 1 --memory 1Mi ../a.tokens -o out; }
@test "mix" { attempts graft-mix -q -j 2 ../a.tokens:0.5 ../b.tokens:0.5 -o out; }
@test "sample" { attempts graft-sample -q -j 2 -n 9 ../a.tokens -o out; }
@test "inspect" { attempts graft-inspect ../a.tokens; }
@test "verify" { attempts graft-verify -j 2 ../a.tokens; }
@test "sum" { attempts graft-sum -j 2 ../a.tokens; }
@test "diff" { attempts graft-diff -j 2 ../a.tokens ../b.tokens; }
@test "dump" { attempts graft-dump -j 2 ../a.tokens; }
@test "undump" { attempts graft-undump -q -j 2 ../a.txt -o out; }
@test "lineage" { attempts graft-lineage ../a.tokens; }
@test "init" { attempts graft-init -q -t ../bpe.tok --arch llama --layers 1 --width 16 --heads 2 --kv-heads 1 --context 32 -o out; }
@test "pretrain" { attempts graft-pretrain -q -j 2 -m ../a.model --steps 2 --batch-tokens 256 --micro-tokens 256 --grain 128 ../a.tokens -o out; }
@test "eval" { attempts graft-eval -q -j 2 -m ../a.model ../a.tokens; }
@test "generate" { attempts graft-generate -q -j 2 -m ../a.model -p document -n 4; }
