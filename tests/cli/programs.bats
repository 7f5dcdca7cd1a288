#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# programs.bats: every program is whole: what cmd/programs.h asks of a new one is there, and -h, the page, completion and the
# table say the same. Each test names the program and what it misses.

load ../run/common
setup() { graft_setup; }

# "name<TAB>GROUP<TAB>summary" of the program table.
table() {
    sed -n 's/^ *X("\([^"]*\)", \([A-Z]*\), "\(.*\)") *\\*$/\1\t\2\t\3/p' "$ROOT/cmd/programs.h"
}
names() { table | cut -f1; }
sources() { (cd "$ROOT/cmd" && ls -- *.c) | sed 's/\.c$//' | grep -vx graft; }

missing() { # WHAT NAME...: fails when there are names
    local what=$1
    shift
    [ $# -eq 0 ] || { printf '%s\n' "${@/%/: $what}" >&2; return 1; }
}

@test "1. every program of the table has its source, and was built" {
    lacking=()
    for name in $(names); do
        [ -f "$ROOT/cmd/$name.c" ] && [ -x "$BUILD/bin/graft-$name" ] || lacking+=("$name")
    done
    missing "no cmd/NAME.c or not built" "${lacking[@]}"
}

@test "2. every source has its line in the table" {
    lacking=()
    for name in $(sources); do names | grep -qxF -- "$name" || lacking+=("$name"); done
    missing "no line in cmd/programs.h" "${lacking[@]}"
}

@test "2. the summary of -h is the one of the table" {
    lacking=()
    while IFS=$'\t' read -r name _ summary; do
        [ -x "$BUILD/bin/graft-$name" ] || continue
        [ "$("graft-$name" -h | head -n 1)" = "graft-$name: $summary" ] || lacking+=("$name")
    done < <(table)
    missing "-h has another summary than cmd/programs.h" "${lacking[@]}"
}

@test "3. every program has its page, with the sections and the summary" {
    lacking=()
    while IFS=$'\t' read -r name _ summary; do
        page=$ROOT/man/graft-$name.1
        if [ ! -f "$page" ]; then
            lacking+=("$name (no man/graft-$name.1)")
            continue
        fi
        for section in NAME SYNOPSIS DESCRIPTION OPTIONS 'EXIT STATUS' EXAMPLES; do
            grep -qxE "\.Sh \"?$section\"?" "$page" || lacking+=("$name (no section $section)")
        done
        grep -qxF -- ".Nd $summary" "$page" || lacking+=("$name (.Nd is not the summary)")
    done < <(table)
    missing "page" "${lacking[@]}"
}

@test "3. the generated parts of the pages are fresh" {
    "$ROOT/tests/run/man.sh" --check "$BUILD/bin" >&2
}

@test "3. a stale page is caught" {
    name=$(names | while read -r n; do [ -x "$BUILD/bin/graft-$n" ] && echo "$n" && break; done)
    [ -n "$name" ]
    printf '%s\n' '.Sh SYNOPSIS' '.\" SYNOPSIS BEGIN' '.\" SYNOPSIS END' \
        '.Sh OPTIONS' '.\" OPTIONS BEGIN' '.It Fl -gone' '.\" OPTIONS END' '.Sh BUGS' >"graft-$name.1"
    page=$PWD/graft-$name.1
    status_is 1 "$ROOT/tests/run/man.sh" --check "$BUILD/bin" "$page"
    says stale
    "$ROOT/tests/run/man.sh" "$BUILD/bin" "$page"
    status_is 0 "$ROOT/tests/run/man.sh" --check "$BUILD/bin" "$page"
    grep -qxF '.Sh BUGS' "$page"
    [ "$(grep -cF gone "$page")" -eq 0 ]
    printf '.Sh OPTIONS\n' >"$page"
    status_is 1 "$ROOT/tests/run/man.sh" --check "$BUILD/bin" "$page"
    says 'no region'
}

@test "4. every program is run by a test" {
    lacking=()
    for name in $(names); do
        grep -qrE "graft[ -]$name\b" "$ROOT/tests" --include='*.bats' --exclude=programs.bats --exclude=driver.bats || lacking+=("$name")
    done
    missing "no test runs it" "${lacking[@]}"
}

@test "5. completion knows every program and its options" {
    [ "$(graft --list)" = "$(names)" ]
    lacking=()
    for name in $(sources); do
        words=$("graft-$name" --help-words | cut -f1 | sort)
        shown=$("graft-$name" -h | grep -oE '^ +(-., )?--[a-z0-9-]+' | grep -oE -- '--.*' | sort)
        [ "$words" = "$shown" ] || lacking+=("$name")
    done
    missing "--help-words and -h differ" "${lacking[@]}"
}

@test "5. bash completes names, options and choices" {
    cat >ask.bash <<'EOF'
source "$ROOT/cmd/completion.bash"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _graft; printf '%s\n' "${COMPREPLY[@]}"
EOF
    bash ask.bash graft tok | grep -qx tokenize
    bash ask.bash graft help learn | grep -qx learn-tokenizer
    bash ask.bash graft tokenize --out | grep -qx -- --output
}

# ---- what every program does alike ----

@test "-h is success on stdout, whatever else stands there" {
    for name in $(sources); do
        status_is 0 "graft-$name" --no-such-option -h
        [ -z "$stderr" ]
        grep -q "^usage: graft $name" <<<"$output" || { echo "$name: no usage in -h" >&2; false; }
        status_is 0 "graft-$name" --version
        [[ $output == "graft-$name "[0-9]* ]]
    done
}

@test "misuse is one line and the synopsis on stderr, status 2" {
    for name in $(sources); do
        status_is 2 "graft-$name" --no-such-option
        [ -z "$output" ]
        [ "$(head -n 1 <<<"$stderr")" = "graft-$name: unknown option '--no-such-option'" ] || { echo "$stderr" >&2; false; }
        says "usage: graft $name"
    done
}

@test "a full disk shows even for -h, and a closed stdout too" {
    for name in $(sources); do
        status_is 1 bash -c "graft-$name -h >/dev/full"
        says "cannot write standard output: No space left on device"
        status_is 1 bash -c "graft-$name -h >&-"
        says "cannot write standard output"
    done
}

@test "plumbing links no pcre2, and jansson only where it prints or reads JSON" {
    need readelf
    lacking=()
    while IFS=$'\t' read -r name group _; do
        [ "$group" = PLUMBING ] && [ -x "$BUILD/bin/graft-$name" ] || continue
        unwanted='blas|pcre|utf8proc'
        case $name in cat | head | shard | shuffle | mix | sample) unwanted="$unwanted|jansson" ;; esac
        ! readelf -d "$BUILD/bin/graft-$name" | grep -E "NEEDED.*($unwanted)" >&2 || lacking+=("$name")
    done < <(table)
    missing "links a library that plumbing must not need" "${lacking[@]}"
}
