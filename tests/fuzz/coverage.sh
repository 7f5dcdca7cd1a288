#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# coverage.sh CORPORA PROGRAM...: how much of what reads the outside world the fuzz targets reach: runs each program (a target
# with replay.c, built for clang's coverage) over its committed corpus and over what a fuzzer has found in CORPORA/NAME, and
# prints the lines of each reader that were run by any of them, and of how many.
set -eu -o pipefail
corpora=$1
shift
tool() { clang -print-prog-name="$1"; }

folder=$(dirname "$1")/coverage
rm -rf "$folder"
mkdir -p "$folder"
objects=()
for program in "$@"; do
    name=${program##*/fuzz_}
    inputs=("tests/fuzz/corpus/$name")
    [ ! -d "$corpora/$name" ] || [ -z "$(ls -A "$corpora/$name")" ] || inputs+=("$corpora/$name")
    LLVM_PROFILE_FILE=$folder/$name.profraw "$program" "${inputs[@]}" >"$folder/$name.log" 2>&1 </dev/null ||
        { tail -n 5 "$folder/$name.log" >&2; exit 1; }
    objects+=(-object "$program")
done
"$(tool llvm-profdata)" merge -o "$folder/all.profdata" "$folder"/*.profraw
"$(tool llvm-cov)" export -summary-only -instr-profile "$folder/all.profdata" "${objects[@]:1}" \
    formats common/text common/convert common/flow/text_in.c common/flow/text_out.c common/model/config.c |
    jq -r --arg root "$PWD/" '.data[0].files[] | select(.summary.lines.count > 0) |
        [(.filename | ltrimstr($root)), .summary.lines.covered, .summary.lines.count] | @tsv' |
    awk -F '\t' '{ printf "%5.1f %% of %4d lines  %s\n", 100 * $2 / $3, $3, $1; a += $2; n += $3 }
        END { printf "%5.1f %% of %4d lines\n", 100 * a / n, n }'
