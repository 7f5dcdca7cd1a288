#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# logits.bats: graft logits: that probabilities are probabilities, that they agree with the losses of eval and with each other,
# that they do not depend on how they are computed, and how it refuses.

load ../run/common

setup_file() {
    graft_make_fixtures
    graft learn-tokenizer -q --type bpe --vocab 300 -f lines corpus.txt -o other.tok
    head -n 50 corpus.txt | graft tokenize -q -t other.tok -f lines --length 32 -o other.tokens
    head -n 50 corpus.txt | graft tokenize -q -t bpe.tok -f paragraphs --length 128 -o long.tokens
    graft learn-tokenizer -q --vocab 320 --special 'pad=[PAD]' --special 'cls=[CLS]' --special 'sep=[SEP]' --special 'mask=[MASK]' \
        -f lines corpus.txt -o mask.tok
    head -n 60 corpus.txt | graft tokenize -q -t mask.tok -f lines --length 32 -o mask.tokens
    graft init -q -t mask.tok --arch bert --layers 1 --width 32 --heads 2 --context 64 -o mask.model
    graft head -n 20 data/val.tokens -o some.tokens
    cat >read.py <<'PY'
import json
def numbers(cells): return [float.fromhex(v) if isinstance(v, str) else float(v) for v in cells]
def rows(name):
    for line in open(name):
        row = json.loads(line).get("row")
        if row:
            for column in ("logp", "rest"):
                if column in row: row[column] = numbers(row[column])
            yield row
PY
}

setup() {
    graft_setup
    graft_link_fixtures
}

id() { graft inspect --json "$1" | jq -r .id; }
logits() { graft logits -q -m base.model "$@"; }

@test "probabilities add up, and the loss of eval is theirs" {
    logits some.tokens -o all && graft dump all >all.jsonl
    loss=$(graft eval -q -m base.model --json some.tokens | jq .loss)
    python3 - "$loss" <<'PY'
import math, sys
from read import rows
V, total, scored = 320, 0, 0
for row in rows("all.jsonl"):
    T = len(row["ids"])
    assert len(row["logp"]) == T * V
    for t in range(T):
        place = row["logp"][t * V : (t + 1) * V]
        assert abs(math.fsum(map(math.exp, place)) - 1) < 1e-5
        if t + 1 < T and t + 1 >= row["skip"]:
            total -= place[row["ids"][t + 1]]
            scored += 1
assert abs(total / scored - float(sys.argv[1])) < 1e-5, (total / scored, sys.argv[1])
PY
    graft inspect --json all | jq -e '.kind == "logits" and .rows == 20 and .meta.temperature == 1 and .meta.top == 0'
    [ "$(graft inspect --json all | jq -r .meta.base)" = "$(id base.model)" ]
}

@test "the likeliest, in order, and the rest" {
    for t in 1 0.5; do
        logits -T $t some.tokens | graft dump >all.jsonl
        logits -T $t --top 5 some.tokens | graft dump >top.jsonl
        python3 - <<'PY'
import math
from read import rows
V, K = 320, 5
for a, b in zip(rows("all.jsonl"), rows("top.jsonl"), strict=True):
    assert a["ids"] == b["ids"] and a["doc"] == b["doc"] and len(b["rest"]) == len(b["ids"])
    for t in range(len(a["ids"])):
        place = a["logp"][t * V : (t + 1) * V]
        ids, logp = (b[c][t * K : (t + 1) * K] for c in ("top", "logp"))
        best = sorted(range(V), key=lambda v: (-place[v], v))[:K]
        assert [place[v] for v in best] == logp and [place[v] for v in ids] == logp
        assert len(set(ids)) == K
        rest = math.log(math.fsum(math.exp(place[v]) for v in range(V) if v not in ids))
        assert abs(rest - b["rest"][t]) < 1e-5
PY
    done
    logits --top 320 some.tokens | graft dump >every.jsonl
    head -n 5 every.jsonl | jq -e 'select(.row) | .row.rest | all(. == "-inf")' >/dev/null
}

@test "equal scores: the lowest id first; a temperature makes them more or less equal" {
    graft dump base.model | awk 'index($0, "\"tensor\":\"norm.weight\"") { gsub(/"data":\[[^]]*\]/, "\"data\":[" zeros "]") } { print }' \
        zeros="$(printf '0,%.0s' {1..32} | sed 's/,$//')" | graft undump -q --edited -o flat.model
    graft logits -q -m flat.model --top 3 some.tokens | graft dump | jq -s -e '[.[] | select(.row) | .row.top | .[0:3]] | all(. == [0, 1, 2])'
    first() { logits --top 1 "$@" some.tokens | graft dump >one.jsonl; python3 -c '
from read import rows
print(sum(sum(r["logp"]) for r in rows("one.jsonl")))'; }
    hot=$(first -T 4); mild=$(first); cold=$(first -T 0.25)
    jq -n -e "$hot < $mild and $mild < $cold and $cold < 0"
}

@test "threads, batches, pipes, and the company of other rows change nothing" {
    for dtype in f32 bf16; do
        for top in 0 4; do
            logits --dtype $dtype --top $top -j 1 some.tokens -o one
            logits --dtype $dtype --top $top -j 4 --micro-tokens 32 some.tokens -o two
            { head -c 500 some.tokens; sleep 0.2; tail -c +501 some.tokens; } | logits --dtype $dtype --top $top >three
            [ "$(id one)" = "$(id two)" ] && [ "$(id one)" = "$(id three)" ]
        done
    done
    same one two
    graft dump one | jq -c 'select(.row) | .row' >all
    graft head -n 1 some.tokens | logits --dtype bf16 --top 4 | graft dump | jq -c 'select(.row) | .row' >single
    same single <(head -n 1 all)
}

@test "what does not belong together is refused" {
    status_is 3 graft logits -m mask.model mask.tokens -o l
    says 'logits needs a causal model'
    one_line
    status_is 3 graft logits -m base.model other.tokens -o l
    says "'other.tokens' was made with another tokenizer than the model's"
    one_line
    status_is 3 graft logits -m base.model long.tokens -o l
    says "the model's context is 64"
    one_line
    status_is 2 graft logits -m base.model --top 321 some.tokens -o l
    says '--top 321: the vocabulary has 320 tokens'
    cp base.model my.model
    status_is 2 graft logits -m my.model some.tokens -o ./my.model
    says "-o 'my.model' would overwrite a file this run uses"
    same base.model my.model
    status_is 2 graft logits -m base.model -T 0 some.tokens -o l
    graft dump some.tokens | jq -c 'if .row then .row.ids = [] | .row.skip = 0 else . end' | graft undump -q --edited -o hollow.tokens
    status_is 3 graft logits -m base.model hollow.tokens -o l
    says 'no tokens'
    one_line
    head -c 300 some.tokens >cut.tokens
    status_is 3 graft logits -m base.model cut.tokens -o l
    [ ! -e l ]
    status_is 1 bash -c 'graft logits -m base.model some.tokens >/dev/full'
    logits <(graft head -n 0 some.tokens) -o none
    graft inspect --json none | jq -e '.rows == 0'
}
