#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# interop.bats: another implementation, in Python and from graft-stream(5) alone, reads what graft writes and writes what
# graft reads; the golden streams and the page's worked example still mean what they meant.

load ../run/common

setup() {
    graft_setup
    golden=$ROOT/tests/golden
}

# The first Python that has the packages.
python() {
    local p
    for p in python3 /usr/bin/python3; do
        if "$p" -c 'import msgpack, zstandard, xxhash' 2>/dev/null; then
            "$p" "$ROOT/tests/interop/graft_stream.py" "$@"
            return
        fi
    done
    return 77
}

need_python() { python check "$golden/model.stream" >/dev/null || [ $? -ne 77 ] || skip "no python3 with msgpack, zstandard and xxhash"; }

@test "golden streams are read, with their ids, and dump to the same text" {
    for stream in "$golden"/*.stream; do
        kind=$(basename "$stream" .stream)
        graft verify -q "$stream"
        graft dump "$stream" | cmp - "$golden/$kind.jsonl" || { echo "$kind dumps to another text" >&2; false; }
        graft undump "$golden/$kind.jsonl" | graft diff - "$stream"
        graft cat -z 3 "$stream" | graft diff - "$stream"
    done
    [ "$(find "$golden" -name '*.stream' | wc -l)" -eq 8 ]
}

@test "Python reads what graft writes, with every check" {
    need jq
    need_python
    for stream in "$golden"/*.stream; do
        for level in 0 1 19; do
            graft cat -z $level "$stream" -o again
            python check again >facts
            jq -e --arg id "$(graft inspect --json again | jq -r .id)" '.id == $id and .hashes' facts >/dev/null
            jq -e '.steps[-1] == "cat"' facts >/dev/null
        done
    done
    # many records, long rows: more than a megabyte of tokens
    for _ in $(seq 9); do cat "$golden/tokens.stream"; done >nine
    for _ in $(seq 60); do cat nine; done | graft cat -z 1 -o many
    graft cat -z 1 many many many many -o more
    python check more | jq -e '.rows == 49680 and .segments == 1'
    cat "$golden/tokens.stream" "$golden/tokens.stream" >two
    python check two | jq -e '.segments == 2 and .rows == 46'
}

@test "graft reads what Python writes" {
    need jq
    need_python
    for stream in "$golden"/*.stream; do
        graft cat -z 5 "$stream" -o plain
        python rewrite plain framed
        status_is 1 cmp -s plain framed
        graft verify -q framed
        graft diff plain framed
        graft lineage --json framed | tail -n 1 | jq -e '.program == "graft_stream.py" and .inputs[0].name == "plain"' >/dev/null
    done
    python joined "$golden/logits.stream" "$golden/logits.stream" two
    graft cat --segments 2 two | graft inspect --json | jq -e '.rows == 46'
}

@test "Python refuses what is cut or changed, too" {
    need_python
    size=$(stat -c %s "$golden/features.stream")
    for at in $(seq 3 101 "$size"); do
        cp "$golden/features.stream" bad
        byte=$(od -An -tu1 -j "$at" -N 1 bad)
        printf '%b' "$(printf '\\x%02x' $((byte ^ 8)))" | dd of=bad bs=1 seek="$at" conv=notrunc 2>/dev/null
        status_is 1 python check bad
        head -c "$at" "$golden/features.stream" >bad
        status_is 1 python check bad
    done
}

@test "the worked example of the page is a stream, and its numbers are right" {
    need jq
    page=$ROOT/man/graft-stream.5
    sed -n '/^\.Sh WORKED EXAMPLE/,/^\.Sh EXAMPLES/p' "$page" | sed -n 's/^[0-9a-f]\{4\}  //p' >hex
    # shellcheck disable=SC2046,SC2059 # words are wanted, and the format is made of them
    printf "$(printf '\\x%s' $(cat hex))" >example
    [ "$(stat -c %s example)" -eq 351 ]
    graft verify -q example
    [ "$(graft dump example | sed -n '2,3p')" = '{"row":{"n":7,"v":[258,3]}}
{"row":{"n":8,"v":[]}}' ]
    need_python
    python check example | jq -e '.rows == 2'
    for bytes in 0708 02000000000000000000000000000000 02010300; do
        digest=$(for p in python3 /usr/bin/python3; do "$p" -c "import xxhash; print(xxhash.xxh3_128(bytes.fromhex('$bytes')).hexdigest())" 2>/dev/null && break; done)
        grep -q "$digest" "$page"
    done
}
