#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# import.bats: models of other programs, from the tiny ones in tests/parity/families. What they compute is compared in
# tests/unit/test_family_parity.c.

load ../run/common

setup() {
    graft_setup
    FAMILIES=$ROOT/tests/parity/families
}

# A copy of a family's folder to be spoiled.
copy() { # FAMILY
    cp -r "$FAMILIES/$1" folder
    chmod -R u+w folder
}

# Changes config.json of the copy.
change() { # JQ-EXPRESSION
    jq "$1" folder/config.json >config.new
    mv config.new folder/config.json
}

refuses() { # WORDS...
    status_is 3 graft import folder -o x.model
    local word
    for word; do says "$word" || return; done
    [ ! -e x.model ] || return
    graft import --dry-run folder >report 2>/dev/null || [ $? -eq 4 ]
    grep -q refused report
}

@test "every family becomes a model that is whole, the same each time" {
    for folder in "$FAMILIES"/*/; do
        graft import "$folder" -o a.model
        graft import "$folder" -o b.model
        cmp a.model b.model
        graft verify a.model
    done
}

@test "a dry run says what it is and writes nothing" {
    graft import -n "$FAMILIES/mistral" >"$BATS_FILE_TMPDIR/report"
    grep -q 'transformers: mistral' "$BATS_FILE_TMPDIR/report"
    grep -q 'window 9' "$BATS_FILE_TMPDIR/report"
    grep -q BF16 "$BATS_FILE_TMPDIR/report"
    [ -z "$(ls)" ]
}

@test "a key that is not known, or has another value than is computed, is named" {
    copy llama
    change '.rope_flavour = 3'
    refuses "key 'rope_flavour' (3) is not known"
    rm -r folder
    copy gpt2
    change '.scale_attn_by_inverse_layer_idx = true'
    refuses "key 'scale_attn_by_inverse_layer_idx' is true"
    rm -r folder
    copy llama-yarn
    change '.rope_parameters.rope_type = "spiral"'
    refuses "key 'rope_type' of the rope parameters"
    change 'del(.hidden_size) | .quantization_config = {"bits": 4}'
    refuses "key 'quantization_config'" 'more: --dry-run lists them'
    change '.model_type = "mamba"'
    refuses "models of type 'mamba' are not known; those that are: gpt2, llama"
    rm -r folder
    copy llama
    change '."colour\u001b[31m" = 1' # nothing that a file says reaches the terminal as a command
    refuses "key 'colour?[31m' (1) is not known"
    status_is 1 grep -q $'\033' report
}

@test "tensors that are missing, foreign or of another shape are named" {
    copy llama
    change '.num_hidden_layers = 1'
    refuses "tensor 'model.layers.1."
    change '.num_hidden_layers = 3'
    refuses "'layers.2.input_layernorm.weight'" 'is missing'
    change '.num_hidden_layers = 2 | .vocab_size = 96'
    refuses 'is of shape [97, 24], not [96, 24]'
}

@test "weights that are no numbers are counted and warned of" {
    copy llama
    # the first two weights in the file
    header=$(od -An -tu8 -N 8 folder/model.safetensors)
    printf '\0\0\300\177\0\0\200\377' | dd of=folder/model.safetensors bs=1 seek=$((header + 8)) conv=notrunc status=none
    status_is 0 graft import folder -o x.model
    one_line
    says '2 weights are NaN or infinite, in 1 tensors'
}

@test "a tokenizer of more tokens than the embedding has rows is refused; none is no fault until one is needed" {
    copy llama
    status_is 0 graft import folder -o x.model
    [ ! -s stderr ]
    printf 'a\n' >text
    printf '{"context":"a","continuation":"b"}\n' >items
    for use in "tokenize -m x.model -f lines text" "generate -m x.model -p a" "score -m x.model items"; do
        # shellcheck disable=SC2086 # several words
        status_is 3 graft $use
        one_line
        says 'no tokenizer'
    done
    rm x.model
    printf '{"model":{"type":"WordPiece","unk_token":"u","vocab":{' >folder/tokenizer.json
    for i in {0..199}; do printf '"t%d":%d,' "$i" "$i"; done >>folder/tokenizer.json
    printf '"u":200}}}' >>folder/tokenizer.json
    refuses 'its tokenizer has 201 tokens, its embedding 97 rows'
}

@test "an index that leads out of its folder, and JSON that is deep beyond measure" {
    copy llama
    mv folder/model.safetensors elsewhere.safetensors
    echo '{"weight_map":{"lm_head.weight":"../elsewhere.safetensors"}}' >folder/model.safetensors.index.json
    status_is 3 graft import folder -o x.model
    one_line
    says "'../elsewhere.safetensors', which is not a plain file name"
    mv elsewhere.safetensors folder/model.safetensors
    for file in config.json tokenizer.json tokenizer_config.json modules.json; do
        rm -rf deep
        cp -r folder deep
        echo '{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}' >deep/tokenizer.json
        head -c 1000000 /dev/zero | tr '\0' '[' >deep/$file
        status_is 3 graft import deep -o x.model
        one_line
        says "$file"
        says 'parsing depth'
    done
    [ ! -e x.model ]
}

@test "merges that name what is no token" {
    mkdir gpt2
    echo '{"a":0,"b":1,"ab":2}' >gpt2/vocab.json
    printf '#version: 0.2\na b\na x\n' >gpt2/merges.txt
    status_is 3 graft import gpt2/merges.txt -o x.tok
    one_line
    says "merges.txt': merges: item 1 names 'x', which is no token"
    [ ! -e x.tok ]
}

@test "layers have windows by their rule where a configuration of an older version does not list them" {
    for family in gemma2 qwen2-window; do
        rm -rf folder
        copy $family
        graft import folder -o listed.model
        change 'del(.layer_types)'
        graft import folder -o ruled.model
        graft diff listed.model ruled.model
        graft inspect --json listed.model | jq .meta.config >listed
        graft inspect --json ruled.model | jq .meta.config | diff - listed
    done
}

@test "sizes beyond any model are refused at once" {
    copy mistral
    cp folder/config.json config.good
    for key in hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim intermediate_size vocab_size \
        max_position_embeddings sliding_window; do
        for size in 4611686018427387904 -1; do
            jq ".$key = $size" config.good >folder/config.json
            status_is 3 timeout 20 graft import folder -o x.model
            one_line
        done
    done
    jq '.rope_parameters = {"rope_type": "yarn", "factor": 1e300, "original_max_position_embeddings": 1e300}' config.good >folder/config.json
    status_is 3 graft import folder -o x.model
    one_line
    [ ! -e x.model ]
}

@test "pickles are refused with the command that converts them" {
    copy bert
    mv folder/model.safetensors folder/pytorch_model.bin
    status_is 3 graft import folder -o x.model
    says 'save_pretrained'
    printf '\x80\x02}q\x00.' >x.pt
    status_is 3 graft import x.pt -o x.model
    says 'safetensors.torch'
    [ ! -e x.model ]
}

@test "what a sentence-transformers folder says of vectors" {
    copy bert-body
    mkdir folder/1_Pooling
    cat >folder/modules.json <<'JSON'
[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
 {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
 {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]
JSON
    echo '{"word_embedding_dimension": 24, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}' >folder/1_Pooling/config.json
    echo '{"max_seq_length": 32, "do_lower_case": false}' >folder/sentence_bert_config.json
    echo '{"prompts": {"query": "query: "}, "default_prompt_name": null, "similarity_fn_name": "cosine"}' \
        >folder/config_sentence_transformers.json
    printf -- '---\nlicense: mit\n---\n# A model\n' >folder/README.md
    graft import folder -o x.model
    graft inspect --json x.model | jq -e '.meta.embedding == {"pooling": ["mean"], "normalize": true, "max_length": 32,
        "similarity": "cosine", "include_prompt": true, "prompts": {"query": "query: "}, "default_prompt": ""}
        and .meta.about.license == "mit"'
    rm x.model
    echo '{"pooling_mode_mean_tokens": true, "pooling_mode_spiral": true}' >folder/1_Pooling/config.json
    refuses "key 'pooling_mode_spiral'"
    echo '{"pooling_mode_mean_tokens": true}' >folder/1_Pooling/config.json
    sed -i 's/models.Normalize/models.Dense/' folder/modules.json
    refuses "module 2 is 'Dense'"
    sed -i 's/"1_Pooling"/"..\/..\/etc"/' folder/modules.json
    refuses 'module 1 has no type and path'
}

@test "a plan names quantised matrices only where there are some" {
    graft import "$FAMILIES/bert" -o a.model # of BF16
    graft extract-features -m a.model --plan >plan
    grep -q 'parameters, BF16' plan
    status_is 1 grep quantised plan
}

@test "options that a source has no use for are refused" {
    status_is 2 graft import --special '<x>' "$FAMILIES/bert" -o x.model
    says "is no vocabulary of tiktoken: --special has no use"
    echo '{}' >tokenizer.json
    status_is 2 graft import --pattern gpt2 tokenizer.json -o x.tok
    says '--pattern has no use'
}

@test "a tokenizer that graft cannot be is one of the reasons, and -t gives another" {
    copy bert
    echo '{"version": "1.0", "model": {"type": "Odd"}}' >folder/tokenizer.json
    change '.flavour = 3'
    refuses 'its tokenizer (-t gives another)'
    grep -q "refused.*key 'flavour'" report
    change 'del(.flavour)'
    printf 'a b\nb a\n' | graft learn-tokenizer --vocab 262 -f lines -o other.tok
    status_is 3 graft import -t other.tok folder -o x.model
    says 'its tokenizer has'
}

@test "what was imported, exported and imported again is the same model" {
    for folder in "$FAMILIES"/*/; do
        graft import "$folder" -o a.model
        rm -rf out
        graft export --to hf a.model -o out
        graft import out -o b.model
        graft diff a.model b.model
    done
}

@test "an export is of the type that was asked for, and of a model that somebody has" {
    graft import "$FAMILIES/qwen3" -o a.model
    graft export --to hf --type f16 a.model -o out
    graft import -n out | grep -q F16
    jq -e '.dtype == "float16" and .architectures == ["Qwen3ForCausalLM"]' out/config.json
    graft init --arch llama --vocab 300 --layers 2 --width 32 --heads 4 -o own.model
    graft export --to hf own.model -o own
    jq -e '.model_type == "llama"' own/config.json
    echo '{"arch": "gpt2", "norm": "rms", "vocab": 300, "layers": 1, "width": 32, "heads": 4}' >odd.json
    graft init --config odd.json -o odd.model
    status_is 3 graft export --to hf odd.model -o odd
    says 'no family of transformers'
    [ ! -e odd/config.json ]
    status_is 2 graft export --to hf own.model
    says '-o FOLDER is missing'
}

@test "a GGUF model brings its tokenizer and its chat template; -t gives another" {
    graft import "$ROOT/tests/parity/gguf/llama.gguf" -o x.model
    graft verify x.model
    printf 'ab a\303\251b\n' >text
    graft tokenize -m x.model -f lines text -o text.tokens
    graft dump text.tokens | grep -q '"ids":\[1,264,262,198,172,261,2\]'
    [ "$(graft detokenize -m x.model text.tokens)" = "$(cat text)" ]
    echo '{"messages":[{"role":"user","content":"ab"},{"role":"assistant","content":"b"}]}' >talk.jsonl
    graft tokenize -m x.model --chat talk.jsonl | graft dump | grep -q '"loss":\[0,.*,1,1\]'
    graft generate -m x.model -p ab -n 3 --seed 1 >/dev/null
    printf 'a b\nb a\n' | graft learn-tokenizer --vocab 262 -f lines -o other.tok
    graft import -t other.tok "$ROOT/tests/parity/gguf/llama.gguf" -o y.model
    graft tokenize -t other.tok -f lines text | graft eval -m y.model >/dev/null
    # a tokenizer that graft cannot be: the model is not taken, unless another is given
    sed 's/tokenizer\.ggml\.model\(.\{12\}\)llama/tokenizer.ggml.model\1lloma/' "$ROOT/tests/parity/gguf/llama.gguf" >odd.gguf
    status_is 3 graft import odd.gguf -o z.model
    says 'its tokenizer (-t gives another)'
    says lloma
    [ ! -e z.model ]
    graft import -q -t other.tok odd.gguf -o z.model
}

@test "a tokenizer file of llama2.c" {
    cp "$ROOT/tests/fuzz/corpus/llama2c_tokenizer/seed-pieces" tokenizer.bin
    graft import -q tokenizer.bin -o t.tok
    printf 'ab b abx\n' | graft tokenize -q -t t.tok -f lines | graft dump | jq -c 'select(.row) | .row.ids' >ids
    [ "$(cat ids)" = '[1,264,259,261,264,123,2]' ] # begin, " ab", " ", "b", " ab", a byte, end
    printf 'ab b abx\n' | graft tokenize -q -t t.tok -f lines | graft detokenize -q -l -t t.tok | grep -qxF 'ab b abx'
    status_is 2 graft import -n tokenizer.bin # no model
    cp "$ROOT/tests/fuzz/corpus/llama2c_tokenizer/seed-cut" cut.bin
    status_is 3 graft import cut.bin -o out.tok
    one_line
    says 'byte '
    [ ! -e out.tok ]
}
