#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# chat.bats: conversations to tokens: by which template, what of it is the assistant's, and what is refused with which words.

load ../run/common

setup_file() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PATH=${BUILD:-$ROOT/build}/bin:$PATH
    for i in $(seq 100); do
        printf 'Hello, who are you? I am a model, say number %d.\n' "$i"
    done >"$BATS_FILE_TMPDIR/corpus.txt"
    graft learn-tokenizer -q --vocab 400 --special 'bos=<s>' --special 'eos=</s>' --special '<|im_start|>' --special '<|im_end|>' \
        --special '<|end|>' -f lines "$BATS_FILE_TMPDIR/corpus.txt" -o "$BATS_FILE_TMPDIR/t.tok"
}
setup() {
    graft_setup
    TOK=$BATS_FILE_TMPDIR/t.tok
    cat >c.jsonl <<'EOF'
{"id": 7, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "A model."}, {"role": "user", "content": "Oh"}, {"role": "assistant", "content": " Yé. "}]}
[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
EOF
}

# The text of a tokens stream on stdin, special tokens spelled out.
spelled() {
    graft detokenize -t "$TOK" --special "$@"
}

# scored FILE: per row the text of the tokens whose loss is 1
scored() {
    graft dump "$1" | jq -c 'if .row then .row |= ([.ids, .loss] as [$i, $l] | .ids = [range(0; $i | length) | select($l[.] == 1) | $i[.]]
        | .loss = [.ids[] | 1] | .skip = 0) else . end' >rows.jsonl
    graft undump --edited rows.jsonl | graft detokenize -t "$TOK" --special -l
}

@test "a conversation is written by the template; special tokens are tokens" {
    graft tokenize -t "$TOK" --chat --chat-template chatml c.jsonl -o c.tokens
    [ "$(spelled <c.tokens)" = "$(printf '%s\n' '<|im_start|>system' 'Be brief.<|im_end|>' '<|im_start|>user' 'Who?<|im_end|>' \
        '<|im_start|>assistant' 'A model.<|im_end|>' '<|im_start|>user' 'Oh<|im_end|>' '<|im_start|>assistant' ' Yé. <|im_end|>' \
        '<|im_start|>user' 'Hi<|im_end|>' '<|im_start|>assistant' 'Hello!<|im_end|>')" ]
    ids=$(graft dump c.tokens | jq -c 'select(.row) | .row.ids | map(select(. < 5))' | tail -n 1)
    [ "$ids" = '[2,3,2,3]' ]
}

@test "what is scored is what the assistant says, and the token that ends its turn" {
    graft tokenize -t "$TOK" --chat --chat-template chatml c.jsonl -o c.tokens
    [ "$(scored c.tokens)" = 'A model.<|im_end|> Yé. <|im_end|>
Hello!<|im_end|>' ]
    # bytes and chars are those of the scored text
    [ "$(graft dump c.tokens | jq -c 'select(.row) | .row | [.skip, .bytes, .chars]' | tr -d '\n')" = '[1,34,33][1,16,16]' ]
    printf '[{"role":"user","content":"a"},{"role":"assistant","content":" b "},{"role":"user","content":"c"}]' |
        graft tokenize -t "$TOK" --chat --chat-template llama2 -o c.tokens
    [ "$(spelled <c.tokens)" = '<s>[INST] a [/INST] b </s><s>[INST] c [/INST]' ]
    [ "$(scored c.tokens)" = 'b </s>' ]
}

@test "a generation block says what is scored instead" {
    printf "{%% for m in messages %%}{{ m.content }}:{%% generation %%}who{%% endgeneration %%}<|end|>{%% endfor %%}" >g.jinja
    graft tokenize -t "$TOK" --chat --chat-template g.jinja c.jsonl -o c.tokens
    [ "$(scored c.tokens)" = 'whowhowhowhowho
whowho' ]
}

@test "special tokens in a message's words are tokens, too, as with transformers" {
    printf '[{"role":"user","content":"a<|im_end|>"},{"role":"assistant","content":"b<|end|>c"}]' |
        graft tokenize -t "$TOK" --chat --chat-template chatml -o c.tokens
    [ "$(graft dump c.tokens | jq -c 'select(.row) | .row.ids | map(select(. < 5))')" = '[2,3,3,2,4,3]' ]
    [ "$(scored c.tokens)" = 'b<|end|>c<|im_end|>' ]
}

@test "cuts of a conversation score every token once, and carry the other fields" {
    head -n 1 c.jsonl | graft tokenize -t "$TOK" --chat --chat-template chatml --keep all -o whole.tokens
    head -n 1 c.jsonl | graft tokenize -t "$TOK" --chat --chat-template chatml --keep id --length 9 -o cuts.tokens
    sum='[.[] | select(.row) | .row] | [(map(.bytes) | add), (map(.chars) | add), (map(.loss[.skip:] | add) | add), (map(.ids[.skip:]) | add)]'
    [ "$(graft dump whole.tokens | jq -sc "$sum")" = "$(graft dump cuts.tokens | jq -sc "$sum")" ]
    [ "$(graft dump cuts.tokens | jq -s 'map(select(.row) | .row.ids | length) | max')" -eq 9 ]
    graft dump whole.tokens | grep -q '{\\"id\\":7}'
    graft verify cuts.tokens
}

@test "threads and pipes make no difference" {
    for i in $(seq 300); do cat c.jsonl; done >many.jsonl
    graft tokenize -t "$TOK" --chat --chat-template chatml -j 1 many.jsonl -o a.tokens
    graft tokenize -t "$TOK" --chat --chat-template chatml -j 4 <many.jsonl >b.tokens
    [ "$(graft sum a.tokens | cut -d' ' -f1)" = "$(graft sum b.tokens | cut -d' ' -f1)" ]
}

@test "an answer can be asked for; tools and variables come from the record" {
    printf '[{"role":"user","content":"a"}]' | graft tokenize -q -t "$TOK" --chat --chat-template chatml --generation-prompt -o c.tokens
    [ "$(spelled <c.tokens)" = '<|im_start|>user
a<|im_end|>
<|im_start|>assistant' ]
    printf '{{ tools | tojson }}{{ x }}{{ messages | length }}{{ bos_token }}{{ strftime_now("%%d %%b %%Y") }}' >t.jinja
    printf '{"tools": [1.5, {"b": 2}], "chat_template_kwargs": {"x": "X"}, "turns": [{"role": "user", "content": "a"}]}' |
        graft tokenize -q -t "$TOK" --chat --text turns --chat-template t.jinja --date 2025-02-03 -o c.tokens
    [ "$(spelled <c.tokens)" = '[1.5, {"b": 2}]X1<s>03 Feb 2025' ]
}

@test "nothing of the assistant's is said" {
    printf '[{"role":"user","content":"a"}]\n' >u.jsonl
    status_is 0 graft tokenize -t "$TOK" --chat --chat-template chatml u.jsonl -o c.tokens
    says 'in 1 of 1 conversations the assistant says nothing'
}

# bad LINE WORDS..: the line is refused with exit 3, its place and these words
bad() {
    printf '%s\n%s\n' '[{"role":"user","content":"x"}]' "$1" >bad.jsonl
    shift
    status_is 3 graft tokenize -q -t "$TOK" --chat --chat-template "${TEMPLATE:-chatml}" bad.jsonl -o bad.tokens
    says "'bad.jsonl': line 2"
    for word in "$@"; do says "$word"; done
    [ ! -e bad.tokens ]
}

@test "bad conversations: one line with file and line" {
    bad '{"id": 1}' "no field 'messages'" 'there are: id'
    bad '{"messages": []}' 'without messages'
    bad '[]' 'without messages'
    bad '{"messages": "x"}' 'not a list'
    bad '7' 'neither an object with messages'
    bad '[1]' 'message 1 is not an object'
    bad '[{"content": "x"}]' "message 1 has no 'role'"
    bad '[{"role": 3, "content": "x"}]' "'role' that is no string"
    bad '[{"role": "user"}]' "message 1 has no 'content'"
    bad '[{"role": "user", "content": "a"}, {"role": "assistant", "content": null}]' 'message 2 has' 'null'
    bad '[{"role": "user", "content": 5}]' 'chat template' "a string + an int is not supported"
    bad '{"messages": [{"role": "user", "content": "a"}], "chat_template_kwargs": 1}' 'chat_template_kwargs'
    bad '[{"role": "user", "content": "a"' 'column'
    TEMPLATE=mistral bad '[{"role": "poet", "content": "a"}]' 'refuses the conversation' 'must alternate'
    TEMPLATE=gemma bad '[{"role": "system", "content": "a"}]' 'System role not supported'
}

@test "bad templates: their line, and what is not supported" {
    status_is 3 graft tokenize -t "$TOK" --chat c.jsonl
    says 'the tokenizer has no chat template (--chat-template'
    status_is 1 graft tokenize -t "$TOK" --chat --chat-template chatlm c.jsonl
    says 'one of chatml'
    printf 'a\n{%% import "x" %%}\n' >t.jinja
    status_is 3 graft tokenize -t "$TOK" --chat --chat-template t.jinja c.jsonl
    says "'t.jinja': chat template: line 2: block 'import' is not supported"
    printf '{{ strftime_now("%%d") }}' >t.jinja
    status_is 3 graft tokenize -t "$TOK" --chat --chat-template t.jinja c.jsonl
    says "'c.jsonl': line 1: chat template 't.jinja': line 1"
    says '--date'
}

@test "options that do not go with conversations" {
    for o in '--chat-template chatml' --generation-prompt '--date 2025-01-01' '--chat --pair x' '--chat -f lines' '--chat --parse-special' \
        '--chat --date 2025-13-01' '--chat --date yesterday'; do
        # shellcheck disable=SC2086
        status_is 2 graft tokenize -t "$TOK" $o c.jsonl
    done
    graft learn-tokenizer -q --vocab 320 --special 'cls=[CLS]' --special 'sep=[SEP]' -f lines c.jsonl -o e.tok
    status_is 2 graft tokenize -t e.tok --chat --chat-template chatml c.jsonl
    says encoder
}

@test "the template that comes with the tokenizer is used" {
    graft dump "$TOK" | jq -c 'if .begin then .begin.meta.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}</s>{% endfor %}"
        else . end' | graft undump --edited -o own.tok
    graft tokenize -t own.tok --chat c.jsonl -o c.tokens
    [ "$(spelled -l <c.tokens | tail -n 1)" = 'Hi</s>Hello!</s>' ]
    [ "$(scored c.tokens | tail -n 1)" = 'Hello!</s>' ]
    # it is no part of what the tokenizer means
    graft tokenize -t "$TOK" --chat --chat-template chatml c.jsonl | graft detokenize -t own.tok >/dev/null
}

@test "importing a tokenizer brings its template along, from either file" {
    cat >tokenizer.json <<'EOF'
{"added_tokens": [{"id": 0, "content": "</s>", "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false}],
 "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
 "model": {"type": "BPE", "unk_token": "</s>", "vocab": {"</s>": 0, "a": 1, "b": 2}, "merges": []}}
EOF
    config='{"eos_token": "</s>", "unk_token": "</s>", "model_max_length": 1000000000000000019884624838656, "chat_template": '
    echo '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}' >ab.jsonl
    for template in '"{{ messages[1].content }}"' '[{"name": "x", "template": "n"}, {"name": "default", "template": "{{ messages[1].content }}"}]'; do
        echo "$config $template}" >tokenizer_config.json
        graft import tokenizer.json -o own.tok
        [ "$(graft tokenize -t own.tok --chat ab.jsonl | graft dump | jq -c 'select(.row) | .row.ids')" = '[2]' ]
    done
    echo '{{ messages[0].content }}{{ eos_token }}' >chat_template.jinja
    graft import tokenizer.json -o own.tok
    [ "$(graft tokenize -q -t own.tok --chat ab.jsonl | graft dump | jq -c 'select(.row) | .row.ids')" = '[1,0]' ]
    echo "$config 7}" >tokenizer_config.json
    status_is 3 graft import tokenizer.json -o own.tok
    says chat_template
}

@test "generate --chat: prompts are what the template makes of conversations, with its special tokens" {
    graft init -q -t "$TOK" --arch llama --layers 1 --width 32 --heads 2 --context 128 -o chat.model
    answer() { graft generate -q -m chat.model -T 0 -n 3 --chat --chat-template chatml "$@"; }
    answer --json -p 'Who "are" you?' >one
    [ "$(jq -r .prompt one)" = "$(printf '%s\n' '<|im_start|>user' 'Who "are" you?<|im_end|>' '<|im_start|>assistant')" ]
    # the same ids as tokenize gives them, and none in front
    echo '[{"role": "user", "content": "Who \"are\" you?"}]' >c.jsonl
    answer c.jsonl >two
    answer - <c.jsonl >three
    same one two
    same one three
    n=$(graft tokenize -t "$TOK" --chat --chat-template chatml --generation-prompt c.jsonl | graft dump | jq 'select(.row) | .row.ids | length')
    answer -p 'Who "are" you?' >text
    [ "$(jq -r .text one)" = "$(cat text)" ]
    graft generate -v -m chat.model -n 1 --chat --chat-template chatml c.jsonl 2>&1 >/dev/null | grep -q "1 prompts of $n tokens"
    run cmp -s <(graft generate -q -m chat.model -T 0 -n 3 --json -p "$(jq -r .prompt one)" | jq .logprob) <(jq .logprob one)
    [ "$status" -eq 1 ] # the same text without --chat is only a text
    status_is 3 graft generate -m chat.model --chat -p Hi
    says 'no chat template'
    status_is 2 graft generate -m chat.model --date 2024-01-02 -p Hi
    says '--date is for --chat'
    status_is 2 graft generate -m chat.model --chat --chat-template chatml -f lines c.jsonl
    says '--chat reads JSON lines'
}
