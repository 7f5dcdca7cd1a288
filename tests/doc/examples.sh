#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# examples.sh BUILD [PAGE...]: runs the EXAMPLES of the manual pages, as TAP. Each literal block (.Bd -literal to .Ed) of the
# section is one test: its lines run as one script, stopping at the first failure, in a copy of the fixtures that is kept
# for the whole page, so that a later example may use what an earlier one made.
#
# A line may begin with "$ ". A block after a comment '.\" not run: REASON' is skipped with that reason.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- "$root"/man/*.[157]
PATH=$build/bin:$PATH
export PATH LC_ALL=C.UTF-8

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/fixtures"
if ! "$root/tests/doc/fixtures.sh" "$scratch/fixtures" >"$scratch/log" 2>&1; then
    echo "1..1"
    echo "not ok 1 - the fixtures are made"
    sed 's/^/# /' "$scratch/log"
    exit 1
fi

# Writes the blocks of PAGE to DIR/1.sh, DIR/2.sh ... (and DIR/N.skip with a reason).
blocks() { # PAGE DIR
    awk -v dir="$2" '
        /^\.Sh / { on = ($0 ~ /EXAMPLES/) }
        !on { next }
        /^\.\\" not run: / { reason = substr($0, 14) }
        /^\.Bd -literal/ { literal = 1; n++; file = dir "/" n ".sh"; printf "" > file
                           if (reason != "") print reason > (dir "/" n ".skip"); reason = ""; next }
        /^\.Ed/ { literal = 0; close(file) }
        literal {
            gsub(/\\&/, ""); gsub(/\\-/, "-"); gsub(/\\\(aq/, "\x27"); gsub(/\\\(dq/, "\""); gsub(/\\\(ti/, "~")
            gsub(/\\\(ha/, "^"); gsub(/\\e/, "\\")
            sub(/^\$ /, "")
            print > file
        }' "$1"
}

number=0 failures=0
for page in "$@"; do
    name=$(basename "$page")
    mkdir -p "$scratch/$name.d"
    blocks "$page" "$scratch/$name.d"
    cp -r "$scratch/fixtures" "$scratch/$name"
    for ((i = 1; ; i++)); do
        script=$scratch/$name.d/$i.sh
        [ -e "$script" ] || break
        number=$((number + 1))
        if [ -e "$scratch/$name.d/$i.skip" ]; then
            echo "ok $number - $name example $i # SKIP $(cat "$scratch/$name.d/$i.skip")"
        elif (cd "$scratch/$name" && timeout 600 bash -eu -o pipefail "$script" </dev/null) >"$scratch/log" 2>&1; then
            echo "ok $number - $name example $i"
        else
            failures=$((failures + 1))
            echo "not ok $number - $name example $i"
            { cat "$script"; echo "--"; tail -n 20 "$scratch/log"; } | sed 's/^/# /'
        fi
    done
done
echo "1..$number"
[ "$failures" -eq 0 ]
