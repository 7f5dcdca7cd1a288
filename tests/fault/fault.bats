#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# fault.bats: every program, with its nth fallible operation failing (FAULT=n, common/base/fault.h), for n = 1, 2, 3 ...:
#
#   it ends by itself (no hang, no crash), with status 0 or 1, and after a failure says one line;
#   a file that was there before it holds what it held, or the complete new content; nothing is left lying about;
#   what ended with status 0 is what it always is.

load ../run/common

setup_file() {
    export PATH=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin:$PATH
    cd "$BATS_FILE_TMPDIR" || return 1
    awk 'BEGIN { for (i = 0; i < 40; i++) printf "document %d has the words %d and %d\n", i, i * 7 % 11, i * 5 % 13 }' >corpus.txt
    graft learn-tokenizer -q --type bpe --vocab 280 -f lines corpus.txt -o bpe.tok
    head -n 2 corpus.txt >few.txt
    graft tokenize -q -t bpe.tok -f lines --length 24 corpus.txt -o a.tokens
    graft tokenize -q -t bpe.tok -f lines --length 24 corpus.txt -o b.tokens
    graft dump a.tokens >a.txt
    awk 'BEGIN { for (i = 0; i < 40000; i++) print "a line of text" }' | graft tokenize -q -t bpe.tok -f lines -o many.tokens
    for i in {0..255}; do printf '%s %d\n' "$(printf '%b' "\\0$(printf %o "$i")" | base64)" "$i"; done >x.tiktoken
    head -c $(($(stat -c %s b.tokens) - 60)) b.tokens >cut.tokens
    awk 'BEGIN { print "text,topic,tags,n,who"; for (i = 0; i < 40; i++) printf "ticket %d,t%d,a;b%d,%d,c%d\n", i, i % 3, i % 4, i, i % 9 }' >t.csv
    graft tokenize -q -t bpe.tok --length 12 --label topic t.csv -o labels.tokens
    printf 'The O\nlamp B\n\nRiver O\n' >w.conll
    graft init -q -t bpe.tok --arch llama --layers 1 --width 16 --heads 2 --kv-heads 1 --context 32 -o a.model
    graft init -q -t bpe.tok --arch llama --layers 1 --width 32 --heads 2 --kv-heads 1 --mlp 32 --context 32 -o wide.model
    { echo text,label; head -n 30 corpus.txt | awk '{ printf "\"%s\",%s\n", $0, NR % 2 ? "odd" : "even" }'; } >labelled.csv
    graft tokenize -q -t bpe.tok --length 24 --label label labelled.csv -o labelled.tokens
    graft finetune -q -m a.model --task label --steps 1 --batch-tokens 256 labelled.tokens -o labels.model
}

setup() {
    graft_setup
    cp "$BATS_FILE_TMPDIR"/* .
    mkdir work tmp
    export TMPDIR=$PWD/tmp FAULTS=${FAULTS:-}
    cd work || return 1
}

# The command with FAULT=$1: its status is left in $got. Little else is started: this is done some thousand times.
attempt() {
    local fault=$1 file first message expected=' stdout stderr '
    shift
    for file in "${outputs[@]}"; do
        echo old >"$file"
        expected="$expected$file "
    done
    got=0
    FAULT=$fault ends "$@" >stdout 2>stderr </dev/null || got=$?
    mapfile -t message <stderr
    case $got in
    0)
        for file in "${outputs[@]}" stdout; do
            cmp -s "$file" "../good/$file" || complain "status 0, another '$file'"
        done
        ;;
    1)
        [[ ${#message[@]} -eq 1 && ${message[0]} =~ ^graft-[a-z-]*:\ . ]] || complain "not one message: ${message[*]}"
        # The last fsync, of the directory, comes after the file is in place.
        for file in "${outputs[@]}"; do
            first=
            read -r first <"$file" || true
            [ "$first" = old ] || cmp -s "$file" "../good/$file" || complain "the old '$file' is gone"
        done
        ;;
    *) complain "status $got: ${message[*]}" ;;
    esac
    [ ${#extra[@]} -eq 0 ] || rm -f "${extra[@]}"
    for file in **; do
        [ -d "$file" ] && continue
        case $expected in *" $file "*) ;; *) complain "left lying about: $file" ;; esac
    done
    for file in ../tmp/*; do complain "left lying about in TMPDIR: $file"; done
}

complain() {
    echo "FAULT=$fault: $1" >&2
    exit 1
}

# attempts [+FILE]... COMMAND...: the command writes files below `.` or standard output; +FILE: one of them it also reads, or
# goes on writing, which is taken away each time. Runs it without faults, then with the fault at 1, 2 ... 30 and from there on
# in growing steps (one by one with FAULTS=all), until it does not come so far (twice in a row: some faults are got over, as
# when a file without a name cannot be had); then with the first faults of each kind, which may come late.
attempts() {
    local n=1 got untouched=0 outputs=() extra=()
    shopt -s globstar dotglob nullglob
    while [[ $1 = +* ]]; do
        extra+=("${1#+}")
        shift
    done
    "$@" >stdout 2>stderr </dev/null || { cat stderr >&2; return 1; }
    [ ${#extra[@]} -eq 0 ] || rm -f "${extra[@]}"
    mapfile -t outputs < <(find . -type f ! -name stdout ! -name stderr -printf '%P\n' | sort)
    cp -r . ../good
    while [ $untouched -lt 2 ]; do
        attempt $n "$@"
        [ "$got" -eq 0 ] && untouched=$((untouched + 1)) || untouched=0
        n=$((n < 30 || ${#FAULTS} > 0 ? n + 1 : n + n / 7))
    done
    # So that nobody takes a loop that stops at once for a test.
    [ $n -gt 10 ] || { echo "only $n operations could fail" >&2; return 1; }
    for n in read:1 read:2 read:3 write:1 write:2 write:3 open:1 open:2 open:3 thread:1 thread:2 thread:3 fsync:1 fsync:2 \
        fsync:3 rename:1 rename:2; do
        attempt $n "$@"
    done
}

@test "learn-tokenizer" { attempts graft-learn-tokenizer -q -j 2 --type bpe --vocab 280 -f lines ../corpus.txt -o out; }
@test "learn-tokenizer, Unigram" { attempts graft-learn-tokenizer -q -j 2 --type unigram --vocab 290 -f lines ../corpus.txt -o out; }
@test "tokenize" { attempts graft-tokenize -q -j 2 -t ../bpe.tok -f lines --length 24 ../corpus.txt -o out; }
@test "tokenize with labels" {
    attempts graft-tokenize -q -j 2 -t ../bpe.tok --label topic,tags:classes,n:number --label-separator ';' --group who ../t.csv -o out
}
@test "tokenize words with labels" { attempts graft-tokenize -q -j 2 -t ../bpe.tok --label ner ../w.conll -o out; }
@test "tokenize prompts and completions" { attempts graft-tokenize -q -j 2 -t ../bpe.tok --prompt text --completion topic ../t.csv -o out; }
@test "detokenize" { attempts graft-detokenize -q -j 2 -t ../bpe.tok -l ../a.tokens -o out; }
@test "cat" { attempts graft-cat -q -j 2 ../a.tokens ../b.tokens -o out; }
@test "cat to a pipe" { attempts graft-cat -q -j 2 ../a.tokens ../b.tokens; }
@test "head" { attempts graft-head -q -j 2 -n 7 ../a.tokens -o out; }
@test "shuffle" { attempts graft-shuffle -q -j 2 --seed 1 ../a.tokens -o out; }
@test "shuffle, spilling" { attempts graft-shuffle -q -j 2 --seed 1 --memory 1Mi ../many.tokens -o out; }
@test "shard" { attempts graft-shard -q -j 2 --seed 1 --split train=0.7,test=0.3 ../a.tokens -o parts; }
@test "shard by class" {
    attempts graft-shard -q -j 2 --split train=0.7,test=0.3 --stratify topic --memory 1Mi ../labels.tokens -o parts
}
@test "mix" { attempts graft-mix -q -j 2 ../a.tokens:0.5 ../b.tokens:0.5 -o out; }
@test "sample" { attempts graft-sample -q -j 2 -n 9 ../a.tokens -o out; }
@test "sample by class" { attempts graft-sample -q -j 2 --per-class 3 ../labels.tokens -o out; }
@test "inspect" { attempts graft-inspect ../a.tokens; }
@test "verify" { attempts graft-verify -j 2 ../a.tokens; }
@test "verify --salvage" { attempts graft-verify -q -j 2 --salvage ../cut.tokens -o out; }
@test "sum" { attempts graft-sum -j 2 ../a.tokens; }
@test "diff" { attempts graft-diff -j 2 ../a.tokens ../b.tokens; }
@test "dump" { attempts graft-dump -j 2 ../a.tokens; }
@test "undump" { attempts graft-undump -q -j 2 ../a.txt -o out; }
@test "lineage" { attempts graft-lineage ../a.tokens; }
@test "init" { attempts graft-init -q -t ../bpe.tok --arch llama --layers 1 --width 16 --heads 2 --kv-heads 1 --context 32 -o out; }
@test "pretrain" { attempts graft-pretrain -q -j 2 -m ../a.model --steps 2 --batch-tokens 256 --micro-tokens 256 --grain 128 ../a.tokens -o out; }
@test "pretrain with everything it writes" {
    attempts +ck +log graft-pretrain -q -j 2 -m ../a.model --steps 3 --batch-tokens 256 --micro-tokens 256 --grain 128 --val ../b.tokens \
        --val-every 1 --keep-best --checkpoint ck --checkpoint-every 1 --log log --snapshots 2:snaps ../a.tokens -o out
}
@test "finetune" { attempts graft-finetune -q -j 2 -m ../a.model --task label --batch-tokens 256 --micro-tokens 256 --grain 128 ../labelled.tokens -o out; }
@test "predict" { attempts graft-predict -q -j 2 -m ../labels.model ../labelled.tokens -o out; }
@test "lora-train" { attempts graft-lora-train -q -j 2 -m ../a.model -r 2 --steps 2 --batch-tokens 256 --micro-tokens 256 --grain 128 ../a.tokens -o out; }
@test "pretrain that judges a pipe" {
    spooled() { graft-pretrain -q -j 2 -m ../a.model --steps 1 --batch-tokens 256 --grain 128 --val <(cat ../b.tokens) ../a.tokens -o out; }
    export -f spooled
    attempts bash -c spooled
}
@test "import" { attempts graft-import -q --pattern gpt2 --special 'eos=<e>' ../x.tiktoken -o out; }
@test "export to GGUF" { attempts graft-export -q --to gguf --type q8_0 ../a.model -o file.gguf; }
@test "export" { attempts graft-export -q --to hf ../a.model -o folder; }
@test "export a tokenizer" { attempts graft-export -q --to hf ../bpe.tok -o folder; }
@test "quantize" { attempts graft-quantize -q -j 2 --type q4_0 ../wide.model -o out; }
@test "extract-features" { attempts graft-extract-features -q -j 2 -m ../a.model ../a.tokens -o out; }
@test "logits" { attempts graft-logits -q -j 2 -m ../a.model --top 4 ../a.tokens -o out; }
@test "score" { attempts graft-score -q -j 2 -m ../a.model --rolling -f lines --length 8 ../few.txt -o out; }
@test "eval" { attempts graft-eval -q -j 2 -m ../a.model ../a.tokens; }
@test "generate" { attempts graft-generate -q -j 2 -m ../a.model -p document -n 4; }

@test "every program is among them" {
    lacking=()
    for program in "$BUILD"/bin/graft-*; do
        grep -q "attempts .*${program##*/} " "$BATS_TEST_FILENAME" || lacking+=("${program##*/}")
    done
    [ ${#lacking[@]} -eq 0 ] || { echo "no faults in ${lacking[*]}" >&2; false; }
}
