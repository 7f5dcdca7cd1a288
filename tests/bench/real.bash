# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# real.bash: what the measurements with real models share; with bench.bash, which it sources. MODELS is the folder that
# `make models` fills (otherwise build/models); PARTS says which parts to measure, where a person has time for some only.

# shellcheck source=tests/bench/bench.bash
. "$(dirname "${BASH_SOURCE[0]}")/bench.bash"
models=${MODELS:-$build/models}

# need_model FILE: ends the measurement, saying so, when the model is not there.
need_model() {
    [ -e "$models/$1" ] && return
    echo "skipped: there is no $models/$1 (make models fetches it)" >&2
    exit 0
}

part() { # NAME: whether it is wanted
    [ -z "${PARTS:-}" ] || [[ " $PARTS " == *" $1 "* ]]
}

# seconds COMMAND...: by the clock, the best of ROUNDS (3).
seconds() {
    for _ in $(seq "${ROUNDS:-3}"); do
        /usr/bin/env time -a -o "$scratch/seconds" -f %e "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2 && return 1; }
    done
    sort -n "$scratch/seconds" | head -n 1
    rm "$scratch/seconds"
}
