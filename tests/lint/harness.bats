#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# harness.bats: the harness that counts for everybody else counts right, above all what went wrong.

load ../run/common
setup() {
    graft_setup
    mkdir out
}

job() { # NAME LINE...: a shell script as a test program
    printf '%s\n' '#!/bin/sh' "${@:2}" >"$1"
    chmod +x "$1"
}

check() { # STATUS JOB...: runs the harness, keeps its last line
    local want=$1 got=0
    shift
    GRAFT_CHECK_LIMIT=${limit:-60} "$ROOT/tests/run/check.sh" out "$@" >log 2>&1 || got=$?
    last=$(tail -n 1 log)
    [ "$got" -eq "$want" ] || { cat log >&2; return 1; }
}

@test "passes, failures and skips of all kinds of jobs add up" {
    job ./good 'echo 1..2; echo ok 1 - a; echo ok 2 - b'
    job ./bad 'echo 1..2; echo ok 1 - a; echo not ok 2 - b; echo "# because"; exit 1'
    job ./skips 'echo 1..2; echo "ok 1 - a # SKIP no such device"; echo "not ok 2 # SKIP b"'
    printf '%s\n' '@test "x" { true; }' '@test "y" { skip "not today"; }' '@test "z" { false; }' >three.bats
    check 0 ./good
    [ "$last" = "2 passed, 0 failed, 0 skipped" ]
    check 1 ./good ./bad ./skips three.bats
    [ "$last" = "4 passed, 2 failed, 3 skipped" ]
    grep -q '# because' log
    grep -q 'skipped: .*no such device' log
    grep -q 'skipped: y # skip not today' log
}

@test "a job that dies is a failure, though it printed only good news" {
    job ./dies 'echo 1..1; echo ok 1 - a; kill -SEGV $$'
    check 1 ./dies
    [ "$last" = "1 passed, 1 failed, 0 skipped" ]
    grep -q 'ended with status 139' log
}

@test "a job that stops before its plan is done is a failure" {
    job ./short 'echo 1..3; echo ok 1 - a'
    check 1 ./short
    [ "$last" = "1 passed, 1 failed, 0 skipped" ]
    grep -q 'ran 1 of 3 tests' log
}

@test "a job that says nothing is a failure, and so is no job" {
    job ./silent true
    check 1 ./silent
    [ "$last" = "0 passed, 1 failed, 0 skipped" ]
    check 1 ./absent
    [ "$last" = "0 passed, 1 failed, 0 skipped" ]
}

@test "a job that hangs is a failure" {
    job ./hangs 'echo 1..1; exec sleep 60'
    limit=1 check 1 ./hangs
    grep -q 'ran out of time' log
}

@test "an example that fails is reported with its page" {
    printf '%s\n' '.Sh EXAMPLES' '.Bd -literal' '$ echo \e(aq >x' 'test -s x' '.Ed' '.Bd -literal' 'test -s x && false' '.Ed' \
        '.\" not run: needs a network' '.Bd -literal' 'false' '.Ed' >page.1
    # Fixtures need every program; this test needs none.
    mkdir -p tree/tests/doc bin
    cp "$ROOT/tests/doc/examples.sh" tree/tests/doc/
    printf '#!/bin/sh\n' >tree/tests/doc/fixtures.sh
    chmod +x tree/tests/doc/fixtures.sh
    status_is 1 tree/tests/doc/examples.sh bin page.1
    grep -qxF 'ok 1 - page.1 example 1' <<<"$output"
    grep -qxF 'not ok 2 - page.1 example 2' <<<"$output"
    grep -qxF 'ok 3 - page.1 example 3 # SKIP needs a network' <<<"$output"
}
