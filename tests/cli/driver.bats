#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# driver.bats: `graft` finds programs where it should, and says what it can do.

load ../run/common
setup() {
    graft_setup
    mkdir extra
    # shellcheck disable=SC2016
    printf '#!/bin/sh\necho "hello from $0: $*"\n' >extra/graft-hello
    chmod +x extra/graft-hello
}

@test "help lists every group and program, and what else is on PATH" {
    status_is 0 graft help
    for title in 'text and tokens' 'stream plumbing' 'models in and out' learning using judging; do
        grep -qxF "$title" <<<"$output"
    done
    [[ $output != *"also found"* ]]
    PATH=$PATH:$PWD/extra:$PWD/extra status_is 0 graft help
    [ "$(grep -c 'hello' <<<"$output")" -eq 1 ]
    grep -qF 'also found' <<<"$output"
}

@test "a program on PATH is run, with its arguments and status" {
    PATH=$PATH:$PWD/extra status_is 0 graft hello a 'b c' -h
    [ "$output" = "hello from $PWD/extra/graft-hello: a b c -h" ]
    printf '#!/bin/sh\nexit 3\n' >extra/graft-hello
    PATH=$PATH:$PWD/extra status_is 3 graft hello
}

@test "--exec-path and GRAFT_EXEC_PATH go before everything" {
    printf '#!/bin/sh\necho swapped\n' >extra/graft-cat
    chmod +x extra/graft-cat
    status_is 0 graft --exec-path="$PWD/extra" cat
    [ "$output" = swapped ]
    GRAFT_EXEC_PATH=$PWD/extra status_is 0 graft cat
    [ "$output" = swapped ]
    GRAFT_EXEC_PATH=$PWD/extra status_is 0 graft --exec-path
    [ "$output" = "$PWD/extra" ]
}

@test "an unknown name: status 2, one line, the nearest name" {
    status_is 2 graft tokenise
    one_line
    says "graft: unknown program 'tokenise' (did you mean tokenize?)"
    status_is 2 graft ../bin/graft-cat
    says "unknown program"
    status_is 2 graft --frobnicate
    says "unknown option"
    status_is 2 graft
    [ -z "$output" ]
    says "usage: graft NAME"
}

@test "--version, and a full disk" {
    status_is 0 graft --version
    [[ $output =~ ^graft\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    status_is 1 bash -c 'graft help >/dev/full'
    says 'cannot write standard output'
}

@test "help NAME shows the page, and -h where there is no pager of pages" {
    need mandoc
    status_is 0 graft help graft-stream
    [[ $output == *STREAM* ]]
    mkdir bare
    status_is 0 env PATH="$PWD/bare" "$BUILD/bin/graft" help cat
    [[ $output == *"usage: graft cat"* ]]
    status_is 0 graft help graft.7
    [[ ${output//?$'\b'/} == *CONTRIBUTING* ]] # a letter is bold where it is struck twice
    status_is 2 graft help graft.5
    status_is 2 graft help no-such-thing
    says "there is no page on 'no-such-thing'; 'graft help' lists"
    status_is 2 graft help tokenise
    says 'did you mean tokenize?'
}

@test "an installed tree works where it is put, also after being moved" {
    [ -z "$GRAFT_SANITIZER" ] || skip "once is enough"
    make -s -C "$ROOT" O="$BUILD" install DESTDIR="$PWD/stage" prefix=/usr >/dev/null
    mv stage/usr moved
    status_is 0 env PATH=/usr/bin:/bin "$PWD/moved/bin/graft" --exec-path
    [ "$output" = "$PWD/moved/bin/../libexec/graft" ]
    status_is 0 env PATH=/usr/bin:/bin "$PWD/moved/bin/graft" cat -h
    [ -f moved/share/man/man7/graft.7 ]
    [ -f moved/share/man/man1/graft-cat.1 ]
    [ -f moved/share/man/man5/graft-stream.5 ]
    [ -f moved/share/man/man7/graft-internals.7 ]
    [ -f moved/share/bash-completion/completions/graft ]
    [ "$(find moved -type f -name 'graft-*' -path '*libexec*' | wc -l)" -eq "$(graft --list | wc -l)" ]
}
