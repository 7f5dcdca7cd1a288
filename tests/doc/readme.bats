#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# readme.bats: the README's tour works as it stands: every command of it is run, in order, on a text that is made here
# in place of the dictionary (which is 40 MB).

load ../run/common
setup() { graft_setup; }

# The indented commands of the section "A tour".
tour() {
    awk '/^## / { on = $0 == "## A tour" } on && /^    / { print substr($0, 5) }' "$ROOT/README.md"
}

@test "every command of the tour works" {
    "$ROOT/tests/doc/fixtures.sh" . >/dev/null 2>&1
    sed 's/$/\n/' corpus.txt >dictionary.txt # paragraphs
    rm -rf data corpus.txt ./*.tok ./*.model ./*.tokens
    tour >tour.sh
    # What builds, and what takes the text from the dictionary, is not for here.
    grep -cE '^(sudo apt-get|PATH=)' tour.sh | grep -qx 2
    grep -c 'dictd' tour.sh | grep -qx 1
    sed -i -E -e '/^(sudo apt-get|PATH=)/d' -e 's/^.*dictd.*$/cp dictionary.txt corpus.txt/' tour.sh
    [ "$(grep -c graft tour.sh)" -ge 10 ]
    bash -eu -o pipefail tour.sh >out 2>err || { cat err >&2; false; }
    grep -q '^loss ' out
    grep -q 'A lamp is' out
    for program in tokenize shard shuffle pretrain; do grep -q "$program" out; done # the lineage
}

@test "what the README names is there" {
    need mandoc
    [ "$(grep -oE 'graft help [a-z0-9.-]+' "$ROOT/README.md" | wc -l)" -ge 3 ]
    while read -r _ _ page; do graft help "$page" >/dev/null; done < <(grep -oE 'graft help [a-z0-9.-]+' "$ROOT/README.md")
    for file in $(grep -oE '\]\([A-Z]+[A-Za-z.]*\)' "$ROOT/README.md" | tr -d ']()'); do [ -e "$ROOT/$file" ]; done
    grep -oE 'make [a-z]+' "$ROOT/README.md" | cut -d' ' -f2 | sort -u | while read -r target; do
        grep -qE "^$target:|OUTER :=.*\b$target\b" "$ROOT/Makefile"
    done
}
