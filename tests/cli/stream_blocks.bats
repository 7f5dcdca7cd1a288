#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stream_blocks.bats: tensors of block-quantised types in streams: text and back, compared, verified, read elsewhere.

load ../run/common

setup() {
    graft_setup
    need jq
    python=$ROOT/tests/interop/graft_stream.py
}

# TYPE BYTES ELEMENTS SHAPE: a stream of kind head with one tensor of blocks; byte k of block b is (b * 7 + k) % 61.
spell() {
    printf '{"begin":{"graft":1,"kind":"head","columns":[],"tensors":[{"name":"w","dtype":"%s","shape":[%s]}],"meta":{}}}\n' "$1" "$4"
    awk -v size="$2" -v n="$3" -v unit="$5" 'BEGIN {
        for (at = 0; at < n; at += 1024) {
            printf "{\"tensor\":\"w\",\"first\":%d,\"data\":[", at
            for (b = at / unit; b < n / unit && b < (at + 1024) / unit; b++) {
                printf "%s\"", (b * unit > at ? "," : "")
                for (k = 0; k < size; k++) printf "%02x", (b * 7 + k) % 61
                printf "\""
            }
            print "]}"
        }
    }'
    echo '{"end":{}}'
}

@test "text and back, of every type" {
    for t in "Q8_0 34 32" "Q4_0 18 32" "Q4_1 20 32" "Q5_0 22 32" "Q5_1 24 32" "Q4_K 144 256" "Q5_K 176 256" "Q6_K 210 256" "NF4 36 64"; do
        # shellcheck disable=SC2086 # its fields
        set -- $t
        spell "$1" "$2" 4096 "8,512" "$3" >spelt
        graft undump --edited spelt -o blocks
        graft verify -q blocks
        graft dump blocks >again
        [ "$(grep -c '"tensor":"w"' again)" -eq 4 ]
        [ "$(jq -c 'select(.tensor) | .data' spelt)" = "$(jq -c 'select(.tensor) | .data' again)" ]
        graft undump again | graft diff blocks -
        graft inspect --json blocks | jq -e --arg t "$1" '.layout[0] | .dtype == $t and .shape == [8, 512]' >/dev/null
    done
}

@test "pieces are whole blocks, and read and written by another implementation" {
    spell Q8_0 34 2097152 "2048,1024" 32 >spelt
    graft undump --edited spelt -o blocks
    graft verify -q - <blocks
    graft dump blocks | jq -c 'select(.tensor) | .data[]' | cmp - <(jq -c 'select(.tensor) | .data[]' spelt)
    /usr/bin/python3 -c 'import msgpack, zstandard, xxhash' 2>/dev/null || skip "no python3 with msgpack, zstandard and xxhash"
    /usr/bin/python3 "$python" check blocks | jq -e '.bytes == 2228224' >/dev/null
    /usr/bin/python3 "$python" rewrite blocks framed
    graft diff blocks framed
}

@test "differences are of values" {
    spell Q8_0 34 64 "64" 32 >spelt
    graft undump --edited spelt -o a
    sed 's/0b0c/0b0d/' spelt | graft undump --edited - -o b
    status_is 4 graft diff --json a b
    grep -q different <<<"$output"
}

@test "what cannot be is refused" {
    spell Q8_0 34 64 "2,16" 32 >spelt
    status_is 3 graft undump --edited spelt -o out
    says "'w' of type Q8_0: its last dimension is not a multiple of 32"
    echo '{"begin":{"graft":1,"kind":"tokens","columns":[{"name":"ids","dtype":"Q8_0","shape":[32]}],"tensors":[],"meta":{}}}' >spelt
    status_is 3 graft undump --edited spelt -o out
    says "column 'ids': type Q8_0 is one of tensors only"
    spell Q8_0 33 64 "64" 32 >spelt
    status_is 3 graft undump --edited spelt -o out
    says "does not fit the type of 'w'"
    [ ! -e out ]
}
