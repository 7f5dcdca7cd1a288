#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# demo.bats: the pipeline of `make demo` on a few pages of its dictionary: all the way, again, and interrupted.

load ../run/common

setup() {
    graft_setup
    local dictionary=/usr/share/dictd/gcide.dict.dz
    [ -e $dictionary ] || skip 'dict-gcide is not installed'
    need jq
    need xz
    cd "$ROOT" || return 1
    W=$BATS_TEST_TMPDIR/work
    gzip -dc $dictionary 2>/dev/null | iconv -c -f UTF-8 -t UTF-8 2>/dev/null | head -n 4000 >"$BATS_TEST_TMPDIR/text.txt"
    DEMO=(make --no-print-directory -f pipelines/pretrain.mk BUILD="$BUILD" WORK="$W" TEXT="$BATS_TEST_TMPDIR/text.txt"
        VOCAB=400 STEPS=40 WARMUP=2 BATCH=1Ki MODEL="--arch llama --layers 1 --width 32 --heads 2")
    unset MAKEFLAGS MFLAGS MAKELEVEL
}

@test "the pipeline of the demonstration ends with a summary, and is done only once" {
    status_is 0 "${DEMO[@]}"
    for word in 'before training' 'after training' 'bits per byte' 'xz -9' 'Lamp' 'learn-tokenizer' 'What to type next'; do
        grep -qF "$word" <<<"$output"
    done
    before=$(jq .loss "$W/init.json") after=$(jq .loss "$W/base.json")
    awk -v a="$before" -v b="$after" 'BEGIN { exit !(b < a - 0.5) }'
    status_is 0 "${DEMO[@]}"
    if grep -q 'Training:' <<<"$output"; then false; fi
    grep -qF 'after training' <<<"$output"
}

@test "what it says to type next works" {
    "${DEMO[@]}" >"$BATS_TEST_TMPDIR/said"
    sed -n '/== What to type next/,$p' "$BATS_TEST_TMPDIR/said" | sed '1d; s/--steps 300/--steps 3/' >"$BATS_TEST_TMPDIR/next.sh"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/next.sh")" -ge 8 ]
    status_is 0 bash -e -o pipefail "$BATS_TEST_TMPDIR/next.sh"
    [ -s "$W/more.model" ]
}

@test "interrupted while it trains, it goes on where it was" {
    steps() { [ -e "$W/run.jsonl" ] && [ "$(wc -l <"$W/run.jsonl")" -gt 20 ]; }
    interrupted() { # or it was done before the signal came
        rm -rf "$W"
        setsid "${DEMO[@]}" EPOCHS=10 STEPS=400 >/dev/null 2>&1 3>&- &
        local pid=$!
        wait_alive $pid steps || return 1
        kill -TERM -- -$pid # a background job ignores SIGINT
        wait $pid || true
        wait_until test ! -e "$W/run.ck.lock" # make dies first
        [ ! -e "$W/base.model" ]
    }
    wait_until interrupted
    [ -e "$W/run.ck" ]
    rows=$(wc -l <"$W/run.jsonl")
    "${DEMO[@]}" EPOCHS=10 STEPS=400 >/dev/null
    [ "$(jq -s 'map(select(.loss)) | length' "$W/run.jsonl")" -eq 400 ]
    [ "$rows" -gt 20 ]
    mv "$W/base.model" "$BATS_TEST_TMPDIR/resumed.model"
    rm "$W/run.ck"
    "${DEMO[@]}" EPOCHS=10 STEPS=400 >/dev/null
    same "$W/base.model" "$BATS_TEST_TMPDIR/resumed.model"
}
