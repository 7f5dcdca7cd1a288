#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stream_text.bats: dump and undump: the text twin is an identity, edits are noticed, bad text names its line.

# Pipes are the point here, JSON has dollars.
# shellcheck disable=SC2002,SC2016,SC2094
load ../run/common

BEGIN='{"begin":{"graft":1,"kind":"tokens","columns":[{"name":"ids","dtype":"U16","shape":[-1]},{"name":"doc","dtype":"U64","shape":[]},{"name":"h","dtype":"F16","shape":[2]},{"name":"keep","dtype":"U8","shape":[-1]}],"tensors":[],"meta":{"vocab":9,"r":{"$real":"0x1.8p+0"},"b":{"$bin":"0001"},"u":{"$uint":"18446744073709551615"},"m":{"$map":[["$x",null]]},"s":"\u0000\"é"}},"expect":{"rows":2}}'

setup() {
    graft_setup
    need jq
    printf '%s\n' "$BEGIN" \
        '{"row":{"ids":[0,65535],"doc":"0xffffffffffffffff","h":["nan:3ff","-inf"],"keep":"{\"a\":\"é\"}"}}' \
        '{"row":{"ids":[],"doc":3,"h":[-0.0,65504],"keep":[0,255,10]}}' \
        '{"end":{}}' >text
    graft undump --edited text -o s
}

@test "dump | undump is an identity, by id and by text" {
    graft dump s >out
    graft undump out -o t
    graft diff s t
    graft dump t | sed '$d' >again
    sed '$d' out | cmp - again
    cat out | graft undump | graft diff - s
    [ "$(sed -n 1p out)" = "$(jq -c 'del(.expect)' <<<"$BEGIN")" ]
    [ "$(sed -n 2p out)" = '{"row":{"ids":[0,65535],"doc":"0xffffffffffffffff","h":["nan:3ff","-inf"],"keep":"{\"a\":\"é\"}"}}' ]
    [ "$(sed -n 3p out)" = '{"row":{"ids":[],"doc":"0x0000000000000003","h":["-0x0p+0","0x1.ffcp+15"],"keep":[0,255,10]}}' ]
    jq -e '.end.rows == 2 and .end.bytes == 41' <(tail -n 1 out)
}

@test "a file and a pipe have the same text" {
    sed 's/,"expect":{"rows":2}//' text | graft undump --edited -o s
    graft dump s >file
    cat s | graft dump | cmp - file
    graft cat s | graft dump | sed '$d' | cmp - <(sed '$d' file) # the lineage is longer
}

@test "the lineage goes through the text" {
    graft dump s | graft undump -o t
    [ "$(graft lineage --json t | jq -s -c 'map(.program)')" = '["undump","undump"]' ]
    graft lineage --json t | tail -n 1 | jq -e '.inputs[0].step != null'
}

@test "every dtype, tensors in pieces, empty ones" {
    {
        printf '{"begin":{"graft":1,"kind":"model","columns":[],"tensors":['
        for t in F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL; do
            printf '{"name":"%s","dtype":"%s","shape":[2,1200]},' $t $t
        done
        printf '{"name":"empty","dtype":"F32","shape":[0]}],"meta":{}}}\n'
        for t in F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL; do
            for first in 0 1200; do
                seq 1200 | awk -v t=$t -v f=$first 'BEGIN { printf "{\"tensor\":\"%s\",\"first\":%d,\"data\":[", t, f }
                    { printf "%s%d", (NR > 1 ? "," : ""), NR % 128 * (t ~ /^I/ ? -1 : 1) } END { print "]}" }'
            done
        done
        echo '{"end":{}}'
    } >text
    graft undump --edited text -o m
    graft inspect --json m | jq -e '.tensors == 14 and .elements == 31200'
    graft dump m | graft undump -o n
    graft diff m n
    graft verify m n
}

@test "an edit is noticed" {
    graft dump s | sed 's/65535/65534/' >edited
    status_is 3 graft undump edited -o t
    says "'edited': line 4: the id does not match what came before it (--edited takes it as it is)"
    [ ! -e t ]
    status_is 3 sh -c 'graft undump <edited >piped'
    status_is 4 graft verify piped # no end was written
    status_is 0 graft undump --edited edited -o t
    graft dump t | grep -q 65534
}

@test "nothing in the text is passed over" {
    try() { # SAYS SED: of the dump in out
        sed "$2" out >bad
        status_is 3 graft undump bad -o t
        says "$1"
        one_line
        [ ! -e t ]
    }
    graft dump s >out
    try "'bad': line 2: there is more than row or end" '2s/^{/{"x":1,/'
    try "'bad': line 2: there is more than row or end" '2s/^{/{"end":{},/'
    try "'bad': line 4: the end holds something else" 's/"tensors":0/"x":0/'
    try "'bad': line 4: the end holds something else" 's/"end":.*/"end":5}/'
    try "'bad': line 4: the end has no id" 's/"end":.*/"end":{}}/'
    try "'bad': line 4: the lineage is not hex" 's/"lineage":"[^"]*"/"lineage":5/'
    try "'bad': line 4: the lineage is not hex" 's/"lineage":"../"lineage":"zz/'
    printf '%s\n' '{"begin":{"graft":1,"kind":"head","columns":[],"tensors":[{"name":"w","dtype":"F32","shape":[2]}],"meta":{}}}' \
        '{"tensor":"w","dtype":"F32","shape":[2],"first":0,"data":[1,2]}' '{"end":{}}' | graft undump --edited -o h
    graft dump h >out
    try "'bad': line 2: this is not what begin says of tensor 'w'" '2s/F32/F16/'
    try "'bad': line 2: this is not what begin says of tensor 'w'" '2s/\[2\]/[3]/'
    try "'bad': line 2: this is not what begin says of tensor 'w'" '2s/^{/{"x":1,/'
}

@test "bad text names its line, and leaves nothing" {
    try() { # SAYS: the text is in bad
        status_is 3 graft undump --edited bad -o t
        says "$1"
        one_line
        [ ! -e t ]
    }
    sed '$d' text >bad
    try "'bad': truncated after line 3: no end line"
    sed 1d text >bad
    try "'bad': line 1: no begin before this: not a dump"
    : >bad
    try "'bad': no begin line: not a dump"
    sed 's/65535/65536/' text >bad
    try "'bad': line 2: an element does not fit the type of 'ids'"
    sed 's/"doc":3/"doc":-3/' text >bad
    try "'bad': line 3: a value does not fit the type of 'doc'"
    sed 's/65504\]/65504,1]/' text >bad
    try "'bad': line 3: the number of elements is not that of column 'h'"
    sed 's/65504/65505/' text >bad
    try "line 3: an element does not fit the type of 'h'"
    sed 's/"doc":3,//' text >bad
    try 'line 3: the values of a row are not those of the columns'
    sed 's/"doc":3/"dok":3/' text >bad
    try "line 3: no value for column 'doc'"
    sed '3s/}$//' text >bad
    try "'bad': line 3, column"
    cat text text >bad
    try "'bad': line 5: a line after the end"
    sed 's/"kind":"tokens"/"kind":"tocens"/' text >bad
    try "line 1: begin: unknown kind 'tocens'"
    sed 's/"graft":1,/"graft":1,"more":1,/' text >bad
    try 'line 1: begin: keys beyond the known ones'
    sed 's/"U16"/"U17"/' text >bad
    try "line 1: begin: 'ids' has unknown dtype 'U17'"
}

@test "a full disk, a reader that is gone" {
    status_is 1 bash -c 'graft dump s >/dev/full'
    unread_pipe
    status_is 141 bash -c 'exec graft dump s >&5'
    exec 5>&-
    [ -z "$stderr" ]
}
