# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# bench.bash: for every measurement, to be sourced first: graft of this build (BUILD) on PATH, `here`, `build`, and an empty
# folder `scratch` (in DIR) that goes at the end.

set -eu -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${BUILD:-$here/../../build}
PATH=$build/bin:$PATH
scratch=$(mktemp -d -p "${DIR:-${TMPDIR:-/tmp}}")
trap 'rm -rf "$scratch"' EXIT

# Whether PEERS is a Python environment that has the module; says so when not.
has_peer() { # NAME MODULE
    [ -x "${PEERS:-}/bin/python" ] && "$PEERS/bin/python" -c "import $2" 2>/dev/null && return
    echo "$1: skipped (set PEERS to a Python environment with $2)" >&2
    return 1
}
peer() { # SCRIPT ARG...
    "$PEERS/bin/python" "$here/$1" "${@:2}"
}
