#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# learn.sh: learning 8192 ids from 40 MB of English (the dictionary of dict-gcide): seconds and peak memory, and with PEERS (a
# Python environment with tokenizers) those of Hugging Face's trainer in the same run. The bar: half its time, less memory.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=${BUILD:-$here/../../build}/bin:$PATH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

dictionary=/usr/share/dictd/gcide.dict.dz
if [ ! -e $dictionary ]; then
    echo "skipped: there is no $dictionary (package dict-gcide)"
    exit 0
fi
gzip -dc $dictionary | iconv -c -f utf-8 -t utf-8 >"$scratch/text" 2>/dev/null || true
for threads in 1 "$(nproc)"; do
    graft learn-tokenizer -j "$threads" -v --vocab 8192 "$scratch/text" -o "$scratch/t.tok" 2>&1 |
        sed -n "s/.*rows out, .* out; /graft learn-tokenizer -j $threads: /p"
done
if [ -x "${PEERS:-}/bin/python" ]; then
    "$PEERS/bin/python" "$here/learn_peer.py" "$scratch/text" 8192 || echo 'tokenizers: not installed in PEERS'
else
    echo 'tokenizers: skipped (set PEERS)'
fi
