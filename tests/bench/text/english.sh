#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# english.sh BYTES: English text on stdout, for measurements: the dictionary of dict-gcide (40 MB), as often as it takes. Exit
# status 4: it is not installed.
set -eu -o pipefail
dictionary=/usr/share/dictd/gcide.dict.dz
if [ ! -e $dictionary ]; then
    echo "english.sh: there is no $dictionary (package dict-gcide)" >&2
    exit 4
fi
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
gzip -dc $dictionary | iconv -c -f utf-8 -t utf-8 >"$scratch" 2>/dev/null || true
size=$(stat -c %s "$scratch")
for ((left = $1; left > size; left -= size)); do cat "$scratch"; done
head -c "$left" "$scratch" | iconv -c -f utf-8 -t utf-8 2>/dev/null || true # a character may be cut at the end
