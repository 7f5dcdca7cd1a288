#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# man.sh [--check] BIN [PAGE...]: writes what the programs in BIN say about themselves into the generated regions of their
# pages (from '.\" SYNOPSIS BEGIN' to '.\" SYNOPSIS END', the same for OPTIONS). --check changes nothing and names the
# pages that are stale or lack a region.
set -eu -o pipefail
cd "$(dirname "$0")/../.."

check=
if [ "$1" = --check ]; then
    check=1
    shift
fi
bin=$1
shift
[ $# -gt 0 ] || set -- man/graft-*.1

stale=0
for page in "$@"; do
    program=$bin/$(basename "$page" .1)
    if [ ! -x "$program" ]; then
        echo "$page: there is no program '$program'" >&2
        stale=1
        continue
    fi
    new=$("$program" --help-mdoc | awk -v page="$page" '
        # the first input is what the program says, the second the page
        NR == FNR { if ($0 ~ /^\.\\" [A-Z]+ BEGIN$/) region = $2
                    text[region] = text[region] $0 "\n"; next }
        FNR == 1  { delete seen }
        /^\.\\" [A-Z]+ BEGIN$/ && ($2 in text) { printf "%s", text[$2]; seen[$2] = 1; skip = 1 }
        !skip     { print }
        /^\.\\" [A-Z]+ END$/ { skip = 0 }
        END       { for (r in text) if (!(r in seen)) { print page ": no region " r > "/dev/stderr"; exit 1 } }
    ' - "$page")
    if [ "$new" = "$(cat "$page")" ]; then continue; fi
    if [ -n "$check" ]; then
        echo "$page: stale, run 'make man'" >&2
        stale=1
    else
        printf '%s\n' "$new" >"$page.tmp"
        mv "$page.tmp" "$page"
        echo "$page: refreshed"
    fi
done
exit $stale
