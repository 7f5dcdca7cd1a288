#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh FOLDER [PATTERN]: plants each defect of table.sh whose name matches, one at a time, in a copy of the tree in FOLDER,
# builds it and runs the tests that stand beside it: they must fail. A defect that no longer fits the source, does not compile,
# or passes is a failure of this script. Without the defects the same tests must pass, which is tried first.
#
# A gate that cannot fail is none: this is the gate of the gates.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
folder=$1
pattern=${2:-.}
limit=${GRAFT_CHECK_LIMIT:-600} # seconds for one test program
tree=$folder/tree
killed=0
failed=0

mkdir -p "$folder"
rm -rf "$tree"
mkdir "$tree" || exit 1
cp -a Makefile README.md cmd common formats kernels pipelines tests man "$tree" || exit 1
cd "$tree" || exit 1
export BUILD=$PWD/build

# What a test needs of make: all programs, or one test program.
build() { # TEST...: quietly; the log is in ../make.log
    local test targets=()
    for test in "$@"; do
        case $test in
        *.bats*) targets+=(all) ;;
        *) targets+=("build/tests/${test%%:*}") ;;
        esac
    done
    make -j"$(nproc)" O=build CFLAGS='-O2 -g' "${targets[@]}" >../make.log 2>&1
}

passes() { # TEST: a test program, with its arguments behind a colon, or FILE.bats[:FILTER]
    local arguments=()
    case $1 in
    *.bats:*) timeout -k 10 "$limit" bats -f "${1#*:}" "${1%%:*}" ;;
    *.bats) timeout -k 10 "$limit" bats "$1" ;;
    *:*)
        read -r -a arguments <<<"${1#*:}"
        timeout -k 10 "$limit" "build/tests/${1%%:*}" "${arguments[@]}"
        ;;
    *) timeout -k 10 "$limit" "build/tests/$1" ;;
    esac >../test.log 2>&1 </dev/null
}

complain() {
    echo "FAIL  $1"
    failed=$((failed + 1))
}

# The first walk over the table collects the tests, the second plants.
tests=()
collect() { # NAME FILE FROM TO TEST...
    [[ $1 =~ $pattern ]] || return 0
    local test
    shift 4
    for test in "$@"; do
        case " ${tests[*]} " in *" $test "*) ;; *) tests+=("$test") ;; esac
    done
}

first_failing() { # TEST...: prints it; fails when all pass
    local test
    for test in "$@"; do
        if ! passes "$test"; then
            echo "$test"
            return
        fi
    done
    return 1
}

plant() { # NAME FILE FROM TO TEST...
    [[ $1 =~ $pattern ]] || return 0
    local name=$1 file=$2 from=$3 to=$4 text rest test
    shift 4
    text=$(cat "$file" && echo .) || { complain "$name: no file $file"; return; }
    text=${text%.}
    rest=${text#*"$from"}
    if [ "$rest" = "$text" ] || [ "${rest#*"$from"}" != "$rest" ]; then
        complain "$name: '$from' does not stand in $file exactly once: mend tests/mutants/table.sh"
        return
    fi
    cp -p "$file" ../original
    printf '%s' "${text%%"$from"*}$to$rest" >"$file"
    if ! build "$@"; then
        complain "$name: does not compile: $(grep -m 1 error ../make.log)"
    elif test=$(first_failing "$@"); then
        echo "ok    $name: $test"
        killed=$((killed + 1))
    else
        complain "$name: nobody noticed: $*"
    fi
    cp ../original "$file" # with a new date, so that it is compiled again
}

# shellcheck disable=SC2317 # called by the table
mutant() { collect "$@"; }
# shellcheck source=/dev/null
. tests/mutants/table.sh
[ ${#tests[@]} -gt 0 ] || { echo "no defect has a name like '$pattern'"; exit 1; }
build "${tests[@]}" || { echo "the tree does not build"; tail -n 5 ../make.log; exit 1; }
for test in "${tests[@]}"; do
    passes "$test" || { echo "$test fails without a defect"; tail -n 20 ../test.log; exit 1; }
done
mutant() { plant "$@"; }
# shellcheck source=/dev/null
. tests/mutants/table.sh
echo "$killed defects found, $failed not"
[ $failed -eq 0 ]
