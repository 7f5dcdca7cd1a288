#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# score.bats: graft score, and the windows of graft eval, against sums over what graft logits says, taken by hand in the conventions
# of lm-evaluation-harness and llama.cpp; that nothing depends on how it is run; and how it refuses.

load ../run/common

setup_file() {
    graft_make_fixtures
    graft learn-tokenizer -q --vocab 320 --special 'pad=[PAD]' --special 'cls=[CLS]' --special 'sep=[SEP]' --special 'mask=[MASK]' \
        -f lines corpus.txt -o mask.tok
    graft init -q -t mask.tok --arch bert --layers 1 --width 32 --heads 2 --context 64 -o mask.model
    head -n 40 corpus.txt | awk 'NR % 2 { context = $1 " " $2 " " $3; sub(/^[^ ]+ [^ ]+ [^ ]+/, "")
        printf "{\"id\": %d, \"context\": \"%s\", \"continuation\": \"%s\"}\n", NR, context, $0 }' >pairs.jsonl
    cat >hand.py <<'PY'
# score(model, [(ids, scored)], vocab): sums of log-probabilities of the last `scored` ids, each behind those before it, and whether
# each is the likeliest, from what `graft logits` says of rows with these ids.
import json, subprocess
def run(args, **kw): return subprocess.run(args, check=True, stdout=subprocess.PIPE, **kw).stdout
def encode(text, tokenizer):
    out = run(["graft", "tokenize", "-q", "-t", tokenizer, "-f", "files"], input=text.encode()) if text else None
    if not out: return []
    rows = [json.loads(line) for line in run(["graft", "dump"], input=out).splitlines()]
    ids = [id for line in rows if "row" in line for id in line["row"]["ids"]]
    return ids[1:-1] # between the end-of-text tokens of a document
def score(model, requests):
    lines = [json.loads(line) for line in run(["graft", "dump", "some.tokens"]).splitlines()]
    begin, row = lines[0], next(line for line in lines if "row" in line)
    text = [json.dumps(begin)]
    for ids, scored in requests:
        text.append(json.dumps({"row": dict(row["row"], ids=ids[:-1], skip=0)}))
    end = lines[-1]
    tokens = run(["graft", "undump", "-q", "--edited"], input="\n".join(text + [json.dumps(end)]).encode())
    out = run(["graft", "dump"], input=run(["graft", "logits", "-q", "-m", model], input=tokens))
    results = []
    rows = [json.loads(line)["row"] for line in out.splitlines() if line.startswith(b'{"row"')]
    for (ids, scored), row in zip(requests, rows, strict=True):
        logp = [float.fromhex(v) if isinstance(v, str) else v for v in row["logp"]]
        V, total, greedy = len(logp) // (len(ids) - 1), 0, True
        for t in range(len(ids) - 1 - scored, len(ids) - 1):
            place = logp[t * V : (t + 1) * V]
            total += place[ids[t + 1]]
            greedy &= max(range(V), key=lambda v: (place[v], -v)) == ids[t + 1]
        results.append((total, greedy))
    return results
PY
    graft head -n 3 data/val.tokens -o some.tokens
}

setup() {
    graft_setup
    graft_link_fixtures
}

score() { graft score -q -m base.model "$@"; }

@test "continuations, as the harness has them, from probabilities by hand" {
    cat >cases.jsonl <<'EOT'
{"context": "The old lamp", "continuation": " holds the river."}
{"context": "The old lamp ", "continuation": "holds the river."}
{"context": "The old lamp \t ", "continuation": "x"}
{"context": "", "continuation": "The quiet"}
{"context": "The qui", "continuation": "et garden"}
{"context": "", "continuation": "The"}
{"context": "A", "continuation": "B"}
EOT
    score cases.jsonl >scores
    python3 - <<'PY'
import json
from hand import encode, score
END, requests = 0, []
for line in open("cases.jsonl"):
    case = json.loads(line)
    context, continuation = case["context"], case["continuation"]
    stripped = context.rstrip()
    whole = encode(context + continuation, "bpe.tok")
    n = len(encode(stripped, "bpe.tok"))
    requests.append((whole, len(whole) - n) if context else ([END] + whole, len(whole)))
for mine, line in zip(score("base.model", requests), open("scores"), strict=True):
    theirs = json.loads(line)
    assert abs(mine[0] - theirs["loglikelihood"]) < 1e-4 and mine[1] == theirs["greedy"], (mine, theirs)
for (ids, n), line in zip(requests, open("scores")): assert json.loads(line)["tokens"] == n
PY
    [ "$(sed -n 1p scores | jq .loglikelihood)" = "$(sed -n 2p scores | jq .loglikelihood)" ]
    jq -s -e 'map(.bytes) == [17, 16, 1, 9, 9, 3, 1]' scores
    [ "$(jq .greedy scores | sort -u | wc -l)" -eq 2 ] # a text begins with The, and little else is sure
}

@test "what is too long is cut on the left" {
    long=$(head -n 30 corpus.txt | tr '\n' ' ')
    jq -n -c --arg t "$long" '{context: $t, continuation: " the river."}' >long.jsonl
    for length in 0 10; do
        score --length $length long.jsonl >scores
        python3 - "$length" "$long" <<'PY'
import json, sys
from hand import encode, score
most = int(sys.argv[1]) or 64
whole = encode(sys.argv[2] + " the river.", "bpe.tok")
n = len(whole) - len(encode(sys.argv[2].rstrip(), "bpe.tok"))
(mine,) = score("base.model", [(whole[-(most + 1):], n)])
theirs = json.loads(open("scores").read())
assert theirs["tokens"] == n and abs(mine[0] - theirs["loglikelihood"]) < 1e-4, (mine, theirs)
PY
    done
    jq -c '{context: "The", continuation: .context}' long.jsonl >over.jsonl
    status_is 3 graft score -m base.model over.jsonl
    says 'the model sees 64 at once'
    one_line
}

@test "rolling windows: each token once, the last window full" {
    head -n 4 corpus.txt | tr '\n' ' ' >one.txt
    printf '' >none.txt
    for length in 0 7 1; do
        score --rolling -f files --length $length one.txt >scores
        python3 - "$length" <<'PY'
import json, re, sys
from hand import encode, score
most, text = int(sys.argv[1]) or 64, open("one.txt").read()
tokens = encode(text, "bpe.tok")
windows, done = [], 0
while done < len(tokens): # (input + last target, how many are scored)
    n = min(most, len(tokens) - done)
    end = done + n
    windows.append(([0] + tokens[:end], n) if done == 0 else (tokens[end - most - 1 : end], n))
    done = end
assert sum(n for _, n in windows) == len(tokens) and (len(windows) > 1) == (len(tokens) > most)
mine = sum(total for total, _ in score("base.model", windows))
theirs = json.loads(open("scores").read())
assert abs(mine - theirs["loglikelihood"]) < 1e-3, (mine, theirs)
assert theirs["tokens"] == len(tokens) and theirs["words"] == len(re.split(r"\s+", text)) and theirs["bytes"] == len(text.encode())
assert "greedy" not in theirs
PY
    done
    status_is 2 graft score -m base.model --rolling --pair b -f jsonl pairs.jsonl
    says '--pair'
}

@test "eval --window: rolling and half, by hand" {
    head -n 20 corpus.txt | tr '\n' ' ' >one.txt
    graft tokenize -q -t bpe.tok -f files one.txt -o one.tokens
    # the same with a token that begins a text, which llama.cpp puts before each window
    graft learn-tokenizer -q --type bpe --vocab 320 --special 'eos=<|end|>' --special 'bos=<|begin|>' -f lines corpus.txt -o bos.tok
    graft dump bos.tok | sed 's/"postprocessor":\[\]/"postprocessor":[{"op":"template","before":["bos"],"after":[]}]/' |
        graft undump -q --edited -o added.tok
    run graft diff bos.tok added.tok
    [ "$status" -eq 4 ]
    for name in bos added; do # it has the token; it puts it before texts
        graft init -q -t $name.tok --arch llama --layers 1 --width 32 --heads 2 --context 64 --seed 3 -o $name.model
        graft tokenize -q -t $name.tok -f files one.txt -o $name.tokens
    done
    ln -s base.model one.model
    for name in one bos added; do
        model=$name.model
        for length in 0 9 64; do
            for window in rolling half; do
                graft eval -q --json -m $model --window $window --length $length $name.tokens >$window.json
            done
            graft dump $name.tokens | jq -c 'select(.row) | .row.ids' >ids.json
            graft head -n 1 $name.tokens -o some.tokens.$name && rm -f some.tokens && cp some.tokens.$name some.tokens
            python3 - $model "$length" <<'PY'
import json, math, sys
from hand import score
model, most = sys.argv[1], int(sys.argv[2]) or 64
ids = json.loads(open("ids.json").read())
def check(name, windows):
    total = -sum(t for t, _ in score(model, windows))
    said = json.loads(open(name + ".json").read())
    n = sum(scored for _, scored in windows)
    assert said["tokens"] == n and said["window"] == name and said["window_tokens"] == most, (said, n)
    assert abs(said["loss"] - total / n) < 1e-4 and abs(said["perplexity"] - math.exp(total / n)) < 1e-2, (said, total / n)
    return said
windows, done = [], 1
while done < len(ids):
    n = min(most, len(ids) - done)
    windows.append((ids[: done + n], n) if done == 1 else (ids[done + n - most - 1 : done + n], n))
    done += n
assert check("rolling", windows)["bits_per_byte"] > 0
text = ids[:-1] if model == "added.model" else ids[1:-1]
chunks = [text[i : i + most] for i in range(0, len(text) - most + 1, most)]
if model == "added.model": chunks = [ids[:1] + c[1:] for c in chunks]
assert len(chunks) > 1
assert check("half", [(c, most - most // 2 - 1) for c in chunks])["bits_per_byte"] is None
PY
        done
    done
    graft eval -q --json -m base.model --window rolling -j 1 one.tokens | jq .loss >a
    graft eval -q --json -m base.model --window rolling -j 3 --micro-tokens 64 one.tokens | jq .loss >b
    same a b
    # rows that fit: the same as without windows
    graft eval -q --json -m base.model data/val.tokens | jq .loss >a
    graft eval -q --json -m base.model --window rolling data/val.tokens | jq .loss >b
    jq -s -e '(.[0] - .[1] | fabs) < 1e-9' a b
}

@test "eval --window refuses what it cannot do" {
    head -n 8 corpus.txt | tr '\n' ' ' | graft tokenize -q -t bpe.tok -f files --length 32 -o cut.tokens
    status_is 3 graft eval -m base.model --window rolling cut.tokens
    says 'is a later cut of its document'
    one_line
    status_is 2 graft eval -m base.model --length 8 data/val.tokens
    says '--length has no use'
    status_is 2 graft eval -m base.model --window half --length 65 data/val.tokens
    says "the model's context of 64"
    status_is 2 graft eval -m base.model --window half --length 3 data/val.tokens
    status_is 3 graft eval -m base.model --window half --length 64 data/val.tokens
    says 'nothing to judge'
    head -n 5 corpus.txt | graft tokenize -q -t mask.tok -f lines -o mask.tokens
    status_is 2 graft eval -m mask.model --window rolling mask.tokens
    says 'causal models'
    status_is 2 graft eval -m mask.model --pseudo-likelihood --window rolling mask.tokens
}

@test "threads, batches, pipes, order and company change nothing; fields are kept" {
    score --keep all pairs.jsonl >one
    [ "$(wc -l <one)" -eq 20 ]
    score --keep all -j 4 --micro-tokens 32 pairs.jsonl >two
    { head -n 7 pairs.jsonl; sleep 0.2; tail -n +8 pairs.jsonl; } | score --keep all >three
    tac pairs.jsonl | score --keep all | tac >four
    head -n 1 pairs.jsonl | score --keep all >five
    same one two
    same one three
    same one four
    same five <(head -n 1 one)
    jq -s -e 'map(.id) == [range(1; 40; 2)] and all(has("context") or has("continuation") | not)' one
    score --rolling -f lines -j 1 --length 5 corpus.txt >one
    score --rolling -f lines -j 3 --length 5 --micro-tokens 32 corpus.txt >two
    same one two
    jq -r '[.context, .continuation] | @tsv' pairs.jsonl >pairs.tsv
    score --no-header pairs.tsv >table
    score pairs.jsonl | cmp - table
}

@test "choices of one context cost it once, and have the numbers that they have alone" {
    jq -n -c 'range(6) as $q | range(4) as $c |
        {context: "The \(["old", "quiet", "heavy"][$q % 3]) lamp holds the river and warms the bright stone of the quiet garden",
         continuation: [" holds", " warms the river.", " finds", " of the old stone bridge."][($c + $q) % 4]}' >choices.jsonl
    for options in '' '--dtype bf16' '--device ref' '--length 40'; do
        # shellcheck disable=SC2086
        graft score -v -m base.model $options choices.jsonl >together 2>said
        # shellcheck disable=SC2086
        while IFS= read -r line; do echo "$line" | score $options; done <choices.jsonl >alone
        same alone together
    done
    graft score -v -m base.model choices.jsonl 2>&1 >together | sed -n 's/.*, \([0-9]*\) computed.*/\1/p' >shared
    graft score -v -m base.model --micro-tokens 32 choices.jsonl 2>&1 >alone | sed -n 's/.*, \([0-9]*\) computed.*/\1/p' >whole
    same alone together
    [ "$(cat shared)" -lt $(($(cat whole) / 2)) ]
}

@test "an answer comes before the next question" {
    mkfifo questions
    graft score -q -m base.model <questions >answers &
    scorer=$!
    exec 7>questions
    for i in 1 2 3; do
        sed -n ${i}p pairs.jsonl >&7
        wait_alive $scorer bash -c "[ \$(wc -l <answers) -eq $i ]"
    done
    exec 7>&-
    wait $scorer
}

@test "what cannot be scored is refused" {
    status_is 3 graft score -m mask.model pairs.jsonl
    says 'score needs a causal model'
    one_line
    status_is 2 graft score -m base.model -f lines corpus.txt
    says 'fields of records'
    status_is 2 graft score -m base.model --length 65 pairs.jsonl
    says "--length 65 is more than the model's context of 64"
    printf '{"context": "a", "continuation": " b"}\n{"context": "a", "continuation": ""}\n' >empty.jsonl
    status_is 3 graft score -m base.model empty.jsonl -o out
    says 'record 2: the continuation has no tokens'
    one_line
    [ ! -e out ]
    printf '{"context": "  ", "continuation": "b"}\n' >blank.jsonl
    status_is 3 graft score -m base.model blank.jsonl
    says 'record 1: the context has no tokens'
    one_line
    printf '{"context": "a"}\n' >lacking.jsonl
    status_is 3 graft score -m base.model lacking.jsonl
    says continuation
    one_line
    status_is 0 graft score -m base.model /dev/null
    [ -z "$output" ]
    graft dump base.model | jq -c 'if .begin then .begin.meta |= del(.tokenizer) | .begin.tensors |= map(select(.name | startswith("tokenizer.") | not))
        elif .tensor and (.tensor | startswith("tokenizer.")) then empty else . end' | graft undump -q --edited -o bare.model
    status_is 3 graft score -m bare.model pairs.jsonl
    says 'the model has no tokenizer'
    one_line
    status_is 1 bash -c 'graft score -m base.model pairs.jsonl >/dev/full'
    cp pairs.jsonl p.jsonl
    status_is 2 graft score -m base.model p.jsonl -o p.jsonl
    says 'would overwrite'
}
