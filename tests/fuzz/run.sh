#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh SECONDS FUZZER...: runs each libFuzzer program so long, one after another, from the committed corpus and from what
# earlier runs found beside the programs (FOLDER/corpus/NAME). Prints a line for each; inputs that broke something go to
# FOLDER/findings, and then the status is 1. A finding that was mended is committed to tests/fuzz/corpus/NAME.
set -u
seconds=$1
shift
found=0
for fuzzer in "$@"; do
    name=${fuzzer##*/}
    folder=${fuzzer%/*}
    mkdir -p "$folder/corpus/$name" "$folder/findings"
    words=() # that a byte at a time would take long to find
    [ ! -e "tests/fuzz/$name.dict" ] || words=("-dict=tests/fuzz/$name.dict")
    # Memory is bounded, whatever a file claims; nothing takes long.
    "$fuzzer" -max_total_time="$seconds" -timeout=120 -rss_limit_mb=1500 -malloc_limit_mb=300 -max_len=16384 "${words[@]}" \
        -print_final_stats=1 -artifact_prefix="$folder/findings/$name-" "$folder/corpus/$name" "tests/fuzz/corpus/$name" \
        >"$folder/$name.log" 2>&1
    status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$name.log")
    edges=$(grep -o 'cov: [0-9]*' "$folder/$name.log" | tail -n 1)
    echo "$name: ${runs:-no} runs, ${edges:-no coverage}, status $status"
    if [ $status -ne 0 ]; then
        found=1
        grep -E -A 12 'does not hold|^outcome|ERROR|runtime error' "$folder/$name.log" | head -n 30
    fi
done
exit $found
