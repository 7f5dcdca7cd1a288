#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# export.bats: models in the files of other programs. That llama.cpp computes the same with what is written is in
# tests/parity/gguf_cases.json, by the digests of the files that it was given (make_gguf_cases.py).

load ../run/common

setup() {
    graft_setup
    PARITY=$ROOT/tests/parity
}

# The folder of a family; Gemma 2's with the one scale of scores that GGUF has.
folder_of() { # FAMILY
    rm -rf folder
    cp -r "$PARITY/families/$1" folder
    chmod -R u+w folder
    [ "$1" != gemma2 ] || {
        jq '.query_pre_attn_scalar = .head_dim' "$PARITY/families/$1/config.json" >folder/config.json
    }
}

# Whether two models have the same values, of whatever types.
same_values() { # A B
    graft diff --json "$1" "$2" >report || [ $? -eq 4 ]
    jq -e '.begin == null and ([.tensors[] | select(.name | startswith("tokenizer.") | not) | .status] |
        length > 4 and all(. == "equal" or . == "close"))' report >/dev/null
}

@test "GGUF files are those that llama.cpp was seen to compute" {
    jq -r '.cases[] | "\(.name) \(.sha256)"' "$PARITY/gguf_cases.json" >cases
    [ "$(wc -l <cases)" -eq 21 ]
    jq -e '[.cases[] | .others == 0 and .within <= 0.02] | all' "$PARITY/gguf_cases.json"
    while read -r name digest; do
        folder_of "$name"
        graft import -q folder -o x.model
        graft export -q --to gguf --type f32 x.model -o x.gguf
        [ "$(sha256sum <x.gguf)" = "$digest  -" ] || { echo "$name: another file"; return 1; }
    done <cases
}

@test "what went through GGUF in F32 is the same model" {
    for name in gpt2 llama llama-tied llama-biases llama-linear llama-yarn llama-llama3 mistral qwen2 qwen2-window qwen3 phi3 \
        phi3-longrope gemma gemma2 gpt_neox gpt_neox-serial bert-body; do
        folder_of "$name"
        graft import -q folder -o stored.model
        graft export -q --to hf --type f32 stored.model -o wide
        graft import -q wide -o a.model
        graft export -q --to gguf a.model -o a.gguf
        graft import -q a.gguf -o b.model
        graft diff a.model b.model || { echo "$name differs"; return 1; }
        graft export -q --to gguf stored.model -o kept.gguf
        graft import -q kept.gguf -o kept.model
        graft export -q --to gguf kept.model -o again.gguf
        cmp kept.gguf again.gguf
        rm -r wide
    done
}

@test "what GGUF or llama.cpp cannot have is refused by name, or warned of" {
    graft import "$PARITY/families/llama-dynamic" -o x.model
    status_is 3 graft export --to gguf x.model -o x.gguf
    says "field 'rope_scaling'"
    graft import "$PARITY/families/gemma2" -o x.model
    status_is 3 graft export --to gguf x.model -o x.gguf
    says "field 'attention_scale'"
    [ ! -e x.gguf ]
    graft import "$PARITY/families/mistral" -o x.model
    graft export --to gguf x.model -o x.gguf 2>said
    grep -q 'without their window: rows of more than 9 tokens' said
    graft import "$PARITY/families/bert" -o x.model
    graft export --to gguf x.model -o x.gguf 2>said
    grep -q 'no masked heads' said
    status_is 2 graft export --to hf --type q8_0 x.model -o x
    status_is 2 graft export --to gguf x.model
}

@test "weights of every type: as quantize makes them, and the same bytes when exported again" {
    graft init -q --arch llama --vocab 96 --layers 1 --width 64 --heads 2 --kv-heads 1 --mlp 96 --context 32 -o own.model
    graft export --to hf own.model -o folder
    graft import folder -o x.model
    for type in f32 f16 bf16 q8_0 q4_0 q4_1; do
        graft export --to gguf --type "$type" x.model -o "$type.gguf"
        graft import "$type.gguf" -o y.model
        graft export --to gguf y.model -o again.gguf
        cmp "$type.gguf" again.gguf
        graft cat y.model | graft export --to gguf -o piped.gguf
        cmp "$type.gguf" piped.gguf
    done
    for type in q8_0 q4_0 q4_1; do
        graft quantize -q --type "$type" --embeddings q8_0 x.model -o quantised.model
        graft import "$type.gguf" -o y.model
        same_values quantised.model y.model
    done
    graft inspect --json y.model | jq -e '[.layout[] | select(.name | endswith("qkv.weight")) | .dtype] == ["Q4_1"]'
}

@test "a tokenizer and a chat template go through GGUF and a folder" {
    graft import "$PARITY/gguf/llama.gguf" -o a.model
    graft export --to gguf a.model -o a.gguf
    graft import a.gguf -o b.model
    graft diff a.model b.model
    graft export --to hf a.model -o folder
    [ -e folder/tokenizer.json ] && [ -e folder/chat_template.jinja ]
    grep -q 'license: apache-2.0' folder/README.md
    graft import folder -o c.model
    same_values a.model c.model
    printf 'ab a b\nba ab\n' >text.txt
    for model in a b c; do graft tokenize -m $model.model -f lines text.txt -o - | graft dump | grep -o '"ids":[^]]*' >$model.ids; done
    cmp a.ids b.ids
    cmp a.ids c.ids
}

@test "parts of different block types become one" {
    graft import "$PARITY/gguf/mixed.gguf" -o a.model
    graft import "$PARITY/gguf/mixed" -o b.model
    same_values a.model b.model
    graft inspect --json a.model | jq -e '[.layout[] | select(.name | test("qkv.weight|out.weight")) | .dtype] == ["F32", "Q5_0"]'
}

@test "a folder in files of a size" {
    graft import "$PARITY/families/llama" -o a.model
    status_is 2 graft export --to gguf --shard-size 12K a.model -o a.gguf
    says '--shard-size is for folders of transformers'
    graft export --to hf --shard-size 12K a.model -o folder
    [ ! -e folder/model.safetensors ]
    [ "$(find folder -name 'model-0000?-of-0000?.safetensors' | wc -l)" -eq "$(jq '[.weight_map[]] | unique | length' folder/model.safetensors.index.json)" ]
    jq -e '.metadata.total_size > 40000' folder/model.safetensors.index.json
    find folder -name '*.safetensors' -size +14k | wc -l | grep -qx 0
    graft import folder -o b.model
    graft diff a.model b.model
    status_is 2 graft export --to hf a.model -o folder
    says 'is there already'
    graft cat a.model | graft export --to hf -o piped
    graft import piped -o c.model
    graft diff a.model c.model
}

@test "inspect says what a model is" {
    graft import "$PARITY/gguf/llama.gguf" -o a.model
    graft inspect a.model >facts
    grep -q '^  model      llama, [0-9]* parameters$' facts
    grep -q '^  sizes      1 layers, 32 wide, 2 heads (1 of keys and values) of 16, mlp 32, vocabulary 265$' facts
    grep -q '^  rope       base 10000$' facts
    grep -q '^  tokenizer  bpe, 265 tokens, with a chat template$' facts
    grep -q '^  licence    apache-2.0$' facts
    graft import "$PARITY/families/llama-yarn" -o b.model
    graft inspect b.model | grep -q '^  rope       base 100, yarn by 4 from 12$'
}
