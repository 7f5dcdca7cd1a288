#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# features.bats: graft extract-features: what its rows hold, that they do not depend on how it is run, and how it refuses.

load ../run/common

setup_file() {
    graft_make_fixtures
    graft learn-tokenizer -q --type bpe --vocab 300 -f lines corpus.txt -o other.tok
    head -n 50 corpus.txt | graft tokenize -q -t other.tok -f lines --length 32 -o other.tokens
    head -n 50 corpus.txt | graft tokenize -q -t bpe.tok -f paragraphs --length 128 -o long.tokens
    graft tokenize -q -t bpe.tok -f lines --length 32 -o empty.tokens </dev/null
    graft learn-tokenizer -q --vocab 320 --special 'pad=[PAD]' --special 'cls=[CLS]' --special 'sep=[SEP]' --special 'mask=[MASK]' \
        -f lines corpus.txt -o mask.tok
    head -n 60 corpus.txt | graft tokenize -q -t mask.tok -f lines --length 32 -o mask.tokens
    graft init -q -t mask.tok --arch bert --layers 2 --width 32 --heads 2 --context 64 -o mask.model
}

setup() {
    graft_setup
    graft_link_fixtures
}

id() { graft inspect --json "$1" | jq -r .id; }
features() { graft extract-features -q "$@"; }
# A list of numbers per row.
vectors() {
    graft dump "$1" | python3 -c '
import json, sys
for line in sys.stdin:
    row = json.loads(line).get("row")
    if row: print(json.dumps([float.fromhex(v) if isinstance(v, str) else v for v in row["x"]]))'
}

@test "a row for a row, with its fields, and what was done in meta" {
    head -n 20 corpus.jsonl | graft tokenize -q -t bpe.tok -f jsonl --keep all --length 64 -o kept.tokens
    features -m base.model kept.tokens -o kept.features
    graft inspect --json kept.features >facts
    jq -e '.kind == "features" and .rows == 20 and .meta.layer == 2 and .meta.pooling == ["mean"] and .meta.normalize == false
        and ([.columns[].name] == ["doc", "part", "bytes", "chars", "keep", "x"])' facts
    [ "$(jq -r .meta.base facts)" = "$(id base.model)" ]
    graft dump kept.features | jq -s -e '[.[] | select(.row) | .row.keep | fromjson | .id] == [range(1; 21)]'
    graft dump kept.tokens | jq -c 'select(.row) | .row | [.doc, .bytes]' >a
    graft dump kept.features | jq -c 'select(.row) | .row | [.doc, .bytes]' >b
    same a b
    graft lineage kept.features | grep -q extract-features
    graft verify -q kept.features
}

@test "threads, batches, pipes, and the company of other rows change nothing" {
    for model in base mask; do
        tokens=data/val.tokens
        [ $model = base ] || tokens=mask.tokens
        for dtype in f32 bf16; do
            features -m $model.model --dtype $dtype -j 1 $tokens -o one
            features -m $model.model --dtype $dtype -j 4 --micro-tokens 32 $tokens -o two
            graft cat $tokens | features -m <(cat $model.model) --dtype $dtype >three
            # slowly: what has come is computed while more is waited for
            { head -c 700 $tokens; sleep 0.2; tail -c +701 $tokens; } | features -m $model.model --dtype $dtype >four
            [ "$(id one)" = "$(id two)" ] && [ "$(id one)" = "$(id three)" ] && [ "$(id one)" = "$(id four)" ]
        done
    done
    same one two
    graft sample -q -n 1 --seed 3 data/val.tokens -o single.tokens
    features -m base.model data/val.tokens -o all
    features -m base.model single.tokens -o single
    vectors all >all.txt
    vectors single >single.txt
    grep -qxF "$(cat single.txt)" all.txt
}

@test "rows come out before the input ends" {
    mkfifo slow vectors
    sleep 300 >slow & # holds the pipe open
    holder=$!
    cat b.tokens >slow &
    graft extract-features -q -m base.model <slow >vectors 2>/dev/null &
    reader=$!
    graft dump <vectors >out 2>/dev/null &
    dumper=$!
    wait_alive $dumper grep -q '^{"row"' out
    kill -0 $holder
    kill $reader $holder
    wait $dumper || true
}

@test "the poolings are what they say" {
    graft head -n 5 mask.tokens -o five.tokens
    for p in cls mean max last mean_sqrt_len weighted_mean cls,mean last,cls; do
        features -m mask.model --pooling $p five.tokens -o $p
        vectors $p >$p.txt
    done
    features -m mask.model --normalize five.tokens -o unit
    vectors unit >unit.txt
    python3 - <<'PY'
import json
def read(name): return [json.loads(line) for line in open(name + ".txt")]
mean, unit, cls, last, top = map(read, ("mean", "unit", "cls", "last", "max"))
assert len(mean) == 5
for m, u, c, l, t in zip(mean, unit, cls, last, top):
    length = sum(x * x for x in m) ** 0.5
    assert all(abs(x / length - y) < 1e-6 for x, y in zip(m, u))
    assert all(x >= y and x >= z and x >= w for x, y, z, w in zip(t, m, c, l))
    assert c != l and c != m
both, two, root, weighted = map(read, ("cls,mean", "last,cls", "mean_sqrt_len", "weighted_mean"))
for m, c, l, a, b, r, w in zip(mean, cls, last, both, two, root, weighted):
    assert a == c + m and b == c + l
    ratio = r[0] / m[0]
    assert ratio > 1.5 and all(abs(x * ratio - y) < 1e-5 for x, y in zip(m, r)) and abs(ratio ** 2 - round(ratio ** 2)) < 1e-4
    assert w != m
PY
    # of a row with two tokens they are sums of the first and the last
    graft dump data/val.tokens | jq -c 'if .row then .row.ids = .row.ids[:2] | .row.skip = 0 else . end' | graft undump -q --edited |
        graft head -n 3 -o two.tokens
    for p in cls mean max last mean_sqrt_len weighted_mean; do
        features -m base.model --pooling $p two.tokens -o f
        vectors f >$p.txt
    done
    python3 - <<'PY'
import json
def read(name): return [json.loads(line) for line in open(name + ".txt")]
names = ("cls", "last", "mean", "max", "mean_sqrt_len", "weighted_mean")
for c, l, m, t, r, w in zip(*map(read, names), strict=True):
    assert c != l
    for a, b, *got in zip(c, l, m, t, r, w):
        assert all(abs(x - y) < 1e-5 for x, y in zip(got, ((a + b) / 2, max(a, b), (a + b) / 2 ** 0.5, (a + 2 * b) / 3)))
PY
    status_is 2 graft extract-features -m mask.model --pooling mean,best five.tokens -o f
    says "'best' is none of"
    status_is 2 graft extract-features -m mask.model --pooling mean,cls,mean five.tokens -o f
    says 'twice'
    # of a row with one token all are the same
    graft dump data/val.tokens | jq -c 'if .row then .row.ids = .row.ids[:1] | .row.skip = 0 else . end' | graft undump -q --edited |
        graft head -n 3 -o one.tokens
    for p in cls mean max last mean_sqrt_len weighted_mean; do
        features -m base.model --pooling $p one.tokens -o f
        vectors f >$p.one
        same cls.one $p.one
    done
}

@test "layers: the embeddings do not know their neighbours, the last is the default" {
    features -m base.model data/val.tokens -o default
    features -m base.model --layer 2 data/val.tokens -o last
    vectors default >a; vectors last >b
    same a b
    # the same first token, whatever follows: equal at layer 0, and, in a causal model, everywhere
    for layer in 0 1; do
        features -m base.model --layer $layer --pooling cls data/val.tokens -o f
        [ "$(vectors f | sort -u | wc -l)" -eq 1 ]
    done
    features -m mask.model --layer 0 --pooling cls mask.tokens -o f
    [ "$(vectors f | sort -u | wc -l)" -eq 1 ]
    features -m mask.model --layer 1 --pooling cls mask.tokens -o f
    [ "$(vectors f | sort -u | wc -l)" -gt 1 ]
    status_is 2 graft extract-features -m base.model --layer 3 data/val.tokens -o f
    says '--layer 3: the model has 2 blocks'
}

@test "what the model says of itself is done, and can be said otherwise" {
    graft dump mask.model | jq -c 'if .begin then .begin.meta.embedding = {pooling: ["cls"], normalize: true, max_length: 5,
        similarity: "cosine", include_prompt: true, prompts: {}, default_prompt: ""} else . end' | graft undump -q --edited -o saying.model
    graft extract-features -m saying.model mask.tokens -o said 2>log
    grep -q 'the model makes vectors of at most 5' log
    [ "$(wc -l <log)" -eq 1 ]
    features -m mask.model --pooling cls --normalize mask.tokens -o given
    vectors said >a; vectors given >b
    same a b
    features -m saying.model --pooling mean --no-normalize mask.tokens -o said
    features -m mask.model mask.tokens -o given
    vectors said >a; vectors given >b
    same a b
    graft dump saying.model | jq -c 'if .begin then .begin.meta.embedding += {prompts: {query: "find: "}, default_prompt: "query"}
        else . end' | graft undump -q --edited -o asking.model
    graft extract-features -m asking.model mask.tokens -o said 2>log
    grep -q "wants 'find: ' before each text" log
}

@test "a prompt that the model does not pool is left out" {
    graft dump mask.model | jq -c 'if .begin then .begin.meta.embedding = {pooling: ["mean"], normalize: false, max_length: 0,
        similarity: "cosine", include_prompt: false, prompts: {query: "find the ", none: "a "}, default_prompt: ""} else . end' |
        graft undump -q --edited -o asking.model
    head -n 20 corpus.txt | sed 's/^/find the /' | graft tokenize -q -t mask.tok -f lines --length 64 -o asked.tokens
    features -m asking.model --prompt query asked.tokens -o left
    features -m asking.model --pooling mean asked.tokens -o all
    features -m asking.model --prompt query --pooling cls asked.tokens -o cls
    features -m mask.model --pooling cls asked.tokens -o first
    vectors cls >a; vectors first >b
    same a b # the first token all the same
    # the mean of all is that of the prompt's tokens and of the others: sums of prefixes tell the former
    graft dump asked.tokens | jq -c 'select(.row) | .row.ids' >ids
    printf 'find the \n' | graft tokenize -q -t mask.tok -f lines | graft dump | jq -c 'select(.row) | .row.ids[:-1]' >prompt
    for p in mean max weighted_mean mean_sqrt_len; do
        features -m asking.model --prompt query --pooling $p asked.tokens -o out
        features -m asking.model --pooling $p asked.tokens -o with
        vectors out >out.$p; vectors with >with.$p
        run cmp -s out.$p with.$p
        [ "$status" -eq 1 ]
    done
    python3 - <<'PY'
import json
n = len(json.loads(open("prompt").read()))
for m, r, ids in zip(*(map(json.loads, open(f)) for f in ("out.mean", "out.mean_sqrt_len", "ids"))):
    count = len(ids) - n
    assert n > 3 and count > 3 and all(abs(a * count ** 0.5 - b) < 1e-4 for a, b in zip(m, r))
PY
    status_is 2 graft extract-features -m asking.model --prompt other asked.tokens -o f
    says "no prompt of this name"
    status_is 3 graft extract-features -m asking.model --prompt query mask.tokens -o f
    says "row 0 does not begin with the model's prompt 'query'"
    [ ! -e f ]
}

@test "--truncate takes the first row of each document" {
    head -n 50 corpus.txt | graft tokenize -q -t bpe.tok -f paragraphs --length 16 -o cuts.tokens
    features -m base.model --truncate cuts.tokens -o f
    [ "$(graft dump f | grep -c '^{"row"')" -eq 1 ]
    features -m base.model cuts.tokens -o f
    [ "$(graft dump f | grep -c '^{"row"')" -gt 1 ]
}

@test "what does not belong together is refused" {
    status_is 3 graft extract-features -m base.model other.tokens
    says "'other.tokens' was made with another tokenizer than the model's"
    one_line
    status_is 3 graft extract-features -m base.model long.tokens -o f
    says "the model's context is 64: cut the documents with 'graft tokenize --length 64'"
    one_line
    status_is 3 graft extract-features -m base.model base.model -o f
    one_line
    cp base.model my.model
    status_is 2 graft extract-features -m my.model data/val.tokens -o ./my.model
    says "-o 'my.model' would overwrite a file this run uses"
    same base.model my.model
    status_is 3 graft extract-features -m data/val.tokens data/val.tokens -o f
    one_line
    graft dump data/val.tokens | jq -c 'if .row then .row.ids = [] | .row.skip = 0 else . end' | graft undump -q --edited -o hollow.tokens
    status_is 3 graft extract-features -m base.model hollow.tokens -o f
    says 'no tokens'
    one_line
    [ ! -e f ]
    features -m base.model empty.tokens -o f
    graft inspect --json f | jq -e '.rows == 0'
    graft dump data/val.tokens | jq -c 'if .begin then .begin.columns += [{name: "x", dtype: "F32", shape: []}]
        elif .row then .row.x = 1 else . end' | graft undump -q --edited -o named.tokens
    status_is 3 graft extract-features -m base.model named.tokens -o f
    says "'x'"
    one_line
}

@test "a damaged input leaves nothing" {
    head -c 1000 data/val.tokens >cut.tokens
    status_is 3 graft extract-features -m base.model cut.tokens -o f
    says cut.tokens
    [ ! -e f ]
    status_is 1 bash -c 'graft extract-features -m base.model data/val.tokens >/dev/full'
    says 'No space left on device'
}
