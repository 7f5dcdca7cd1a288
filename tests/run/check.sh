#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh BUILD JOB...: runs every JOB (a test program, a .bats file or a .sh script), several at once, each to its end, and adds
# up. All of them speak TAP: cmocka when told so, bats by itself. What fails is printed; the last line is
# "N passed, N failed, N skipped". The status is 1 when anything failed.
#
# A job that dies, prints less than its plan, or prints nothing counts as one failure.
set -u

run_one() { # JOB: writes its TAP to a log, then one line of counts beside it
    local job=$1 name status
    name=${job//[!A-Za-z0-9_-]/_}
    local log=$GRAFT_CHECK_LOGS/$name.log begin=$SECONDS TIMEFORMAT='%R %U %S'
    {
        time case $job in
        *.sh) timeout -k 10 "$GRAFT_CHECK_LIMIT" "$job" "$BUILD" ;;
        *.bats) timeout -k 10 "$GRAFT_CHECK_LIMIT" bats --tap "$job" ;;
        *) CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 "$GRAFT_CHECK_LIMIT" "$job" ;;
        esac >"$log" 2>&1 </dev/null
        status=$?
    } 2>"$GRAFT_CHECK_LOGS/$name.time"
    awk -v status="$status" -v job="$job" '
        /^1\.\.[0-9]+/         { plan = substr($1, 4) + 0; planned = 1; next }
        /^(not )?ok .*# *[Ss][Kk][Ii][Pp]/ { skipped++; next }
        /^not ok/              { failed++; next }
        /^ok/                  { passed++ }
        END {
            seen = passed + failed + skipped
            why = ""
            if (status == 124 || status == 137) why = "ran out of time"
            else if (status != 0 && !failed)    why = "ended with status " status
            else if (!planned)                  why = "printed no plan"
            else if (seen < plan)               why = "ran " seen " of " plan " tests"
            if (why != "") failed++
            printf "%d %d %d %s|%s\n", passed, failed, skipped, job, why
        }' "$log" >"$GRAFT_CHECK_LOGS/$name.count"
    report "$log" "$GRAFT_CHECK_LOGS/$name.count" $((SECONDS - begin))
}

report() { # LOG COUNT SECONDS: one line when all is well, else also what went wrong
    local passed failed skipped rest
    read -r passed failed skipped rest <"$2"
    local job=${rest%%|*} why=${rest#*|} text
    if [ "$failed" = 0 ]; then
        text="ok    $job: $passed passed"
        [ "$skipped" = 0 ] || text="$text, $skipped skipped"
        [ "$3" -lt 5 ] || text="$text ($3 s)"
    else
        text="FAIL  $job: $passed passed, $failed failed${why:+ ($why)}"
        # Failed tests with their comments; everything when the job gave no proper account.
        text="$text
$(if [ -n "$why" ]; then tail -n 60 "$1"; else
            awk '/^not ok/ && !/# *[Ss][Kk][Ii][Pp]/ { on = 1; print; next } /^ok|^1\.\./ { on = 0 } on' "$1" | head -n 120
        fi | sed 's/^/      /')"
    fi
    printf '%s\n' "$text" # one write: several jobs print
}

if [ "${1:-}" = --one ]; then
    run_one "$2"
    exit 0
fi

build=$1
shift
GRAFT_CHECK_LOGS=$build/check
GRAFT_CHECK_LIMIT=${GRAFT_CHECK_LIMIT:-900}
BUILD=$(cd "$build" && pwd)
export GRAFT_CHECK_LOGS GRAFT_CHECK_LIMIT BUILD
rm -rf "$GRAFT_CHECK_LOGS"
mkdir -p "$GRAFT_CHECK_LOGS"
unset FAULT GRAFT_TRACE GRAFT_EXEC_PATH

printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" "$0" --one

grep -ihE '^(not )?ok .*# *skip' "$GRAFT_CHECK_LOGS"/*.log | sed -E 's/^(not )?ok [0-9]* *-? *(# *SKIP *)?/skipped: /'
cat "$GRAFT_CHECK_LOGS"/*.count | awk '
    { passed += $1; failed += $2; skipped += $3 }
    END {
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
        exit failed > 0 || passed == 0
    }'
