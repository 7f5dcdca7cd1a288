#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# start.sh: how long programs take to start and end: graft-NAME -h, median and best of 200 runs, beside /bin/true, which is what
# any process costs here. The bars: 3 ms for plumbing, 15 ms for what computes.
# shellcheck source=tests/bench/bench.bash
. "$(dirname "$0")/bench.bash"

runs() { # COMMAND...: microseconds of each run, sorted
    local i begin
    for ((i = 0; i < 200; i++)); do
        begin=${EPOCHREALTIME/./}
        "$@" >/dev/null
        echo $((${EPOCHREALTIME/./} - begin))
    done | sort -n
}

row() { # LABEL BAR COMMAND...
    runs "${@:3}" | awk -v label="$1" -v bar="$2" '
        { us[NR] = $1 }
        END {
            printf "%-22s median %6.2f ms, best %6.2f ms%s\n", label, us[int((NR + 1) / 2)] / 1000, us[1] / 1000,
                bar == "" ? "" : "  (bar " bar " ms)"
        }'
}

row /bin/true '' /bin/true
row 'graft --version' 3 graft --version
row 'graft-inspect -h' 3 graft-inspect -h
row 'graft inspect -h' '' graft inspect -h
row 'graft-tokenize -h' '' graft-tokenize -h
row 'graft-eval -h' 15 graft-eval -h
