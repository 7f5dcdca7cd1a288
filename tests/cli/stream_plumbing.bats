#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stream_plumbing.bats: cat, head, inspect, verify, sum, diff, lineage on small streams made from text by undump.

# Pipes are the point here, JSON has dollars.
# shellcheck disable=SC2002,SC2016,SC2094
load ../run/common

# rows FIRST LAST FILE: a features stream with rows FIRST..LAST, of 5 to 9 bytes of text each.
rows() {
    {
        printf '%s\n' '{"begin":{"graft":1,"kind":"features","columns":[{"name":"x","dtype":"F32","shape":[2]},{"name":"n","dtype":"I64","shape":[]},{"name":"keep","dtype":"U8","shape":[-1]}],"tensors":[],"meta":{"base":{"$bin":"00ff"},"layers":[1,2]}}}'
        seq "$1" "$2" | awk '{ printf "{\"row\":{\"x\":[\"0x1p+%d\",0.5],\"n\":%d,\"keep\":\"text %d\"}}\n", $1 % 7, -$1, $1 }'
        printf '%s\n' '{"end":{}}'
    } | graft undump --edited -o "$3"
}

# tensors SHIFT FILE: a model stream with three tensors; the first element of "b" is SHIFT.
tensors() {
    printf '%s\n' \
        '{"begin":{"graft":1,"kind":"model","columns":[],"tensors":[{"name":"b","dtype":"F32","shape":[3]},{"name":"none","dtype":"F32","shape":[0,4]},{"name":"a","dtype":"BF16","shape":[2,2]}],"meta":{}}}' \
        "{\"tensor\":\"b\",\"dtype\":\"F32\",\"shape\":[3],\"first\":0,\"data\":[$1,2,3]}" \
        '{"tensor":"a","dtype":"BF16","shape":[2,2],"first":0,"data":["0x1p+0","-inf","nan:40","0x1p-3"]}' \
        '{"end":{}}' | graft undump --edited -o "$2"
}

id() { graft inspect --json "$1" | jq -r .id; }
step() { graft lineage --json "$1" | tail -n 1 | jq -r .id; }

setup() {
    graft_setup
    need jq
    rows 1 200 a
    rows 201 300 b
}

# ---- cat ----

@test "cat: a whole equals the sum of its parts, whatever threads, level and way" {
    rows 1 300 whole
    graft cat a b -o ab
    [ "$(id ab)" = "$(id whole)" ]
    for j in 1 2 4; do
        graft cat -j$j a b -o again
        same ab again
        graft cat -j$j -z 7 a b >z$j
        same z1 z$j
        [ "$(id z$j)" = "$(id whole)" ]
    done
    cat a b | graft cat >piped
    [ "$(id piped)" = "$(id whole)" ]
    cat a b | graft cat --segments 2 | graft diff - whole
    graft diff ab whole
}

@test "cat: what is hinted at is added up" {
    graft cat a b | graft inspect --json | jq -e '.expect_rows == 300'
    cat a b >raw
    graft inspect --json raw | jq -e '.segments == 2 and .rows == 300 and .id == null'
    graft cat raw | graft inspect --json | jq -e '.segments == 1 and .expect_rows == 300'
    cat a | graft cat - b | graft inspect --json | jq -e '.expect_rows == null'
}

@test "cat: the number of segments can be demanded" {
    status_is 3 graft cat --segments 3 a b -o out
    says '2 segments came, 3 were demanded'
    one_line
    [ ! -e out ]
}

@test "cat: streams that do not belong together are told apart by what differs" {
    tensors 1 m
    status_is 3 graft cat a m -o out
    says "kind differs: features in 'a', model in 'm'"
    graft dump b | sed 's/"layers":\[1,2\]/"layers":[3]/' | graft undump --edited -o c
    status_is 3 graft cat a c
    says "'layers' differs between 'a' and 'c'"
    graft dump b | sed 's/"layers":\[1,2\]/"layers":[1,3]/' | graft undump --edited -o d
    cat a d >ad # begins of one length
    status_is 3 graft cat ad
    says "'layers' differs"
    status_is 4 graft verify ad
    status_is 3 graft cat m m
    says 'cannot be joined'
    [ ! -e out ]
}

@test "cat: a stream of tensors passes alone, with the same id" {
    tensors 1 m
    graft cat m -o n
    graft cat -z 19 <m >o
    [ "$(id m)" = "$(id n)" ] && [ "$(id m)" = "$(id o)" ]
}

@test "cat: input that is cut, empty or something else is exit 3, and leaves nothing" {
    head -c 900 a >cutoff
    status_is 3 graft cat cutoff -o out
    says "'cutoff': truncated after row"
    says 'did its producer die?'
    one_line
    status_is 3 bash -c 'head -c 900 a | graft cat -o out'
    says "'standard input': truncated"
    status_is 3 graft cat b cutoff -o out
    : >empty
    status_is 3 graft cat empty -o out
    says "'empty': it is empty"
    echo 'Call me Ishmael.' >text
    status_is 3 graft cat text -o out
    says "'text': not a graft stream: it is text"
    status_is 1 graft cat no-such-file -o out
    says "cannot open 'no-such-file': No such file or directory"
    [ "$(echo *)" = "a b cutoff empty text" ]
}

@test "cat: a full disk, a closed stdout, a reader that is gone" {
    status_is 1 bash -c 'graft cat a >/dev/full'
    says "cannot write 'standard output': No space left on device"
    status_is 1 bash -c 'graft cat a >&-'
    status_is 1 graft cat a -o no/such/dir
    unread_pipe
    status_is 141 bash -c 'exec graft cat a a >&5'
    exec 5>&-
    [ -z "$stderr" ]
}

@test "cat: binary is not written to a terminal" {
    need script
    script -qec 'graft cat a; echo status $?' /dev/null >out </dev/null
    grep -q 'status 2' out
    grep -q 'a terminal' out
}

@test "a stream is not read from a terminal" {
    need script
    for command in 'graft cat -o out' 'graft verify -' 'graft inspect -'; do
        ends script -qec "$command; echo status \$?" /dev/null >said </dev/null
        grep -q 'status 2' said
        grep -q 'not read from the terminal' said
    done
}

@test "cat: an output that is the input" {
    before=$(id a)
    graft cat a -o a
    [ "$(id a)" = "$before" ]
}

# ---- head ----

@test "head: the first rows, whichever way they come" {
    rows 1 7 seven
    graft head -n 7 a -o h
    graft diff h seven
    graft head -n 7 <a | graft diff - seven
    cat a | graft head -n 7 | graft diff - seven
    graft head -n 0 a | graft inspect --json | jq -e '.rows == 0'
    graft head -n 1000 a b | graft inspect --json | jq -e '.rows == 300'
    rows 1 205 more
    graft head -n 205 a b | graft diff - more
    tensors 1 m
    status_is 3 graft head m
    says 'has no rows'
}

@test "head: the lineage names the whole input, from a file as from a pipe" {
    graft head -n 7 a -o f
    mkfifo a.pipe
    cat a >a.pipe 3>&- &
    graft head -n 7 a.pipe -o p
    [ "$(step f)" = "$(step p)" ]
    graft lineage --json f | tail -n 1 | jq -e --arg id "$(id a)" '.inputs | length == 1 and .[0].content == $id and .[0].rows == 200 and (.[0].partial | not)'
}

@test "head: --no-drain records what was read, free of framing" {
    graft head -n 7 --no-drain a -o n
    graft lineage --json n | tail -n 1 | jq -e --arg id "$(id n)" '.inputs[0].partial and .inputs[0].rows == 7 and .inputs[0].content == $id and .inputs[0].step == null'
}

# ---- inspect, lineage ----

@test "inspect: files, pipes, several, joined" {
    graft inspect a | head -n 1 | grep -qx 'a: features, 200 rows'
    graft inspect --json <a | jq -e --arg id "$(id a)" '.id == $id and .bytes == 4692 and (.columns | map(.name)) == ["x", "n", "keep"] and .meta.base == "00ff"'
    cat a | graft inspect --json - | jq -e '.rows == 200'
    [ "$(graft inspect --json a b | jq -s 'map(.rows) | add')" = 300 ]
    tensors 1 m
    graft inspect m | grep -q 'a  *BF16 2 x 2'
    graft inspect --json m | jq -e '.tensors == 3 and .elements == 7 and .layout[1].shape == [0, 4]'
}

@test "lineage: every step once, ancestors first, options with their values" {
    graft head -n 20 a | graft cat - b -z 3 -o c
    graft lineage --json c >steps
    [ "$(jq -s -c 'map(.program)' steps)" = '["undump","head","undump","cat"]' ] || [ "$(jq -s -c 'map(.program) | sort' steps)" = '["cat","head","undump","undump"]' ]
    jq -s -e '.[-1].program == "cat" and .[-1].options.segments == "0" and (.[-1].options | has("level") | not)' steps
    jq -s -e '. as $s | all(range(length); . as $i | all($s[$i].inputs[]; .step == null or (.step as $x | any($s[:$i][]; .id == $x))))' steps
    graft lineage c | grep -q -- 'options --rows 20'
}

@test "lineage: names and places do not count, content and options do" {
    mkdir d
    cp a d/other
    graft head -n 5 a -o x
    graft head -n 5 d/other -z 9 -j 3 -o y
    [ "$(step x)" = "$(step y)" ]
    graft head -n 6 a -o z
    [ "$(step x)" != "$(step z)" ]
}

# ---- verify ----

@test "head of a file: a table that is unlike the frames that were read" {
    local f=$ROOT/tests/golden/tokens.stream size entries at
    byte() { od -An -tu1 -j "$1" -N 1 bad | tr -d ' '; }
    add() { # OFFSET N
        printf '%b' "\\x$(printf %02x $((($(byte "$1") + $2 + 256) % 256)))" | dd of=bad bs=1 seek="$1" conv=notrunc status=none
    }
    cp "$f" bad
    chmod u+w bad
    size=$(wc -c <bad)
    entries=$(byte $((size - 9)))
    at=$((size - 9 - 8 * entries))
    # The border between the second and the third frame moves: what begins and ends the file is found all the same.
    add $((at + 16)) 1
    add $((at + 24)) -1
    status_is 0 graft head -n 1 "$f"
    status_is 3 graft head -n 1 bad
    says 'the table does not match the frames'
}

@test "verify: sound streams" {
    tensors 1 m
    status_is 0 graft verify a b m
    [ "$(wc -l <<<"$output")" = 3 ]
    cat a b >raw
    graft verify raw | grep -q 'sound, features, 300 rows'
    graft verify --fast raw a | grep -q 'raw: sealed, 2 segments'
    graft verify --json a | jq -e '.sound and .rows == 200 and .message == null'
    status_is 0 graft verify -q a
    status_is 2 graft verify -z 3 a
    [ -z "$output" ]
}

@test "verify: the answer is no, with the place" {
    cp a bad
    printf x | dd of=bad bs=1 seek=700 conv=notrunc 2>/dev/null
    for option in '' --fast; do
        status_is 4 graft verify $option a bad
        says '1 of 2 damaged'
        grep -q "'bad'.*byte" <<<"$output"
    done
    head -c 700 a >cutoff
    status_is 4 graft verify cutoff
    status_is 4 graft verify --fast cutoff
    grep -q truncated <<<"$output"
    status_is 4 graft verify --json cutoff
    jq -e '(.sound | not) and (.message | test("truncated"))' <<<"$output"
    status_is 1 graft verify no-such-file
    # a path need not be UTF-8; JSON is
    cp cutoff $'cut\xff'
    status_is 4 graft verify --json $'cut\xff'
    jq -e '.file == "cut?" and (.message | test("truncated"))' <<<"$output"
}

@test "verify: salvage keeps what is whole" {
    for i in 1 2 3 4 5 6; do graft cat a -o "$i"; done
    cat 1 2 3 4 5 6 >six
    # frames of one segment: begin, rows, end. Damage to the rows of the second and the begin of the fifth
    size=$(stat -c %s 1)
    printf xxxx | dd of=six bs=1 seek=$((size + 700)) conv=notrunc 2>/dev/null
    printf xxxx | dd of=six bs=1 seek=$((4 * size + 60)) conv=notrunc 2>/dev/null
    status_is 0 graft verify --salvage six -o saved
    says "'six': bytes "
    says ': 200 rows after row 200 are lost'
    says ': no row is lost' # the begin of another segment is as good
    says '1000 of 1200 rows are whole'
    graft verify saved
    graft diff saved <(graft cat 1 3 4 5 6)
    graft lineage --json saved | tail -n 1 | jq -e '.program == "verify" and .inputs[0].partial'
    cat 1 2 3 4 5 6 >six
    head -c $((3 * size + 10)) six >cutoff
    status_is 0 graft verify --salvage cutoff -o saved
    says ': rows after row 600 are lost'
    says '600 rows are whole; how many there were is not known'
    graft diff saved <(graft cat 1 2 3)
    head -c "$size" six >whole # nothing is lost, nothing is said to be
    status_is 0 graft verify --salvage whole -o saved
    one_line
    says '200 of 200 rows are whole'
    head -c 60 a >stub
    status_is 3 graft verify --salvage stub -o x
    says 'no begin record is left'
    [ ! -e x ]
    status_is 2 graft verify --salvage a b
    status_is 2 graft verify a -o x
}

@test "verify: salvage of tensors" {
    tensors 1 m
    size=$(stat -c %s m)
    head -c $((size - 100)) m >cutoff
    graft verify -q --salvage cutoff -o saved
    graft verify saved
    graft inspect --json saved | jq -e '.tensors >= 1 and (.layout | map(.name) | index("none"))'
    # a piece damaged: the other tensors are kept
    cp m bad
    at=$(LC_ALL=C grep -abo 'tensor.b.dtype' m | tail -n 1 | cut -d: -f1)
    printf xx | dd of=bad bs=1 seek=$((at + 30)) conv=notrunc 2>/dev/null
    status_is 0 graft verify --salvage bad -o saved
    says '2 of 3 tensors are whole'
    status_is 4 graft diff m saved
    [ "$output" = "tensor 'b': only in 'm'" ]
}

# ---- sum, diff ----

@test "sum: free of order and files, not of content" {
    graft sum a b >whole
    graft sum b a | cmp - whole
    graft cat -z 5 b a | graft sum | cmp - whole
    graft head -n 299 a b | graft sum >less
    status_is 1 cmp -s less whole
    graft sum a a >double
    graft sum b b >other
    status_is 1 cmp -s double other
    graft sum --json a | jq -e '.rows == 200 and .kind == "features" and (.sum | length) == 32'
    tensors 1 m
    tensors 2 n
    [ "$(graft sum m)" != "$(graft sum n)" ]
    [ "$(graft sum -t m | sed -n 1p)" != "$(graft sum -t n | sed -n 1p)" ]
    [ "$(graft sum -t m | sed -n 3p)" = "$(graft sum -t n | sed -n 3p)" ]
    status_is 3 graft sum m n
}

@test "diff: equal is silent and 0, different is 4" {
    graft cat -z 9 a -o a9
    status_is 0 graft diff a a9
    [ -z "$output$stderr" ]
    status_is 4 graft diff a b
    grep -q "row 0, column 'x', element 0: 0x1p+1 in 'a', 0x1p+5 in 'b'" <<<"$output"
    grep -q "'a' has 200 rows, 'b' has 100" <<<"$output"
    [ -z "$stderr" ]
    graft dump a | sed 's/"text 57"/"text 5x"/' | graft undump --edited -o c
    status_is 4 graft diff a c
    grep -qF "row 56, column 'keep', element 6: 55 in 'a', 120 in 'c'" <<<"$output"
    grep -q '1 of 200 rows differ' <<<"$output"
    status_is 4 graft diff --json a c
    jq -e '(.equal | not) and .rows_different == 1 and .first.row == 56' <<<"$output"
    head -c 700 a >cutoff
    status_is 3 graft diff a cutoff
    status_is 2 graft diff a
    for program in "diff a b" "verify cutoff"; do # an answer that is lost is none
        status=0
        # shellcheck disable=SC2086 # words
        graft $program >/dev/full || status=$?
        [ "$status" -eq 1 ]
    done
}

@test "diff: tensors by name, with a tolerance" {
    tensors 1 m
    tensors 1.25 n
    status_is 0 graft diff m m
    status_is 4 graft diff m n
    grep -q "tensor 'b': different, 1 elements differ, max 0.25, rms [0-9.]*, relative 0.0668" <<<"$output"
    status_is 1 grep -q "'a'" <<<"$output"
    status_is 0 graft diff -t 0.25 m n
    status_is 4 graft diff -t 0.2 m n
    status_is 4 graft diff -a --json m n
    jq -e '.tensors | map(.status) | sort == ["different", "equal", "equal"]' <<<"$output"
    status_is 4 graft diff a m
}

# ---- faults ----

@test "any allocation, read, write, thread or rename may fail: an error, and nothing half-written" {
    for kind in alloc read write fsync rename thread open; do
        for n in $(seq 1 40) $(seq 47 7 5000); do
            status=0
            [ "$kind" != rename ] || cp a out # a new file needs no other name first
            FAULT=$kind:$n graft cat -j2 a b -o out 2>err || status=$?
            if [ "$status" -eq 0 ]; then
                graft verify -q out
                rm out
                break
            fi
            [ "$status" -eq 1 ] || { echo "FAULT=$kind:$n status $status: $(cat err)" >&2; false; }
            [ "$(wc -l <err)" -eq 1 ]
            # Complete or not at all: the last fsync is that of the folder, after the rename.
            if [ -e out ]; then
                [ "$kind" = fsync ] || [ "$kind" = rename ]
                [ "$kind" = fsync ] || same a out # the old file is kept
                graft verify -q out
                rm out
            fi
            [ "$(echo *)" = "a b err" ] || { echo "FAULT=$kind:$n left $(echo *)" >&2; false; }
        done
        [ "$status" -eq 0 ]
        [ "$n" -gt 1 ] || { echo "FAULT=$kind never failed anything" >&2; false; }
    done
}
