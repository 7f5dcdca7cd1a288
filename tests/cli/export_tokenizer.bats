#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# export_tokenizer.bats: tokenizers in the files of other programs and back; what a file has no place for.

load ../run/common

setup_file() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PATH=${BUILD:-$ROOT/build}/bin:$PATH
    for i in $(seq 60); do printf 'The lamp number %d, a caf\303\251 by the river: it does not burn.\n' "$i"; done >"$BATS_FILE_TMPDIR/corpus.txt"
    cd "$BATS_FILE_TMPDIR" || return
    graft learn-tokenizer -q --vocab 320 --special 'eos=<|endoftext|>' corpus.txt -o bytes.tok
    printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' the lamp '##s' number , . é >vocab.txt
    graft import -q vocab.txt -o words.tok
    graft learn-tokenizer -q --type unigram --vocab 320 corpus.txt -o pieces.tok
}
setup() {
    graft_setup
    ln -s "$BATS_FILE_TMPDIR"/* .
}

# comes_back TOKENIZER FILE: FILE, imported, is the tokenizer
comes_back() {
    graft import -q "$2" "${@:3}" -o back.tok
    graft diff "$1" back.tok
}

@test "a folder of tokenizer.json comes back" {
    for kind in bytes words pieces; do
        graft export $kind.tok -o $kind
        [ "$(ls $kind)" = $'tokenizer.json\ntokenizer_config.json' ]
        comes_back $kind.tok $kind/tokenizer.json
    done
    jq -e '.model.type == "WordPiece" and .model.vocab["##s"] == 7' words/tokenizer.json
    jq -e '.cls_token == "[CLS]" and .tokenizer_class == "PreTrainedTokenizerFast"' words/tokenizer_config.json
}

@test "tokenizer.json alone, to a pipe; of a model as of a tokenizer" {
    graft export --to hf bytes.tok -o bytes
    graft export --to tokenizer_json <bytes.tok | cmp - bytes/tokenizer.json
    graft init -q -t bytes.tok --arch llama --layers 1 --width 16 --heads 2 -o a.model
    graft export --to tokenizer_json a.model -o tokenizer.json
    cmp tokenizer.json bytes/tokenizer.json
    status_is 2 graft export --to tokenizer_json --type f16 a.model
    says 'has no weights'
}

@test "a chat template goes along" {
    mkdir chat
    graft export --to tokenizer_json words.tok -o chat/tokenizer.json
    printf '%s' '{{ messages }}' >chat/chat_template.jinja
    graft import -q chat/tokenizer.json -o chat.tok
    graft export chat.tok -o out
    [ "$(<out/chat_template.jinja)" = '{{ messages }}' ]
    comes_back chat.tok out/tokenizer.json
}

@test "vocab.txt, merges.txt and ranks come back" {
    graft export --to vocab_txt words.tok -o words
    cmp words/vocab.txt vocab.txt
    comes_back words.tok words/vocab.txt
    graft export --to merges bytes.tok -o bytes
    comes_back bytes.tok bytes/merges.txt
    { # ranks of the bytes, and one of two
        for i in $(seq 0 255); do printf '%s %d\n' "$(printf '%b' "$(printf '\\0%o' "$i")" | base64)" "$i"; done
        printf 'dGg= 256\n'
    } >ranks
    graft import -q --format tiktoken ranks --pattern gpt2 --special 'eos=<|endoftext|>' -o ranks.tok
    graft export --to tiktoken ranks.tok -o back.tiktoken 2>said
    cmp back.tiktoken ranks
    grep -q -- "--pattern gpt2 --special 'eos=<|endoftext|>'" said
    comes_back ranks.tok back.tiktoken --pattern gpt2 --special 'eos=<|endoftext|>'
}

@test "what a file has no place for is named, and nothing is written" {
    status_is 3 graft export --to tiktoken words.tok -o x
    says "is for 'bpe', and this tokenizer is 'wordpiece'"
    status_is 3 graft export --to tiktoken bytes.tok -o x
    says 'token 0 is not kept'
    status_is 3 graft export --to vocab_txt bytes.tok -o x
    says "is for 'wordpiece', and this tokenizer is 'bpe'"
    graft learn-tokenizer -q --vocab 300 --special 'bos=<s>' corpus.txt -o other.tok
    status_is 3 graft export --to merges other.tok -o x
    says 'merges.txt cannot hold this tokenizer'
    graft learn-tokenizer -q --vocab 300 --regex '\b\w+' corpus.txt -o other.tok
    status_is 3 graft export --to hf other.tok -o x
    says "expression '\\b\\w+', byte 0: an escape has no equal in tokenizer.json"
    [ ! -e x ]
    status_is 2 graft learn-tokenizer --type unigram --vocab 320 --special '<|endoftext|>' corpus.txt -o x
    says "has a token for what is unknown"
    status_is 2 graft export --to vocab_txt words.tok
    says '-o FOLDER is missing'
}
