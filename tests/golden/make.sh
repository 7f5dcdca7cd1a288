#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make.sh: makes the golden streams of this folder anew, one of each kind, with several frames, ragged columns and rows in
# pieces. They are kept as files so that a change of the format, or of what an id is made of, cannot pass unseen:
# run this only after a change that is meant, and raise the version. Needs graft on PATH and the packages of
# ../interop/graft_stream.py, which does the framing.
set -eu -o pipefail
cd "$(dirname "$0")"

fields() { # NAME:DTYPE:SHAPE...
    local list='' f
    for f in "$@"; do
        IFS=: read -r name dtype shape <<<"$f"
        list="$list${list:+,}{\"name\":\"$name\",\"dtype\":\"$dtype\",\"shape\":[$shape]}"
    done
    printf '[%s]' "$list"
}

begin() { # KIND COLUMNS TENSORS
    # shellcheck disable=SC2016 # JSON's dollars
    printf '{"begin":{"graft":1,"kind":"%s","columns":%s,"tensors":%s,"meta":{"name":"golden %s","id":{"$bin":"000102030405060708090a0b0c0d0e0f"},"scale":{"$real":"0x1.999999999999ap-4"},"list":[1,-2,true,null,"\u00e9"],"vocab":70000}}}\n' "$1" "$2" "$3" "$1"
}

# Rows with a ragged cell of 0 to 5 elements, every ninth of 50.
cells() { # AWK-BODY: prints the members of row i; list(n, modulus) is a JSON list
    awk 'function list(n, m,   k, s) { s = "["; for (k = 0; k < n; k++) s = s (k ? "," : "") (i * 7 + k * 13) % m; return s "]" }
         BEGIN { for (i = 0; i < 23; i++) { n = i % 9 == 8 ? 50 : i % 6; printf "{\"row\":{"; '"$1"'; print "}}" } }'
}

# Every tensor with 130 elements in two pieces.
elements() { # NAME:DTYPE...
    for f in "$@"; do
        awk -v name="${f%%:*}" -v t="${f#*:}" 'BEGIN {
            for (p = 0; p < 2; p++) {
                printf "{\"tensor\":\"%s\",\"first\":%d,\"data\":[", name, p * 65
                for (k = 0; k < 65; k++) printf "%s%d", (k ? "," : ""), (p * 65 + k) % 97 - (t ~ /^[UB]/ && t != "BF16" ? 0 : 48)
                print "]}"
            }
        }'
    done
}

finish() { # KIND: text on stdin
    { cat; echo '{"end":{}}'; } | graft undump --edited -o "$1.plain"
    python3 ../interop/graft_stream.py rewrite "$1.plain" "$1.stream"
    rm "$1.plain"
    graft dump "$1.stream" >"$1.jsonl"
}

{
    begin tokens "$(fields ids:U32:-1 doc:U64: part:U32: skip:U32: bytes:U32: chars:U32: loss:U8:-1 weight:F32: keep:U8:-1)" '[]'
    cells 'printf "\"ids\":%s,\"doc\":\"0x%016x\",\"part\":%d,\"skip\":0,\"bytes\":%d,\"chars\":%d,\"loss\":%s,\"weight\":%.1f,\"keep\":\"{\\\"n\\\":%d}\"", list(n, 70000), i * 12345, i % 3, n * 4, n * 3, list(n, 2), i / 2, i'
} | finish tokens
{
    begin features "$(fields x:F16:4 label:I32: text:U8:-1)" '[]'
    cells 'printf "\"x\":[%d,-0.5,\"inf\",\"nan:200\"],\"label\":%d,\"text\":%s", i, i % 4 - 1, list(n, 256)'
} | finish features
{
    begin logits "$(fields ids:U16:-1 top:U16:-1 logp:F64:-1 rest:F32:)" '[]'
    cells 'printf "\"ids\":%s,\"top\":%s,\"logp\":%s,\"rest\":\"-0x1p-%d\"", list(n, 60000), list(2 * n, 60000), list(n, 5), i'
} | finish logits
for kind in tokenizer model adapter head checkpoint; do
    {
        begin $kind '[]' "$(fields w:F32:10,13 half:BF16:130 "none:F32:0,7" bytes:U8:130 ids:I64:2,65)"
        elements w:F32 half:BF16 bytes:U8 ids:I64
    } | finish $kind
done
