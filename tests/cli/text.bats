#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# text.bats: text to tokens and back through the programs: every form of input, its faults with their places, cuts, threads,
# pipes. What a document is shows in what detokenize gives back.

load ../run/common

setup_file() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PATH=${BUILD:-$ROOT/build}/bin:$PATH
    for i in $(seq 400); do
        printf 'The lamp number %d, a caf\303\251 by the river: it does not burn.\n' "$i"
        [ $((i % 7)) -ne 0 ] || printf '\n'
    done >"$BATS_FILE_TMPDIR/corpus.txt"
    graft learn-tokenizer -q --vocab 400 "$BATS_FILE_TMPDIR/corpus.txt" -o "$BATS_FILE_TMPDIR/t.tok"
}
setup() {
    graft_setup
    TOK=$BATS_FILE_TMPDIR/t.tok
    CORPUS=$BATS_FILE_TMPDIR/corpus.txt
}

# tokens ARG...: the documents of stdin, each between brackets
documents() {
    graft tokenize -q -t "$TOK" "$@" | graft detokenize -t "$TOK" -0 | sed -z 's/.*/[&]/' | tr -d '\0'
}

gives() { # TEXT ARG...: documents of stdin with ARG are TEXT
    local want=$1 got
    shift
    got=$(documents "$@")
    [ "$got" = "$want" ] || { printf 'got  %s\nwant %s\n' "$got" "$want" >&2; return 1; }
}

# ---- forms ----

@test "a file is one document, and an empty one none" {
    printf 'a\nb\n' | gives $'[a\nb\n]'
    printf '' | gives ''
    status_is 0 graft tokenize -t "$TOK" -o x.tokens </dev/null
    says 'no documents'
}

@test "lines: empty ones count, the last needs no newline" {
    printf 'a\n\n b \nc' | gives '[a][][ b ][c]' -f lines
    printf 'a\r\n' | gives $'[a\r]' -f lines
}

@test "paragraphs are what stands between blank lines" {
    printf '\n \na\nb\n\n\t\n\nc\n d' | gives $'[a\nb][c\n d]' -f paragraphs
    printf '\n\n' | gives '' -f paragraphs
}

@test "jsonl takes a field, by default text" {
    printf '{"text": "a\\u00e9"}\n\n{"x": 1, "text": ""}' | gives '[aé][]' -f jsonl
    printf '{"body": "b", "text": "a"}\n' | gives '[b]' -f jsonl --text body
    printf '\357\273\277{"text": "a"}\n' | gives '[a]' -f jsonl
}

@test "csv as RFC 4180 has it" {
    printf 'id,text\r\n1,"a, ""b""\r\nc"\r\n2,d\r\n' | gives $'[a, "b"\r\nc][d]' -f csv
    printf 'id,text\n1,""\n\n2,x' | gives '[][x]' -f csv
    printf 'a,b\nc,d\n' | gives '[b][d]' -f csv --no-header --text 2
    printf 'text\nx\n""\ny\n' | gives '[x][][y]' -f csv
}

@test "csv: an empty line is a record where there is one column, and nothing where there are more" {
    printf 'text\na\n\nb\n\n' | gives '[a][][b][]' -f csv
    printf '\n\ntext\na\n\r\nb' | gives '[a][][b]' -f csv # none is a header
    printf '\na\n' | gives '[][a]' -f csv --no-header
    printf '\n' | gives '[]' -f csv --no-header
    printf '\na\n\n' | gives '[][a][]' -f tsv --no-header
    printf '"text"\n""\n"a"\n' | gives '[][a]' -f csv
    printf 'text,n\n\na,1\n\r\n\nb,2\n\n' | gives '[a][b]' -f csv
    printf 'a,1\n\nb,2\n\n' | gives '[a][b]' -f csv --no-header
    printf 'text,n\na,1\n""\n' | fault 'line 3: 1 field, but 2' -f csv # no empty line: it has a field
    printf '\na,1\n' | fault 'line 2: 2 fields, but 1' -f csv --no-header
}

@test "tsv quotes nothing" {
    printf 'text\tn\n"a" b\t1\nc"\t2\n' | gives '["a" b][c"]' -f tsv
}

@test "the form follows from the name" {
    printf '{"text": "a"}\n' >x.jsonl
    printf 'text\nb\n' >x.csv
    printf 'text\tn\nc\t1\n' >x.tsv
    printf 'd\ne' >x.txt
    printf '{"text": "f"}\n' >x.ndjson
    [ "$(documents x.jsonl x.csv x.tsv x.txt x.ndjson)" = $'[a][b][c][d\ne][f]' ]
}

@test "JSON that is read as text is warned of, once" {
    quiet_about() { graft tokenize -t "$TOK" "$@" -o x.tokens 2>stderr; [ ! -s stderr ]; }
    printf ' \n[{"text": "a"},\n {"text": "b"}]\n' >array.json
    printf '{"text": "a"}\n{"text": "b"}\n' >object.json
    printf 'plain text of this name, no [JSON]' >text.json
    cp array.json array.txt
    graft tokenize -t "$TOK" array.json object.json -o x.tokens 2>stderr
    [ "$(cat stderr)" = "graft-tokenize: warning: 'array.json' is read as plain text, but looks like a JSON array: 'jq -c .[]' makes \
JSON lines of it, for -f jsonl (-f files: text is meant)" ]
    graft learn-tokenizer --vocab 260 object.json -o x.tok 2>stderr
    [ "$(cat stderr)" = "graft-learn-tokenizer: warning: 'object.json' is read as plain text, but looks like JSON: give -f jsonl when \
each line is an object (-f files: text is meant)" ]
    quiet_about text.json array.txt
    quiet_about -f files array.json
    quiet_about -f jsonl object.json
    quiet_about -q array.json
    [ "$(documents -f jsonl object.json)" = '[a][b]' ]
}

@test "--keep carries the other fields" {
    need python3
    printf '{"text": "a", "n": 1, "l": [1, null]}\n' >x.jsonl
    graft tokenize -q -t "$TOK" --keep all x.jsonl -o all.tokens
    graft tokenize -q -t "$TOK" --keep n x.jsonl -o n.tokens
    zstd -dcq all.tokens | grep -aqF '{"n":1,"l":[1,null]}'
    zstd -dcq n.tokens | grep -aqF '{"n":1}'
    printf 'id,text,label\n7,a,"x ""y"""\n' >x.csv
    graft tokenize -q -t "$TOK" --keep label,id x.csv -o csv.tokens
    zstd -dcq csv.tokens | grep -aqF '{"id":"7","label":"x \"y\""}'
}

@test "--keep carries numbers as they are written, of any size" {
    need jq
    cat >x.jsonl <<'END'
{"text": "a", "x": 0.1, "big": 123456789012345678901234567890, "deep": {"l": [ -0.0, 1E400 , 1e-5], "s": " 12 \"3\" {[,"}, "t\u0065x": true, "e\"": "\u00e9"}
{"id":18446744073709551616,"text":"b" , "x":-5}
END
    graft tokenize -q -t "$TOK" --keep all x.jsonl -o all.tokens
    graft dump all.tokens | jq -r 'select(.row).row.keep' >kept
    cat >want <<'END'
{"x":0.1,"big":123456789012345678901234567890,"deep":{"l":[-0.0,1E400,1e-5],"s":" 12 \"3\" {[,"},"t\u0065x":true,"e\"":"\u00e9"}
{"id":18446744073709551616,"x":-5}
END
    same want kept
    graft tokenize -q -t "$TOK" --keep x x.jsonl | graft dump | jq -r 'select(.row).row.keep' >kept
    printf '{"x":0.1}\n{"x":-5}\n' >want
    same want kept
    # what is not kept does not matter either
    graft tokenize -q -t "$TOK" x.jsonl -o plain.tokens
    for bad in 01 1. .5 1e +1 0x1 - 1.e5 NaN; do
        printf '{"text": "a", "n": %s}\n' "$bad" | fault 'line 1, column' -f jsonl
    done
}

@test "what rows are to be expected is said where lines can be counted" {
    need jq
    expected() { graft tokenize -q -t "$TOK" "$@" | graft inspect --json | jq -c '[.rows, .expect_rows]'; }
    printf 'a\n\n \nb\nc' >x.txt
    printf '\n{"text": "a"}\n \r\n{"text": "b"}' >x.jsonl
    printf '\357\273\277\n{"text": "a"}\n' >bom.jsonl
    printf 'text\na\n' >x.csv
    : >empty.txt
    [ "$(expected -f lines x.txt empty.txt x.txt)" = '[10,10]' ]
    [ "$(expected -f lines <x.txt)" = '[5,5]' ]
    [ "$(expected -f paragraphs x.txt)" = '[2,2]' ]
    [ "$(expected x.txt empty.txt x.jsonl bom.jsonl)" = '[4,4]' ]
    # not known: a pipe, which is left alone; a table; documents that are cut
    [ "$(expected -f lines <(cat x.txt))" = '[5,null]' ]
    [ "$(expected -f lines x.txt - < <(cat x.txt))" = '[10,null]' ]
    [ "$(expected x.txt x.csv)" = '[2,null]' ]
    [ "$(expected -f lines --length 4 x.txt)" = '[5,null]' ]
    # over the borders of what is read at once
    seq 400000 | sed 's/$/ x/; s/^.*7 x$//' >long.txt
    [ "$(expected -f lines long.txt)" = '[400000,400000]' ]
    [ "$(expected -f paragraphs long.txt)" = '[40001,40001]' ]
}

# pair_tok: a tokenizer for an encoder
pair_tok() {
    graft learn-tokenizer -q --vocab 300 --special 'pad=[PAD]' --special 'cls=[CLS]' --special 'sep=[SEP]' -f lines "$CORPUS" -o pair.tok
}

@test "pairs: one row of both, with types; from every form of record" {
    need jq
    pair_tok
    rows() { graft tokenize -q -t pair.tok "$@" | graft dump | jq -c 'select(.row).row | del(.doc)'; }
    printf '{"text": "a", "b": "bc", "n": 1.0}\n{"b": "", "n": 2, "text": "\u00e9"}\n' >x.jsonl
    printf 'n,b,text\n1.0,bc,a\n2,,é\n' >x.csv
    printf '1.0\tbc\ta\n2\t\té\n' >x.tsv
    rows --pair b x.jsonl >want
    [ "$(wc -l <want)" -eq 2 ]
    jq -s -e '.[0].types == [0,0,0,1,1,1] and .[0].bytes == 3 and .[1].bytes == 2 and .[1].chars == 1 and
        .[0].ids[2] == .[0].ids[5] and .[1].types[-2:] == [0,1]' want
    rows --pair b x.csv | cmp - want
    rows --pair 2 --text 3 --no-header x.tsv | cmp - want
    [ "$(rows --pair b --keep all x.jsonl | jq -r .keep)" = $'{"n":1.0}\n{"n":2}' ]
    [ "$(rows --pair b --keep all x.csv | jq -r .keep)" = $'{"n":"1.0"}\n{"n":"2"}' ]
    # equal pairs are one document, swapped ones are not
    printf '{"text": "a", "b": "c"}\n{"text": "c", "b": "a"}\n{"b": "c", "text": "a"}\n' >y.jsonl
    graft tokenize -q -t pair.tok --pair b y.jsonl | graft dump | jq -s -e 'map(select(.row).row.doc) | .[0] == .[2] and .[0] != .[1]'
    # a model with types can learn from them
    graft tokenize -q -t pair.tok --pair b x.jsonl y.jsonl -o pairs.tokens
    graft verify -q pairs.tokens
}

@test "pairs that do not fit" {
    need jq
    pair_tok
    printf '{"text": "a", "b": "b"}\n\n{"text": "zqzqzq", "b": "zq"}\n' >x.jsonl
    status_is 3 graft tokenize -t pair.tok --pair b --length 8 x.jsonl -o x.tokens
    one_line
    says "'x.jsonl': line 3: the pair makes 11 ids, more than --length 8 (--truncate shortens the longer text)"
    [ ! -e x.tokens ]
    status_is 0 graft tokenize -t pair.tok --pair b --length 8 --truncate x.jsonl -o x.tokens
    says '1 of 2 pairs were shortened to --length 8'
    graft dump x.tokens | jq -s -e 'map(select(.row).row) | .[1].types == [0,0,0,0,0,1,1,1] and .[1].bytes == 5 and .[0].bytes == 2'
    status_is 0 graft tokenize -t pair.tok --pair b --length 11 x.jsonl -o x.tokens
    status_is 2 graft tokenize -t pair.tok --pair b --length 4 x.jsonl -o y.tokens
    says '--length 4: rows of pairs need 5 or more'
}

@test "what --pair needs" {
    pair_tok
    printf '{"text": "a", "b": "b"}\n' >x.jsonl
    printf 'text,b,b\na,1,2\n' >x.csv
    for o in '--pair text x.jsonl' '--pair b x.txt' '--truncate x.jsonl' '--pair b --truncate x.jsonl' '--pair b --keep b x.jsonl' \
        '--pair 1 --no-header x.csv' '--pair text x.csv'; do
        echo a >x.txt
        # shellcheck disable=SC2086 # several words
        status_is 2 graft tokenize -t pair.tok $o -o x.tokens
        says '--'
    done
    status_is 2 graft tokenize -t "$TOK" --pair b x.jsonl -o x.tokens
    says 'no special tokens to put around two texts'
    TOK=pair.tok fault "no field 'c'" -f jsonl --pair c <x.jsonl
    TOK=pair.tok fault "the header has no column 'c'" -f csv --pair c <x.csv
    TOK=pair.tok fault "two columns 'b'" -f csv --pair b <x.csv
}

# ---- faults ----

fault() { # MESSAGE ARG...: tokenize of stdin ends with 3, one line, the message, and leaves no file
    local message=$1
    shift
    status_is 3 graft tokenize -t "$TOK" "$@" -o x.tokens
    one_line
    says "$message"
    [ ! -e x.tokens ]
}

@test "what is not UTF-8 is named by line and byte, or replaced" {
    printf 'ab\ncd\377e\n' >x.txt
    fault "'x.txt': line 2, byte 5: not valid UTF-8" x.txt
    fault "'x.txt': line 2, byte 5: not valid UTF-8" -f lines x.txt
    printf 'a\303' | fault 'line 1, byte 1: not valid UTF-8'
    printf '\355\240\200' | fault 'byte 0' # a surrogate
    printf 'a\303(\360\237\231b\377' | gives $'[a\357\277\275(\357\277\275b\357\277\275]' --invalid replace
    status_is 3 graft learn-tokenizer --vocab 300 x.txt -o x.tok
    says "line 2, byte 5"
    [ ! -e x.tok ]
    status_is 0 graft learn-tokenizer -q --vocab 258 --invalid replace x.txt -o x.tok
}

@test "what is not text at all is named" {
    for packer in gzip zstd xz; do
        $packer -c <"$CORPUS" >x.txt
        fault "not valid UTF-8: it is $packer: unpack it first" x.txt
    done
    printf 'hello\n' | iconv -f UTF-8 -t UTF-16 >x.txt
    fault "'x.txt': line 1, byte 0: not valid UTF-8: it is UTF-16" x.txt
    fault "it is a graft stream, not text" "$TOK"
}

@test "a character that is cut by a block of input is whole" {
    head -c 1048575 /dev/zero | tr '\0' a >x.txt
    printf '\303\251\360\237\231\202' >>x.txt
    graft tokenize -t "$TOK" x.txt | graft detokenize -t "$TOK" | cmp - x.txt
    { head -c 1048574 x.txt; printf '\377b'; } >y.txt
    fault 'byte 1048574' y.txt
}

@test "bad JSON lines" {
    printf '{"text": "a"}\n{"text": }\n' | fault 'line 2, column' -f jsonl
    printf '{"text": "a"}\n[1]\n' | fault 'line 2: not a JSON object' -f jsonl
    printf '{"body": "a", "n": 1}\n' | fault "line 1: no field 'text' (there are: body, n)" -f jsonl
    printf '{"text": 5}\n' | fault "field 'text' is not a string" -f jsonl
    printf '{"text": "a", "text": "b"}\n' | fault 'line 1' -f jsonl
    printf '{"text": "a"}\n' | fault "line 1: no field 'z' (there are: text)" -f jsonl --keep z
}

@test "bad CSV" {
    printf 'text\na"b\n' | fault 'line 2: a quote inside an unquoted field' -f csv
    printf 'text\n"a"b\n' | fault 'line 2: text behind a closing quote' -f csv
    printf 'text\n"a\nb\n' | fault 'line 2: a quoted field does not end' -f csv
    printf 'text,n\na,1\n"b\nc"\n' | fault 'line 3: 1 field, but 2 in the first record' -f csv
    printf 'id,body\n1,a\n' | fault "no column 'text' (there are: id, body): --text names" -f csv
    printf 'id,body\n1,a\n' | fault "no column 'z' (there are: id, body)" -f csv --text body --keep z
    { seq -s, 1000; echo; } | fault ', 65, ...): --text' -f csv
    printf 'text,text\na,b\n' | fault "two columns 'text'" -f csv
    printf 'text,n,n\na,1,2\n' | fault "two columns 'n'" -f csv --keep all
    printf 'text,n,n\na,1,2\n' | gives '[a]' -f csv
    printf 'a\n' | fault 'there is 1 column, not 2' -f csv --no-header --text 2
}

@test "wrong usage" {
    status_is 2 graft tokenize "$CORPUS" -o x.tokens
    says 'give one of -t TOKENIZER and -m MODEL'
    status_is 2 graft tokenize -t "$TOK" -m "$TOK" "$CORPUS" -o x.tokens
    status_is 2 graft tokenize -t "$TOK" --text body -f lines "$CORPUS" -o x.tokens
    says '--text is for records'
    printf 'text,n\na,1\n' >x.csv
    status_is 2 graft tokenize -t "$TOK" --keep x.csv -o x.tokens
    says "--keep took the file 'x.csv' for fields"
    status_is 2 graft tokenize -t "$TOK" --no-header -f lines "$CORPUS" -o x.tokens
    says '--no-header is for tables'
    printf '{"text": "a"}\n' >x.jsonl
    status_is 2 graft tokenize -t "$TOK" --no-header x.jsonl -o x.tokens
    status_is 2 graft tokenize -t "$TOK" --keep text x.jsonl -o x.tokens
    says 'the text itself is not carried along'
    printf 'a,b\n' >x.csv
    status_is 2 graft tokenize -t "$TOK" --no-header --keep 1 x.csv -o x.tokens
    status_is 2 graft tokenize -t "$TOK" --no-header --keep 02 x.csv -o x.tokens
    says "'02' is not the number of a column"
    status_is 2 graft tokenize -t - -o x.tokens <"$TOK"
    says 'both the tokenizer and the text'
    status_is 2 graft tokenize -t "$TOK" -f lines - - -o x.tokens <"$CORPUS"
    says 'only once'
    status_is 2 graft tokenize -t "$TOK" --length 1 "$CORPUS" -o x.tokens
    says 'need 2 or more'
    status_is 2 graft learn-tokenizer --vocab 200 "$CORPUS" -o x.tok
    says 'need 257 ids'
    status_is 2 graft learn-tokenizer --vocab 300 --regex 'a(' "$CORPUS" -o x.tok
    says "'a(', byte"
    status_is 2 graft learn-tokenizer --vocab 300 --regex a --pattern gpt2 "$CORPUS" -o x.tok
    says 'one of --pattern and --regex'
    status_is 1 graft learn-tokenizer --vocab 300 -o none/x.tok nothing.txt
    says "none/x.tok" # before the text is read
    status_is 2 graft import --format tiktoken "$CORPUS" "$CORPUS" -o x.tok
    status_is 1 graft import x.weights -o x.tok
    says "cannot open 'x.weights'"
    : >x.weights
    status_is 2 graft import x.weights -o x.tok
    says 'its name does not tell what it is'
    [ ! -e x.tok ] && [ ! -e x.tokens ]
}

@test "files that are not there, or not what they should be" {
    status_is 1 graft tokenize -t "$TOK" nothing.txt -o x.tokens
    says "cannot open 'nothing.txt'"
    status_is 1 graft tokenize -t nothing.tok "$CORPUS" -o x.tokens
    status_is 3 graft tokenize -t "$CORPUS" "$CORPUS" -o x.tokens
    graft tokenize -t "$TOK" "$CORPUS" -o y.tokens
    status_is 3 graft tokenize -t y.tokens "$CORPUS" -o x.tokens
    says 'no tokenizer'
    graft learn-tokenizer -q --vocab 300 "$CORPUS" -o other.tok
    status_is 3 graft detokenize -t other.tok y.tokens
    says "was not made with the tokenizer of 'other.tok'"
    [ ! -e x.tokens ]
}

@test "a tiktoken file is checked" {
    printf 'YQ== 0\nYg== x\n' >x.tiktoken
    status_is 3 graft import --pattern gpt2 x.tiktoken -o x.tok
    says 'line 2'
    printf 'YQ== 0\nYg== 0\n' >x.tiktoken
    status_is 3 graft import --pattern gpt2 x.tiktoken -o x.tok
    says 'rank 0 stands on an earlier line'
    printf 'YQ== 0\n' >x.tiktoken
    status_is 3 graft import --pattern gpt2 x.tiktoken -o x.tok
    says 'byte 0x00 has no token'
    status_is 2 graft import x.tiktoken -o x.tok
    says '--pattern'
    [ ! -e x.tok ]
}

# ---- laws ----

@test "text comes back, whole and in cuts, as file and as pipe" {
    for length in 0 2 3 7 64; do
        graft tokenize -t "$TOK" --length "$length" "$CORPUS" | graft detokenize -t "$TOK" | cmp - "$CORPUS"
        graft tokenize -t "$TOK" --length "$length" -f lines "$CORPUS" | graft detokenize -t "$TOK" -l | cmp - "$CORPUS"
    done
}

@test "any bytes that are UTF-8 come back" {
    need python3
    python3 - <<'PY'
import random
random.seed(5)
points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
with open("x.txt", "wb") as f:
    for _ in range(60000):
        f.write(chr(random.choice(points) if random.random() < 0.5 else random.randrange(128)).encode())
PY
    graft tokenize -t "$TOK" x.txt | graft detokenize -t "$TOK" | cmp - x.txt
    graft tokenize -t "$TOK" --length 5 x.txt | graft detokenize -t "$TOK" | cmp - x.txt
}

@test "threads and the way input comes do not change the stream" {
    for _ in $(seq 60); do cat "$CORPUS"; done >big.txt
    for form in files lines; do
        for length in 0 100; do
            graft tokenize -t "$TOK" -f $form --length $length -j 1 big.txt -o 1.tokens
            graft tokenize -t "$TOK" -f $form --length $length -j 4 big.txt -o 4.tokens
            same 1.tokens 4.tokens
            graft tokenize -t "$TOK" -f $form --length $length -j 2 -o p.tokens < <(
                dd if=big.txt bs=777 count=100 status=none
                dd if=big.txt bs=777 skip=100 status=none
            )
            [ "$(graft detokenize -t "$TOK" -0 1.tokens | md5sum)" = "$(graft detokenize -t "$TOK" -0 p.tokens | md5sum)" ]
        done
    done
    graft learn-tokenizer -j 1 --vocab 700 big.txt -o 1.tok
    graft learn-tokenizer -j 4 --vocab 700 big.txt -o 4.tok
    same 1.tok 4.tok
}

@test "rows flow while the input waits" {
    mkfifo in
    graft tokenize -t "$TOK" -f lines <in | graft detokenize -t "$TOK" -l >out 3>&- &
    exec 5>in
    printf 'first\nsecond\n' >&5
    wait_alive $! test -s out
    [ "$(head -n 1 out)" = first ]
    exec 5>&-
    wait
    [ "$(cat out)" = $'first\nsecond' ]
}

@test "special tokens are text, unless parsed" {
    printf 'a<|endoftext|>b' | gives '[a<|endoftext|>b]'
    printf 'a<|endoftext|>b' | gives '[ab]' --parse-special
    [ "$(printf 'a' | graft tokenize -t "$TOK" | graft detokenize -t "$TOK" --special)" = '<|endoftext|>a<|endoftext|>' ]
}

@test "the bytes and characters of a document's cuts are the document's" {
    need jq
    for length in 0 2 7 64; do
        for threads in 1 3; do
            graft tokenize -t "$TOK" -j $threads --length $length "$CORPUS" | graft dump >x.dump
            jq -s '[.[].row | select(.)] | [(map(.bytes) | add), (map(.chars) | add), (map(.skip) | unique),
                   (map(.part) == [range(length)]), (map(.ids[1:]) | add | length)]' -c x.dump >x.json
            ids=$(graft tokenize -t "$TOK" "$CORPUS" | graft dump | jq -s '[.[].row | select(.)][0].ids[1:] | length')
            [ "$(cat x.json)" = "[$(wc -c <"$CORPUS"),$(wc -m <"$CORPUS"),[1],true,$ids]" ]
        done
    done
}

@test "the rows of a document have its hash, and its duplicates have it, too" {
    need jq
    printf 'a lamp\nthe river\na lamp\n' >x.txt
    graft tokenize -t "$TOK" -f lines --length 3 x.txt | graft dump | jq -r '.row.doc | select(.)' | uniq >x.docs
    [ "$(wc -l <x.docs)" -eq 3 ]
    [ "$(sort -u x.docs | wc -l)" -eq 2 ]
    [ "$(sed -n 1p x.docs)" = "$(sed -n 3p x.docs)" ]
}

@test "an encoder's rows have cls and sep around each cut" {
    graft learn-tokenizer -q --vocab 300 --special 'cls=[CLS]' --special 'sep=[SEP]' "$CORPUS" -o enc.tok
    printf 'The lamp' >x.txt
    graft tokenize -t enc.tok --length 4 x.txt -o x.tokens
    [ "$(graft detokenize -t enc.tok x.tokens)" = 'The lamp' ]
    graft detokenize -t enc.tok --special x.tokens | grep -qE '^(\[CLS\][^[]+\[SEP\])+$'
    status_is 2 graft tokenize -t enc.tok --length 2 x.txt -o y.tokens
}

@test "a vocabulary that text cannot fill is smaller, and says so" {
    printf 'ab ab' >x.txt
    status_is 0 graft learn-tokenizer --vocab 300 x.txt -o x.tok
    says 'only 258 of 300 ids'
}
