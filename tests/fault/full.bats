#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# full.bats: a disk that is full: the output, the checkpoint or TMPDIR lies on a file system of a few kB. The program ends with
# status 1 and one line that says so; what was there before is there, and nothing else is. (Every single write fails in
# fault.bats; here the kernel says no.)

load ../run/common

setup_file() {
    export PATH=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin:$PATH
    cd "$BATS_FILE_TMPDIR" || return 1
    awk 'BEGIN { x = 1; for (i = 0; i < 60000; i++) { x = x * 1103 % 65537; print "line", x, x * x % 977 } }' >corpus.txt
    graft learn-tokenizer -q --vocab 300 -f lines corpus.txt -o bpe.tok
    graft tokenize -q -t bpe.tok -f lines corpus.txt -o a.tokens
    graft init -q -t bpe.tok --arch gpt2 --layers 2 --width 64 --heads 2 --context 64 -o a.model
    graft dump a.tokens >a.txt
}

setup() {
    graft_setup
    DATA=$BATS_FILE_TMPDIR
    mkdir small
    # Root mounts in a name space of its own, others in one of users as well.
    enter=(unshare -m)
    [ "$(id -u)" -eq 0 ] || enter=(unshare -Urm)
    "${enter[@]}" mount -t tmpfs -o size=64k none small 2>/dev/null || skip "a tmpfs cannot be mounted here"
}

# fails SIZE CAUSE COMMAND...: runs it with `small` of SIZE, in which a file `old` stands; it must fail as described above.
fails() {
    # shellcheck disable=SC2016 # for the inner shell
    "${enter[@]}" bash -euc '
        mount -t tmpfs -o size="$1" none small
        cause=$2
        shift 2
        echo old >small/old
        got=0
        "$@" >/dev/null 2>stderr </dev/null || got=$?
        if [ $got -ne 1 ]; then echo "status $got: $*"; cat stderr; exit 1; fi
        if ! grep -q "^graft-[a-z-]*: .*$cause" stderr || [ "$(wc -l <stderr)" -ne 1 ]; then cat stderr; exit 1; fi
        [ "$(cat small/old)" = old ]
        [ "$(ls -A small)" = old ] || { ls -lA small; exit 1; }
    ' bash "$@" >&2
}

@test "the output" {
    full='No space left on device'
    fails 64k "$full" graft cat "$DATA/a.tokens" -o small/old
    fails 64k "$full" graft cat "$DATA/a.tokens" -o small/new
    fails 64k "$full" graft shuffle --seed 1 "$DATA/a.tokens" -o small/old
    fails 64k "$full" graft shard --split a=0.5,b=0.5 "$DATA/a.tokens" -o small
    fails 64k "$full" graft tokenize -t "$DATA/bpe.tok" -f lines "$DATA/corpus.txt" -o small/old
    fails 64k "$full" graft detokenize -t "$DATA/bpe.tok" "$DATA/a.tokens" -o small/old
    fails 64k "$full" graft undump "$DATA/a.txt" -o small/old
    fails 64k "$full" graft init -t "$DATA/bpe.tok" --arch gpt2 --layers 2 --width 64 --heads 2 --context 64 -o small/old
    fails 64k "$full" graft verify --salvage -q "$DATA/a.tokens" -o small/old
    fails 12k "$full" graft learn-tokenizer -q --vocab 2000 -f lines "$DATA/corpus.txt" -o small/old
    fails 64k "$full" graft pretrain -q -m "$DATA/a.model" --steps 1 --batch-tokens 256 "$DATA/a.tokens" -o small/old
}

@test "the checkpoint, the log, a snapshot" {
    full='No space left on device'
    train=(graft pretrain -q -m "$DATA/a.model" --steps 2 --batch-tokens 256 "$DATA/a.tokens" -o out)
    fails 64k "small/ck': $full" "${train[@]}" --checkpoint small/ck --checkpoint-every 1
    fails 64k "$full" "${train[@]}" --snapshots 1:small
    [ ! -e out ]
}

@test "TMPDIR" {
    # Files: the room is looked up before. Pipes: it is found out.
    TMPDIR=small fails 64k "not enough space in 'small'" graft shuffle --memory 1Mi "$DATA/a.tokens" -o out
    # shellcheck disable=SC2016
    TMPDIR=small fails 64k "'small': No space left on device" \
        bash -c 'env -u TMPDIR cat "$1" | graft shuffle --memory 1Mi -o out' bash "$DATA/a.tokens"
    # shellcheck disable=SC2016
    TMPDIR=small fails 64k "'small': cannot write 'a temporary file': No space left on device" \
        bash -c 'env -u TMPDIR cat "$1" | graft pretrain -q -m "$2" --steps 1 --val /dev/stdin "$1" -o out' bash "$DATA/a.tokens" "$DATA/a.model"
    [ ! -e out ]
}
