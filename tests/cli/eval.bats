#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# eval.bats: graft eval: what it prints, that it does not depend on how it is run, and how it refuses.

load ../run/common

setup_file() {
    graft_make_fixtures
    graft learn-tokenizer -q --type bpe --vocab 300 -f lines corpus.txt -o other.tok
    head -n 50 corpus.txt | graft tokenize -q -t other.tok -f lines --length 32 -o other.tokens
    head -n 50 corpus.txt | graft tokenize -q -t bpe.tok -f paragraphs --length 128 -o long.tokens
    graft tokenize -q -t bpe.tok -f lines --length 32 -o empty.tokens </dev/null
    graft init -q -t bpe.tok --arch gpt2 --layers 1 --width 32 --heads 2 --context 64 -o gpt2.model
    graft learn-tokenizer -q --vocab 320 --special 'pad=[PAD]' --special 'cls=[CLS]' --special 'sep=[SEP]' --special 'mask=[MASK]' \
        -f lines corpus.txt -o mask.tok
    head -n 60 corpus.txt | graft tokenize -q -t mask.tok -f lines --length 32 -o mask.tokens
    graft init -q -t mask.tok --arch bert --layers 1 --width 32 --heads 2 --context 64 -o mask.model
}

setup() {
    graft_setup
    graft_link_fixtures
}

# The JSON line without what says how it came by its input.
figures() { graft eval -q --json "$@" | jq -S -c 'del(.inputs[].name)'; }

@test "the table names every metric, with an interval" {
    status_is 0 graft eval -m base.model data/val.tokens
    for metric in documents rows tokens bytes loss perplexity bits_per_byte bits_per_char top1 top5; do
        grep -qE "^$metric +[0-9]" <<<"$output"
    done
    grep -qE '^loss +[0-9.]+ +[0-9.]+ \.\. [0-9.]+$' <<<"$output"
    grep -qF '95 %, 1000 bootstrap resamples' <<<"$output"
    [ -z "$stderr" ]
}

@test "the figures belong together" {
    graft eval -m base.model --json data/val.tokens >all.json
    jq -e '
        def near(a; b): (a - b | fabs) <= 1e-9 * (b | fabs);
        near(.perplexity; .loss | exp) and near(.bits_per_byte; .loss * .tokens / (2 | log) / .bytes) and
        near(.bits_per_char; .bits_per_byte * .bytes / .chars) and .top1 <= .top5 and .top5 <= 1 and
        .loss_low <= .loss and .loss <= .loss_high and .documents <= .rows and
        (.inputs | map(.role) | sort) == ["input", "model"]' all.json
}

@test "an untrained model knows nothing, a trained one a little" {
    before=$(graft eval -m init.model --json data/val.tokens | jq .loss)
    after=$(graft eval -m base.model --json data/val.tokens | jq .loss)
    jq -n -e "(($before - (320 | log)) | fabs) < 0.1 and $after < $before"
}

@test "threads, micro-batch, pipes and cuts change nothing" {
    figures -m base.model -j 1 data/val.tokens >one
    figures -m base.model -j 2 data/val.tokens >two
    figures -m base.model -j 4 --micro-tokens 96 data/val.tokens >four
    graft cat data/val.tokens | figures -m <(cat base.model) >pipe
    same one two
    same one four
    same one pipe
    cat data/val.tokens b.tokens | figures -m base.model | jq 'del(.inputs)' >joined
    figures -m base.model data/val.tokens b.tokens | jq 'del(.inputs)' >operands
    same joined operands
}

@test "the seed moves the intervals of a causal model, not its figures" {
    figures -m base.model data/val.tokens | jq '[.loss, .top5]' >a
    figures -m base.model --seed 1 data/val.tokens | jq '[.loss, .top5]' >b
    same a b
    [ "$(figures -m base.model data/val.tokens | jq .loss_low)" != "$(figures -m base.model --seed 1 data/val.tokens | jq .loss_low)" ]
    [ "$(figures -m base.model --bootstrap 0 data/val.tokens | jq .loss_low)" = null ]
}

@test "per-document lines add up, and appear complete or not at all" {
    graft eval -m base.model --json --per-document docs.jsonl data/val.tokens >all.json
    jq -s -e --slurpfile all all.json '
        def near(a; b): (a - b | fabs) <= 1e-9 * (b | fabs);
        near((map(.loss * .tokens) | add) / (map(.tokens) | add); $all[0].loss) and
        (map(.bytes) | add) == $all[0].bytes and length == $all[0].documents' docs.jsonl
    head -c 5000 data/train.tokens >cut.tokens
    status_is 3 graft eval -m base.model --per-document none.jsonl cut.tokens
    [ ! -e none.jsonl ]
    [ -z "$output" ]
}

@test "--require: the figures, and 4 when something does not hold" {
    status_is 0 graft eval -m base.model --require 'loss<100' --require 'accuracy >= 0' data/val.tokens
    status_is 4 graft eval -m base.model --require 'loss<100' --require 'loss<=0.01' data/val.tokens
    says 'required: loss<=0.01; loss is '
    grep -q '^perplexity' <<<"$output"
    status_is 2 graft eval -m base.model --require 'lost<1' data/val.tokens
    says "'lost' is no metric"
    [ -z "$output" ]
}

@test "weights: none at all is nothing to judge, and a zero leaves a row out" {
    weigh() { # WEIGHT of each row, in jq
        graft dump data/val.tokens | jq -c 'if .begin then .begin.columns += [{name: "weight", dtype: "F32", shape: []}]
            elif .row then .row.weight = ('"$1"') else . end' | graft undump -q --edited
    }
    weigh 0 >zero.tokens
    status_is 3 graft eval -m base.model --micro-tokens 32 zero.tokens
    says 'nothing to judge'
    weigh 'if .row.ids | length % 2 == 0 then 1 else 0 end' >even.tokens
    graft dump data/val.tokens | jq -c 'select((.row | not) or (.row.ids | length % 2 == 0))' | graft undump -q --edited -o part.tokens
    figures -m base.model even.tokens | jq -e '.bits_per_byte == null'
    a=$(figures -m base.model even.tokens | jq .loss)
    b=$(figures -m base.model part.tokens | jq .loss)
    jq -n -e "(($a - $b) | fabs) < 1e-6"
}

@test "no bits per byte when a text's first token was not predicted" {
    graft dump data/val.tokens | jq -c 'if .row then .row.skip = 0 else . end' | graft undump -q --edited >special.tokens
    figures -m base.model special.tokens | jq -e '.bits_per_byte > 0'
    graft dump data/val.tokens | jq -c 'if .row then .row.skip = 0 | .row.ids = .row.ids[1:] else . end' |
        graft undump -q --edited >bare.tokens
    figures -m base.model bare.tokens | jq -e '.loss > 0 and .bits_per_byte == null and .bits_per_char == null'
}

@test "options that would do nothing are refused" {
    for o in '--mask-fraction 0.3' --mask-exact '--bootstrap 0 --confidence 0.9'; do
        # shellcheck disable=SC2086 # several words
        status_is 2 graft eval -m base.model $o data/val.tokens
        says '--'
    done
    for o in '--mask-fraction 0.3' --mask-exact --mask-whole-words '--objective masked'; do
        # shellcheck disable=SC2086 # several words
        status_is 2 graft eval -m mask.model --pseudo-likelihood $o mask.tokens
        says 'no use'
    done
}

@test "--rows judges the first rows and reads to the end" {
    [ "$(figures -m base.model --rows 7 data/val.tokens | jq .rows)" = 7 ]
    head -c 5000 data/train.tokens >cut.tokens
    status_is 3 graft eval -m base.model --rows 1 cut.tokens
}

@test "what does not belong together is refused" {
    status_is 3 graft eval -m base.model other.tokens
    says "'other.tokens' was made with another tokenizer than the model's"
    one_line
    status_is 3 graft eval -m base.model long.tokens
    says "the model's context is 64: cut the documents with 'graft tokenize --length 64'"
    one_line
    status_is 3 graft eval -m base.model empty.tokens
    says 'nothing to judge'
    status_is 3 graft eval -m data/val.tokens data/val.tokens
    one_line
    status_is 3 graft eval -m base.model base.model
    one_line
    status_is 3 graft eval -m bpe.tok data/val.tokens
    one_line
}

@test "a damaged input is 3, a missing one 1, with nothing printed" {
    head -c 1000 data/val.tokens >cut.tokens
    status_is 3 graft eval -m base.model cut.tokens
    says cut.tokens
    [ -z "$output" ]
    status_is 3 bash -c 'graft eval -m base.model <cut.tokens'
    head -c 3000 base.model >cut.model
    status_is 3 graft eval -m cut.model data/val.tokens
    status_is 1 graft eval -m base.model none.tokens
    says "cannot open 'none.tokens'"
    status_is 2 graft eval data/val.tokens
    says '--model'
}

@test "a full disk and a reader that is gone" {
    status_is 1 bash -c 'graft eval -m base.model data/val.tokens >/dev/full'
    says 'No space left on device'
    status_is 1 bash -c 'graft eval -m base.model --json data/val.tokens >/dev/full'
    status_is 1 graft eval -m base.model --per-document /dev/full data/val.tokens
    unread_pipe
    status_is 141 bash -c 'exec graft eval -m base.model --json data/val.tokens >&5'
    exec 5>&-
    [ -z "$stderr" ]
}

@test "another architecture, the reference kernels, and bf16" {
    graft eval -m gpt2.model --json data/val.tokens | jq -e '(.loss - (320 | log) | fabs) < 0.1'
    a=$(figures -m base.model data/val.tokens | jq .loss)
    b=$(figures -m base.model --device ref data/val.tokens | jq .loss)
    c=$(figures -m base.model --dtype bf16 data/val.tokens | jq .loss)
    jq -n -e "(($a - $b) | fabs) < 1e-5 * $a and (($a - $c) | fabs) < 2e-2 * $a and $a != $c"
    figures -m base.model --dtype bf16 data/val.tokens | jq -e '.mode | startswith("bf16 ")'
}

@test "a masked model: masks by seed, or each token in turn" {
    figures -m mask.model mask.tokens >a
    figures -m mask.model -j 1 --micro-tokens 1Ki mask.tokens >b
    figures -m mask.model --seed 1 mask.tokens >c
    same a b
    [ "$(jq .loss a)" != "$(jq .loss c)" ]
    jq -e '.bits_per_byte == null and .bits_per_byte_low == null' a
    figures -m mask.model --mask-exact --mask-fraction 0.5 mask.tokens >half
    jq -s -e '.[0].tokens * 2.5 < .[1].tokens' a half
    graft eval -m mask.model mask.tokens | grep -qE '^bits_per_byte +-$'
    figures -m mask.model --pseudo-likelihood mask.tokens >each
    jq -e '.bits_per_byte > 0 and .bytes == '"$(head -n 60 corpus.txt | tr -d '\n' | wc -c)" each
    status_is 2 graft eval -m base.model --pseudo-likelihood data/val.tokens
    says 'masked models'
    status_is 2 graft eval -m mask.model --objective causal mask.tokens
    status_is 4 graft eval -m mask.model --require 'bits_per_byte<9' mask.tokens
    says 'bits_per_byte has no value here'
}

@test "--plan says what is needed and reads no data" {
    status_is 0 graft eval -m base.model --plan
    grep -qE 'in all$' <<<"$output"
    more=$(graft eval -m base.model --plan --micro-tokens 64Ki | tail -n 1)
    [ "$more" != "$(tail -n 1 <<<"$output")" ]
}

@test "documents are not written over what is read" {
    cp data/val.tokens .
    cp --remove-destination "$(readlink base.model)" base.model
    ln -s val.tokens link
    for f in val.tokens ./val.tokens link base.model; do
        status_is 2 graft eval -m base.model --per-document $f val.tokens
        says "'val.tokens' would overwrite" || says "'base.model' would overwrite"
    done
    graft verify -q val.tokens base.model
}

@test "options of masking are refused where nothing is masked, also with their default values" {
    for o in '--mask-fraction 0.15' --mask-exact --no-mask-exact --mask-whole-words '--mask-fraction 0.3'; do
        # shellcheck disable=SC2086 # several words
        status_is 2 graft eval -m base.model $o data/val.tokens
        says 'masked models'
        # shellcheck disable=SC2086
        status_is 2 graft pretrain -m base.model $o --steps 1 data/val.tokens -o x.model
        says 'masked models'
        # shellcheck disable=SC2086
        status_is 2 graft eval -m mask.model --pseudo-likelihood $o mask.tokens
        says 'has no use'
    done
    graft eval -q -m mask.model --mask-fraction 0.15 --no-mask-exact mask.tokens >/dev/null
}

@test "an encoder without a head for masked tokens is refused" {
    graft import -q "$ROOT/tests/parity/families/bert-body" -o body.model
    status_is 3 graft eval -m body.model data/val.tokens
    says 'no head that tells masked tokens'
    one_line
}
