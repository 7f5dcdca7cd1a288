#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# internals.bats: what graft-internals(7) says of the sources is so: its files are there, its functions are defined where it
# says, and each line of the way of a batch is called from the file it stands under.

load ../run/common
setup() {
    graft_setup
    page=$ROOT/man/graft-internals.7
}

# Whether FILE defines the function: its name begins a line, behind a type.
defines() { # FILE NAME
    grep -qE "^[a-z][a-z0-9_ ]*[ *]$2\(" "$1"
}

# Whether it is called in FILE: its name stands there elsewhere than in its own definition.
calls_it() { # FILE NAME
    grep -E "\b$2\(" "$1" | grep -qvE "^[a-z][a-z0-9_ ]*[ *]$2\("
}

# "DEPTH FUNCTION FILE NOTE" of each line of the tree of calls.
calls() {
    awk '/^\.Sh/ { on = /THE WAY OF A BATCH/ } on && /^\.Ed/ { tree = 0 }
         on && tree { match($0, /^ */); print RLENGTH / 2, $1, $2, $3, $4 } on && /^\.Bd/ { tree = 1 }' "$page"
}

@test "every file that it names is there" {
    cd "$ROOT"
    grep -oE '\b(cmd|common|formats|kernels|pipelines|tests|man)/[A-Za-z0-9_./-]*' "$page" | sed 's/[.]*$//' | sort -u >"$BATS_TEST_TMPDIR/files"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/files")" -gt 50 ]
    while read -r file; do [ -e "$file" ] || { echo "no $file" >&2; false; }; done <"$BATS_TEST_TMPDIR/files"
    # those of the stream stand without their folder
    awk '/^\.Sh/ { on = /THE STREAM/ } /^\.Ed/ { on = 0 } on' "$page" | grep -oE '[a-z_]+\.c' >"$BATS_TEST_TMPDIR/files"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/files")" -gt 12 ]
    while read -r file; do
        [ -e "formats/$file" ] || [ -e "common/base/$file" ] || { echo "no $file" >&2; false; }
    done <"$BATS_TEST_TMPDIR/files"
}

@test "every function and table that it names is there" {
    cd "$ROOT"
    sed -nE 's/^\.(Pq |Po )?Fn ([a-z0-9_]+).*/\2/p' "$page" | sort -u >"$BATS_TEST_TMPDIR/names"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/names")" -ge 8 ]
    while read -r name; do
        grep -qE "^[a-z][a-z0-9_ ]*[ *]$name\(" -r --include='*.c' cmd common formats kernels || { echo "no $name" >&2; false; }
    done <"$BATS_TEST_TMPDIR/names"
    grep -qE '\badamw_table\[\]' common/train/adamw.c
    grep -qE '\bfields\[\]' common/model/config.c
    grep -qE '\boperations\[\]' formats/tokenizer.c
}

@test "the way of a batch: each call is where it says, made by what it stands under" {
    cd "$ROOT"
    local parents=() depth name file note
    [ "$(calls | wc -l)" -gt 25 ]
    while read -r depth name file note; do
        defines "$file" "$name" || { echo "$file does not define $name" >&2; false; }
        parents[depth]=$file
        [ "$depth" -eq 0 ] || [ "$note" = "by pointer:" ] || calls_it "${parents[depth - 1]}" "$name" ||
            { echo "${parents[depth - 1]} does not call $name" >&2; false; }
    done < <(calls)
}
