#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# quantize.bats: graft quantize: which tensors, what is lost, that eval and generate compute from what it wrote, and what
# it refuses.

load ../run/common

setup_file() {
    graft_make_fixtures
}

setup() {
    graft_setup
    graft_link_fixtures
}

# "NAME DTYPE" of the tensors of a model, without its tokenizer's.
types() { graft inspect --json "$1" | jq -r '.layout[] | select(.name | startswith("tokenizer.") | not) | "\(.name) \(.dtype)"'; }

@test "matrices of the layers are quantised, all else stays; options change that" {
    graft quantize --type q4_0 base.model -o q.model
    graft verify -q q.model
    types q.model | grep -q '^layers.0.attention.qkv.weight Q4_0$'
    types q.model | grep -q '^layers.1.mlp.down.weight Q4_0$'
    status_is 1 grep -vE '^layers\..*\.weight Q4_0$|F32$' <(types q.model)
    types q.model | grep -q '^embed.tokens.weight F32$'
    status_is 1 grep -E 'norm.*Q4_0|bias Q4_0' <(types q.model)
    graft quantize --type q4_1 --embeddings q8_0 --keep '*.mlp.*' base.model -o k.model
    types k.model | grep -q '^embed.tokens.weight Q8_0$'
    types k.model | grep -q '^layers.0.mlp.up.weight F32$'
    types k.model | grep -q '^layers.0.attention.out.weight Q4_1$'
    graft quantize --type q8_0 --only 'layers.0.*' base.model -o o.model
    [ "$(types o.model | grep -c Q8_0)" -eq "$(types o.model | grep -c '^layers.0.*Q8_0')" ]
    graft lineage q.model | grep -q quantize
    graft dump base.model | sed 's/"F32"/"NF4_DQ"/' >bare
    status_is 3 graft undump --edited bare -o x.model
}

@test "the same bytes on any threads, from a pipe, and of what is quantised already" {
    graft quantize --type q8_0 -j 1 base.model -o a.model
    graft quantize --type q8_0 -j 4 base.model -o b.model
    same a.model b.model
    graft cat base.model | graft quantize --type q8_0 -o c.model
    [ "$(graft inspect --json a.model | jq -r .id)" = "$(graft inspect --json c.model | jq -r .id)" ]
    graft quantize --type q8_0 a.model -o d.model
    status_is 0 graft diff a.model d.model
}

@test "diff says what is lost: 8 bits less than 4, 4 with a minimum less than without" {
    for type in q8_0 q4_0 q4_1; do
        graft quantize --type $type base.model -o $type.model
        status_is 4 graft diff --json base.model $type.model
        jq -e '[.tensors[] | select(.status != "equal")] | length > 0 and all(.dtype_a == "F32" and .rms > 0 and .cosine > 0.98)' \
            <<<"$output"
        jq '[.tensors[] | select(.status != "equal") | .rms] | max' <<<"$output" >$type.rms
        status_is 0 graft diff -t 1 base.model $type.model
    done
    jq -n -e '[inputs] | .[0] < .[2] and .[2] < .[1]' q8_0.rms q4_0.rms q4_1.rms
    status_is 4 graft diff base.model q4_0.model
    grep -qE "tensor 'layers.0.mlp.up.weight': different, F32 and Q4_0, .* rms .* cosine 0.99" <<<"$output"
}

@test "eval and generate compute from it, at every level of the processor, with less memory" {
    for type in q8_0 q4_0 q4_1; do
        graft quantize --type $type --embeddings $type base.model -o q.model
        base=$(graft eval -m base.model --json data/val.tokens | jq .loss)
        for level in avx2 amx; do
            loss=$(GRAFT_CPU=$level graft eval -m q.model --json data/val.tokens | jq .loss)
            jq -n -e --argjson a "$base" --argjson b "$loss" '($a - $b) | fabs < 0.2' || { echo "$type $level $base $loss"; return 1; }
        done
        graft generate -q -m q.model -p the -n 8 >a
        graft generate -q -m q.model -p the -n 8 -j 1 >b
        same a b
        graft eval -m q.model --dtype bf16 data/val.tokens >/dev/null
    done
    graft eval -m q.model --plan data/val.tokens | grep -q 'parameters, quantised'
    graft eval -m base.model --plan data/val.tokens >plan
    status_is 1 grep -q 'parameters, quantised' plan
}

@test "nf4, with scales in 8 bits in tensors of their own: eval computes from both" {
    graft init -t base.model --arch llama --layers 1 --width 64 --heads 2 --mlp 128 --context 64 --seed 3 -o wide.model
    graft quantize --type nf4 --embeddings nf4 wide.model -o nf4.model
    graft quantize --type nf4 --embeddings nf4 --double-quant wide.model -o dq.model
    graft verify -q dq.model
    types dq.model | grep -q '^layers.0.mlp.up.weight.scales F32$'
    types dq.model | grep -q '^layers.0.mlp.up.weight NF4_DQ$'
    status_is 4 graft diff --json nf4.model dq.model
    jq -e '[.tensors[] | select(.status != "equal")] | length > 0 and all(.dtype_a == "NF4" and .dtype_b == "NF4_DQ" and .cosine > 0.999)' <<<"$output"
    status_is 4 graft diff --json dq.model wide.model
    jq -e '[.tensors[] | select(.status != "equal")] | length > 0 and all(.cosine > 0.98)' <<<"$output"
    status_is 0 graft diff dq.model dq.model
    base=$(graft eval -m wide.model --json --rows 4 data/val.tokens | jq .loss)
    for m in nf4 dq; do
        for dtype in f32 bf16; do
            loss=$(graft eval -m $m.model --dtype $dtype --rows 4 --json data/val.tokens | jq .loss)
            jq -n -e --argjson a "$base" --argjson b "$loss" '($a - $b) | fabs < 0.2' || { echo "$m $dtype $base $loss"; return 1; }
        done
    done
    graft quantize --type nf4 --double-quant dq.model -o again.model
    status_is 0 graft diff dq.model again.model
}

@test "what cannot be quantised is named" {
    status_is 2 graft quantize base.model -o x.model
    status_is 2 graft quantize --type q8_0 --double-quant base.model -o x.model
    says '--double-quant is for type nf4'
    status_is 2 graft quantize --type q4_0 --only nothing base.model -o x.model
    says "--only 'nothing': no tensor has such a name"
    graft quantize --type q8_0 base.model -o q.model
    status_is 3 graft quantize --type q4_0 q.model -o x.model
    says "tensor 'layers.0.attention.qkv.weight' is of type Q8_0"
    graft init --arch gpt2 --layers 1 --width 40 --heads 4 --context 64 --vocab 300 -o odd.model
    status_is 3 graft quantize --type q4_0 odd.model -o x.model
    says "tensor 'layers.0.attention.qkv.weight' has rows of 40 values, which are no whole blocks of 32"
    status_is 3 graft quantize --type q4_0 data/val.tokens -o x.model
    graft dump base.model | sed '/"tensor":"layers.1.mlp.up.weight"/s/\("data":\["[^"]*","\)[^"]*"/\1nan:400000"/' | graft undump --edited -o nan.model
    status_is 3 graft quantize --type q4_0 nan.model -o x.model
    says "tensor 'layers.1.mlp.up.weight', element 1 is NaN"
    [ ! -e x.model ]
}
