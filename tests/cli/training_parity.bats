#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# training_parity.bats: twenty steps of pretraining are those of torch: batches, losses, clipping, rates, AdamW. What torch
# gets is in tests/parity/training_cases.json, made by make_training_cases.py there.

load ../run/common

setup() { graft_setup; }

@test "losses, norms and rates are torch's" {
    "$ROOT/tests/parity/training_files.sh"
    for model in gpt2 llama; do
        graft pretrain -q -m $model.model --steps 20 --batch-tokens 256 --grain 64 --micro-tokens 128 --lr 1e-2 --warmup 5 \
            --weight-decay 0.3 --clip 1 --log $model.jsonl train.tokens -o x.model
        jq -s -e --arg model $model --slurpfile torch "$ROOT/tests/parity/training_cases.json" '
            def near(a; b; c): (a - b | fabs) <= c * (b | fabs);
            $torch[0][$model] as $t | length == 20 and ($t | length) == 20 and
            (. as $g | [range(20)] | all(. as $i | near($g[$i].loss; $t[$i].loss; 1e-6) and
                near($g[$i].norm; $t[$i].norm; 1e-5) and near($g[$i].rate; $t[$i].rate; 1e-8)))' $model.jsonl
    done
}
