#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# flow.bats: the equations of shuffle, shard, mix and sample: nothing is lost, and the result depends on seed and content
# only: not on files or pipes, their chunks, threads, memory, frames, or (shuffle) the order of the input.

load ../run/common

# all.tokens: 6,000 rows of 2,000 documents, a third of which stand there twice; a.tokens, b.tokens: its two parts.
setup_file() {
    export PATH=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin:$PATH
    cd "$BATS_FILE_TMPDIR" || return 1
    awk 'BEGIN {
        for (i = 0; i < 2000; i++) {
            n = i % 3 ? i : 0 + i % 600
            printf "document %d", n
            for (k = 0; k < n % 40; k++) printf " word%d", (n * 31 + k * 7) % 97
            print ""
        }
    }' >corpus.txt
    graft learn-tokenizer -q --type bpe --vocab 320 -f lines corpus.txt -o bpe.tok
    graft tokenize -q -t bpe.tok -f lines --length 24 corpus.txt -o all.tokens
    head -n 1200 corpus.txt | graft tokenize -q -t bpe.tok -f lines --length 24 -o a.tokens
    tail -n 800 corpus.txt | graft tokenize -q -t bpe.tok -f lines --length 24 -o b.tokens
}

setup() {
    graft_setup
    ln -s "$BATS_FILE_TMPDIR"/*.tokens .
}

stream_id() { # [FILE]: the id of a stream, at its end or on standard input
    graft inspect --json "$@" | jq -r .id
}

rows() { graft inspect --json "$@" | jq -r .rows; }

sum() { graft sum "$@" | cut -d ' ' -f 1; }

# many.tokens: more than 1 MiB of rows.
many() {
    local a=all.tokens
    cat $a $a $a $a $a $a $a $a $a $a >many.tokens
}

# Standard input in pieces of odd sizes, with pauses so that readers see each.
dribble() {
    python3 -c '
import os, sys, time
data, at, n = sys.stdin.buffer.read(), 0, 1
while at < len(data):
    os.write(1, data[at:at + n])
    at += n
    n = n * 7 % 9973
    if n % 5 == 0: time.sleep(0.001)
'
}

@test "shuffle: the same rows, in another order" {
    graft shuffle --seed 1 all.tokens -o s.tokens
    [ "$(sum s.tokens)" = "$(sum all.tokens)" ]
    [ "$(stream_id s.tokens)" != "$(stream_id all.tokens)" ]
    graft shuffle --seed 2 all.tokens -o t.tokens
    [ "$(sum t.tokens)" = "$(sum all.tokens)" ]
    [ "$(stream_id s.tokens)" != "$(stream_id t.tokens)" ]
}

@test "shuffle: the order of the input does not matter" {
    want=$(graft shuffle --seed 1 all.tokens | stream_id)
    [ "$(graft shuffle --seed 1 a.tokens b.tokens | stream_id)" = "$want" ]
    [ "$(graft shuffle --seed 1 b.tokens a.tokens | stream_id)" = "$want" ]
    [ "$(graft shuffle --seed 9 all.tokens | graft shuffle --seed 1 | stream_id)" = "$want" ]
    [ "$(cat b.tokens a.tokens | graft shuffle --seed 1 | stream_id)" = "$want" ]
}

@test "shuffle: threads, pipes, their chunks, and memory do not matter" {
    graft shuffle --seed 1 -j1 all.tokens -o s.tokens
    for j in 0 2 4; do
        graft shuffle --seed 1 -j$j all.tokens -o t.tokens
        same s.tokens t.tokens
    done
    want=$(stream_id s.tokens)
    [ "$(graft shuffle --seed 1 <all.tokens | stream_id)" = "$want" ]
    [ "$(dribble <all.tokens | graft shuffle --seed 1 | stream_id)" = "$want" ]
    many
    graft shuffle --seed 1 --epochs 2 many.tokens -o s.tokens
    graft shuffle --seed 1 --epochs 2 --memory 1Mi many.tokens -o t.tokens
    same s.tokens t.tokens
}

@test "shuffle: epochs are different, each whole, and do not depend on how many there are" {
    graft shuffle --seed 1 all.tokens -o one.tokens
    graft shuffle --seed 1 --epochs 3 all.tokens -o three.tokens
    n=$(rows all.tokens)
    [ "$(rows three.tokens)" -eq $((3 * n)) ]
    [ "$(graft head -n "$n" three.tokens | stream_id)" = "$(stream_id one.tokens)" ]
    [ "$(sum three.tokens)" = "$(sum all.tokens all.tokens all.tokens)" ]
    [ "$(graft head -n $((2 * n)) three.tokens | sum)" = "$(sum all.tokens all.tokens)" ]
    [ "$(graft inspect --json three.tokens | jq .expect_rows)" = "$(rows three.tokens)" ]
}

@test "shuffle: nothing is left in TMPDIR, whatever happens" {
    mkdir tmp
    many
    TMPDIR=$PWD/tmp graft shuffle --memory 1Mi --epochs 4 many.tokens -o s.tokens
    [ -z "$(ls -A tmp)" ]
    mkfifo in
    TMPDIR=$PWD/tmp graft shuffle --memory 1Mi -o t.tokens <in 3>&- &
    pid=$!
    spilled() { # some of it, into a file without a name
        find "/proc/$pid/fd" -lname "$PWD/tmp/*" -printf '%f\n' | while read -r fd; do
            test -s "/proc/$pid/fd/$fd" && echo "$fd"
        done | grep -q .
    }
    exec 4>in
    cat many.tokens >&4
    wait_alive $pid spilled
    [ -z "$(ls -A tmp)" ]
    kill -9 $pid
    wait $pid || true
    exec 4>&-
    [ -z "$(ls -A tmp)" ]
    [ ! -e t.tokens ]
}

@test "shuffle: no room in TMPDIR: exit 1, a hint, nothing left" {
    many
    # shellcheck disable=SC2016
    status_is 1 bash -c 'ulimit -f 600; exec graft shuffle --memory 1Mi --epochs 30 many.tokens | wc -c >/dev/null; exit "${PIPESTATUS[0]}"'
    one_line
    says 'set TMPDIR to a directory with more room'
    status_is 1 env TMPDIR=/nonexistent graft shuffle --memory 1Mi many.tokens -o s.tokens
    [ ! -e s.tokens ]
}

@test "shuffle: a small TMPDIR is found out before work begins" {
    [ "$(id -u)" -eq 0 ] || skip "only root can mount a small file system"
    mkdir small
    mount -t tmpfs -o size=1m none small 2>/dev/null || skip "no tmpfs can be mounted here"
    many
    status_is 1 env TMPDIR="$PWD/small" graft shuffle --memory 1Mi many.tokens -o s.tokens
    umount small
    one_line
    says 'not enough space'
    [ ! -e s.tokens ]
}

@test "shard: parts joined are the whole; documents are on one side" {
    graft shard --split train=0.7,val=0.2,test=0.1 --seed 3 -o data all.tokens
    [ "$(sum data/*.tokens)" = "$(sum all.tokens)" ]
    for part in train val test; do
        graft dump data/$part.tokens | jq -r 'select(.row).row.doc' | sort -u >$part.docs
        [ -s $part.docs ]
    done
    [ -z "$(cat train.docs val.docs test.docs | sort | uniq -d)" ]
}

@test "shard: a document's side depends on seed and document only" {
    graft shard --split x=0.5,y=0.5 --seed 3 -o one all.tokens
    graft shuffle all.tokens | dribble | graft shard --split x=0.5,y=0.5 --seed 3 -o two -
    graft shard -j1 --split x=0.5,y=0.5 --seed 3 -o three a.tokens b.tokens
    for part in x y; do
        [ "$(sum one/$part.tokens)" = "$(sum two/$part.tokens)" ]
        [ "$(stream_id one/$part.tokens)" = "$(stream_id three/$part.tokens)" ]
    done
    graft shard --split x=0.5,y=0.5 --seed 4 -o four all.tokens
    [ "$(sum one/x.tokens)" != "$(sum four/x.tokens)" ]
}

@test "shard: numbered parts in order are the input again" {
    for how in '--count 300' '--size 20K'; do
        # shellcheck disable=SC2086
        graft shard $how -o parts all.tokens
        [ "$(find parts -type f | wc -l)" -gt 5 ]
        [ "$(graft cat parts/part-*.tokens | stream_id)" = "$(stream_id all.tokens)" ]
        rm -r parts
    done
}

@test "shard: the lineage says which part it is" {
    graft shard --split train=0.5,val=0.5 -o data all.tokens
    for part in train val; do
        [ "$(graft lineage --json data/$part.tokens | tail -n 1 | jq -r .options.part)" = $part ]
    done
    [ "$(graft lineage --json data/val.tokens | tail -n 1 | jq -r .id)" != \
        "$(graft lineage --json data/train.tokens | tail -n 1 | jq -r .id)" ]
}

@test "mix: with --stop all nothing is lost; the result depends on seed, weights and content" {
    graft mix --stop all --seed 1 a.tokens:2 b.tokens:1 -o m.tokens
    [ "$(sum m.tokens)" = "$(sum a.tokens b.tokens)" ]
    want=$(stream_id m.tokens)
    [ "$(graft mix --stop all --seed 1 -j1 a.tokens:0.5 <(dribble <b.tokens):0.25 | stream_id)" = "$want" ]
    [ "$(graft mix --stop all --seed 2 a.tokens:2 b.tokens:1 | stream_id)" != "$want" ]
    [ "$(graft mix --stop all --seed 1 a.tokens:3 b.tokens:1 | stream_id)" != "$want" ]
}

@test "mix: what is left out is read to its end all the same" {
    graft mix --rows 10 <(graft cat a.tokens; echo $? >status):1 b.tokens:1 -o m.tokens
    [ "$(rows m.tokens)" -eq 10 ]
    wait_until test -s status
    [ "$(cat status)" = 0 ]
    size=$(stat -L -c %s a.tokens)
    head -c $((size - 30)) a.tokens >cut.tokens
    status_is 3 graft mix --rows 10 cut.tokens:1 b.tokens:1 -o n.tokens
    [ ! -e n.tokens ]
}

@test "sample: so many, in order, the same however it comes" {
    graft sample -n 500 --seed 5 all.tokens -o s.tokens
    [ "$(rows s.tokens)" -eq 500 ]
    want=$(stream_id s.tokens)
    [ "$(dribble <all.tokens | graft sample -n 500 --seed 5 -j1 | stream_id)" = "$want" ]
    [ "$(graft sample -n 500 --seed 5 --memory 1Mi a.tokens b.tokens | stream_id)" = "$want" ]
    [ "$(graft sample -n 500 --seed 6 all.tokens | stream_id)" != "$want" ]
    [ "$(graft sample --fraction 1 all.tokens | stream_id)" = "$(stream_id all.tokens)" ]
    [ "$(graft sample -n 1000000 -q all.tokens | stream_id)" = "$(stream_id all.tokens)" ]
}

@test "input that is cut: exit 3, and no output, for all four" {
    head -c $(($(stat -L -c %s all.tokens) / 2)) all.tokens >cut.tokens
    for command in 'shuffle' 'sample -n 3' 'sample --fraction 0.5' 'shard --count 100' 'shard --split x=0.5,y=0.5'; do
        for input in file pipe; do
            # shellcheck disable=SC2086
            if [ $input = file ]; then
                status_is 3 graft $command -o out cut.tokens
            else
                # shellcheck disable=SC2016
                status_is 3 bash -c 'cat cut.tokens | graft '"$command"' -o out'
            fi
            one_line
            says truncated
            [ ! -e out ]
        done
    done
    status_is 3 graft mix cut.tokens:1 all.tokens:1 -o out
    says truncated
    [ ! -e out ]
}
