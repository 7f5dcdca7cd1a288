#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# start.sh: how long programs take to start and end: graft-NAME -h, the mean of 200 runs, beside /bin/true, which is what
# any process costs here. The bars: 3 ms for plumbing, 15 ms for what computes.
set -eu -o pipefail
PATH=${BUILD:-$(cd "$(dirname "$0")/../.." && pwd)/build}/bin:$PATH

mean() { # COMMAND...: microseconds
    local n=200 i begin end
    begin=${EPOCHREALTIME/./}
    for ((i = 0; i < n; i++)); do "$@" >/dev/null; done
    end=${EPOCHREALTIME/./}
    echo $(((end - begin) / n))
}

row() { # LABEL BAR COMMAND...
    local took
    took=$(mean "${@:3}")
    awk -v label="$1" -v bar="$2" -v us="$took" 'BEGIN { printf "%-22s %6.2f ms%s\n", label, us / 1000, bar == "" ? "" : "  (bar " bar " ms)" }'
}

row /bin/true '' /bin/true
row 'graft --version' 3 graft --version
row 'graft-inspect -h' 3 graft-inspect -h
row 'graft inspect -h' '' graft inspect -h
row 'graft-tokenize -h' '' graft-tokenize -h
row 'graft-eval -h' 15 graft-eval -h
