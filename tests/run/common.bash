# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# common.bash: for every .bats file: `load ../run/common` and, first in its setup(), `graft_setup`.
#
#   graft, graft-NAME        of this build are on PATH; ROOT is the tree, BUILD the build folder
#   the current folder       is an empty scratch folder of this test
#   status_is 3 CMD...       runs CMD, fails unless it exits with 3; $output (stdout), $stderr hold what it said
#   says 'text'              $stderr has the text      one_line      $stderr is exactly one line
#   same A B                 files are equal           need PROGRAM  skips, saying so, when PROGRAM is not there
#   wait_until CMD...        until CMD succeeds, however slow the machine: what hangs is for the harness's limit
#   unread_pipe              makes descriptor 5 a pipe whose reader is gone
#   wait_alive PID CMD...    the same, but fails when PID has ended before
#   ends CMD...              runs CMD; where it hangs, so long that no slow machine is taken for it, it is killed: status 124
#
# For a file whose tests share what tests/doc/fixtures.sh makes: `graft_make_fixtures` first in setup_file(), which goes on where
# they are and may make more; `graft_link_fixtures` in setup(), after graft_setup.

graft_setup() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    BUILD=${BUILD:-$ROOT/build}
    PATH=$BUILD/bin:$PATH
    export ROOT BUILD PATH LC_ALL=C.UTF-8
    cd "$BATS_TEST_TMPDIR" || return 1
}

graft_make_fixtures() {
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR graft_setup
    mkdir made
    "$ROOT/tests/doc/fixtures.sh" made >log 2>&1 || { cat log >&2; return 1; }
    cd made || return 1
}

graft_link_fixtures() {
    ln -s "$BATS_FILE_TMPDIR/made/"* .
}

status_is() {
    local want=$1 got=0
    shift
    "$@" >"$BATS_TEST_TMPDIR/.stdout" 2>"$BATS_TEST_TMPDIR/.stderr" || got=$?
    # shellcheck disable=SC2034 # for the tests
    output=$(tr -d '\0' <"$BATS_TEST_TMPDIR/.stdout")
    stderr=$(cat "$BATS_TEST_TMPDIR/.stderr")
    [ "$got" -eq "$want" ] && return 0
    printf '%s\n' "status $got, not $want: $*" "$stderr" >&2
    return 1
}

says() {
    case $stderr in
    *"$1"*) return 0 ;;
    esac
    printf '%s\n' "missing on stderr: $1" "there is: $stderr" >&2
    return 1
}

one_line() {
    [ "$(wc -l <"$BATS_TEST_TMPDIR/.stderr")" -eq 1 ] && return 0
    printf '%s\n' "not one line:" "$stderr" >&2
    return 1
}

same() {
    cmp "$1" "$2" >&2
}

wait_until() {
    until "$@"; do sleep 0.02; done
}

wait_alive() { # PID CMD...
    local pid=$1
    shift
    until "$@"; do
        kill -0 "$pid" 2>/dev/null || { "$@" && return 0; echo "process $pid ended before: $*" >&2; return 1; }
        sleep 0.02
    done
}

ends() {
    timeout 300 "$@"
}

unread_pipe() {
    mkfifo .unread
    exec 4<>.unread
    exec 5>.unread
    exec 4>&-
    rm .unread
}

need() {
    command -v "$1" >/dev/null || skip "$1 is not installed"
}
