#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# labels.bats: labelled text: what tokenize makes of fields, and says of what is wrong with them; what other programs keep and
# show of labels; splits and samples by class.

load ../run/common

setup_file() {
    graft_make_fixtures
    graft learn-tokenizer -q --vocab 320 --special 'cls=[CLS]' --special 'sep=[SEP]' -f lines corpus.txt -o enc.tok
    graft init -q -t enc.tok --arch bert --layers 1 --width 16 --heads 2 --context 64 -o enc.model
    # 90 tickets of three topics, 60, 20 and 10 of them, from eighteen customers
    awk 'BEGIN {
        print "id,text,topic,who,score"
        for (i = 0; i < 90; i++) printf "%d,\"the lamp, number %d\",%s,c%d,%.2f\n", i, i,
            i % 9 < 6 ? "billing" : i % 9 < 8 ? "delivery" : "returns", i % 18 * 7 % 18, i / 7
    }' >tickets.csv
    graft tokenize -q -t enc.tok --label topic --group who --keep id tickets.csv -o tickets.tokens
}

setup() {
    graft_setup
    graft_link_fixtures
}

tok() { graft tokenize -t enc.tok "$@"; }
rows() { graft dump "$1" | jq -c 'select(.row) | .row'; }
# The labels of a stream's rows: of label $2, by name, sorted and counted.
classes() { graft dump "$1" | jq -rs --arg l "$2" '.[0].begin.meta.labels as $m | .[] | select(.row) | .row["label." + $l] as $c |
    if $c < 0 then "none" else ($m[] | select(.name == $l) | .classes[$c]) end' | sort | uniq -c | awk '{print $2 "=" $1}' | paste -sd' '; }
meta() { graft inspect --json "$1" | jq -c "$2"; }

@test "one label: classes in the order of their bytes, a number per row, in files and pipes that can be read twice" {
    printf 'text\tkind\na\tzoo\nb\tÄrzte\nc\tApe\nd\tzoo\n' >k.tsv
    tok --label kind k.tsv -o k.tokens
    [ "$(meta k.tokens .meta.labels)" = '[{"name":"kind","kind":"class","classes":["Ape","zoo","Ärzte"]}]' ]
    [ "$(rows k.tokens | jq '."label.kind"' | paste -sd,)" = 1,2,0,1 ]
    tok -f tsv --label kind <k.tsv | graft sum >stdin
    graft sum k.tokens | cut -d' ' -f1 >file
    [ "$(cut -d' ' -f1 stdin)" = "$(cat file)" ]
    status_is 2 bash -c 'cat k.tsv | graft tokenize -t enc.tok -f tsv --label kind -o x.tokens'
    says "the classes of label 'kind' stand before the rows, and a pipe cannot be read twice to find them: give --classes FILE"
    printf 'zoo\nApe\r\n\nÄrzte\n' >names
    tok -f tsv --label kind --classes names -o piped.tokens < <(cat k.tsv)
    [ "$(graft inspect --json k.tokens | jq -r .id)" = "$(graft inspect --json piped.tokens | jq -r .id)" ]
    [ "$(meta k.tokens .expect_rows)" = 4 ]
}

@test "JSON lines: strings, numbers as they are written, booleans; another name; a number for a number" {
    cat >j.jsonl <<'E'
{"text": "a", "n": 1.50, "b": true, "s": "x", "v": -2.5e-1}
{"text": "b", "n": 10, "b": false, "s": "y", "v": 3}
{"text": "c", "n": 10, "b": null, "s": "x", "v": "4"}
E
    tok -q --label 'n,truth=b,s:class,v:number' j.jsonl -o j.tokens
    [ "$(meta j.tokens '[.meta.labels[] | [.name, .kind, .classes]]')" = \
        '[["n","class",["1.50","10"]],["truth","class",["false","true"]],["s","class",["x","y"]],["v","number",null]]' ]
    [ "$(rows j.tokens | jq -c '[."label.n", ."label.truth", ."label.s", ."label.v"]' | paste -sd' ')" = \
        '[0,1,0,"-0x1p-2"] [1,0,1,"0x1.8p+1"] [1,-1,0,"0x1p+2"]' ]
}

@test "several labels in a row: a list of JSON, or a text with a separator" {
    printf '%s\n' '{"text": "a", "t": ["v", "u", "v"]}' '{"text": "b", "t": []}' '{"text": "c", "t": [7, "w, x"]}' >t.jsonl
    tok --label t:classes t.jsonl -o t.tokens
    [ "$(meta t.tokens '.meta.labels[0].classes')" = '["7","u","v","w, x"]' ]
    [ "$(rows t.tokens | jq -c '."label.t"' | paste -sd' ')" = '[1,2] [] [0,3]' ]
    printf 'text,t\na,"v; u ;v"\nb,\nc,w\n' >t.csv
    status_is 0 tok --label t:classes --label-separator ';' t.csv -o s.tokens
    says "label 't': 1 of 3 documents have none (first: 't.csv', line 3)"
    [ "$(rows s.tokens | jq -c '."label.t"' | paste -sd' ')" = '[0,1] [] [2]' ]
    status_is 3 tok --label t t.jsonl -o x.tokens
    says "'t.jsonl': line 1: label 't' is a list (NAME:classes, or NAME:tokens of words)"
    status_is 2 tok --label t --label-separator ';' t.csv
    says "--label-separator is for --label NAME:classes"
}

@test "pairs and conversations have labels, too, and every cut of a document has its own" {
    tok -q --no-header --text 2 --pair 3 --label s=5:number <(tail -n +2 tickets.csv) -f csv -o p.tokens
    [ "$(rows p.tokens | sed -n 8p | jq -c '[."label.s", .types[-1]]')" = '["0x1p+0",1]' ]
    graft tokenize -q -t bpe.tok --length 4 --label topic tickets.csv -o cuts.tokens
    [ "$(rows cuts.tokens | jq -s '[group_by(.doc)[] | [.[] | ."label.topic"] | unique | length] | max')" = 1 ]
    graft learn-tokenizer -q --special 'bos=<s>' --special 'eos=</s>' --vocab 320 -f lines corpus.txt -o chat.tok
    printf '%s\n' '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "mood": "good"}' \
        '{"messages": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}], "mood": "bad"}' >talk.jsonl
    graft tokenize -q -t chat.tok --chat --chat-template zephyr --label mood talk.jsonl -o talk.tokens
    [ "$(rows talk.tokens | jq -c '."label.mood"' | paste -sd,)" = 1,0 ]
    [ "$(rows talk.tokens | jq '.loss | add > 0' | paste -sd,)" = true,true ]
    printf '[{"role": "user", "content": "a"}]\n' >bare.jsonl
    status_is 3 graft tokenize -t chat.tok --chat --chat-template zephyr --label mood --classes <(echo x) bare.jsonl -o x.tokens
    says "line 1: a bare list has no fields"
}

@test "prompts and completions: one text, of which the completion and the end are scored" {
    printf 'q,a,topic\nWho?,Bob,x\nNothing?,,y\n' >p.csv
    status_is 0 graft tokenize -t bpe.tok --prompt q --completion a --between ' ' --label topic p.csv -o p.tokens
    says "1 of 2 documents have an empty text and are left out (first: 'p.csv', line 3)"
    graft tokenize -q -t bpe.tok -f lines -o whole.tokens < <(echo 'Who? Bob')
    [ "$(rows p.tokens | jq -c .ids)" = "$(rows whole.tokens | jq -c .ids)" ]
    # what is scored stands for the completion
    [ "$(rows p.tokens | jq -c '[.skip, .bytes, .loss[0], .loss[-1], ."label.topic"]')" = '[1,3,0,1,0]' ]
    for n in 2 3 5; do
        graft tokenize -q -t bpe.tok --prompt q --completion a --between ' ' --length $n p.csv -o cut.tokens
        # the ids and the loss of what is not context are those of the whole
        [ "$(rows cut.tokens | jq -s -c '[.[].ids[1:][]], [.[].loss[1:][]], ([.[].bytes] | add)')" = \
            "$(rows p.tokens | jq -c '.ids[1:], .loss[1:], .bytes')" ]
    done
    status_is 2 tok --prompt q --completion a p.csv
    says "--completion: this is the tokenizer of an encoder"
    status_is 2 graft tokenize -t bpe.tok --prompt q p.csv
    says "--prompt and --completion go together"
    status_is 2 graft tokenize -t bpe.tok --prompt q --completion a --text q p.csv
    says "--text is not for --prompt and --completion"
    status_is 2 graft tokenize -t bpe.tok --between x p.csv
    says "--between is for --prompt and --completion"
    status_is 2 graft tokenize -t bpe.tok --prompt q --completion q p.csv -o x.tokens
    says "--completion 'q': that is the prompt itself"
}

@test "conll: the class of a word on its first piece, and nowhere else" {
    printf -- '-DOCSTART- -X- O\n\nThe DT O\nlamp NN B-THING\nfollows VBZ O\n\n\nRiver NN B-PLACE\n' >c.conll
    tok --label ner,pos=2 c.conll -o c.tokens
    [ "$(meta c.tokens '[.meta.labels[] | [.name, .kind, .classes]]')" = \
        '[["ner","tokens",["B-PLACE","B-THING","O"]],["pos","tokens",["DT","NN","VBZ"]]]' ]
    rows c.tokens >r
    [ "$(jq -c '[."label.ner"[] | select(. >= 0)]' r | paste -sd' ')" = '[2,1,2] [0]' ]
    [ "$(jq -c '[."label.pos"[] | select(. >= 0)]' r | paste -sd' ')" = '[0,1,2] [1]' ]
    jq -e '(.ids | length) == (."label.ner" | length) and ."label.ner"[0] == -1 and ."label.ner"[-1] == -1 and ."label.ner"[1] >= 0' r >/dev/null
    graft detokenize -t enc.tok c.tokens >back
    printf 'The lamp followsRiver' >want
    same back want
    for n in 3 4 7; do # cuts, of a causal tokenizer: each word is labelled once
        graft tokenize -q -t bpe.tok --length $n --label ner c.conll -o cut.tokens
        [ "$(rows cut.tokens | jq -s -c '[.[]."label.ner"[] | select(. >= 0)]')" = '[2,1,2,0]' ]
    done
    printf '%s\n' '{"w": ["The", "lamp"], "ner": ["O", "B-THING"], "topic": "x"}' '{"w": ["River"], "ner": ["B-PLACE"], "topic": "y"}' >w.jsonl
    tok --text w --label ner:tokens,topic w.jsonl -o w.tokens
    [ "$(rows w.tokens | jq -c '[[."label.ner"[] | select(. >= 0)], ."label.topic"]' | paste -sd' ')" = '[[2,1],0] [[0],1]' ]
}

@test "conll: tabs, comments, ranges and empty nodes of CoNLL-U; what does not fit is named with its line" {
    printf '# sent_id = 1\n# text = vamonos al mar\n1-2\tvamonos\t_\t_\t_\t_\t_\t_\t_\t_\n1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_\n2\tnos\tnos\tPRON\t_\t_\t1\tobj\t_\t_\n2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n\n' >u.conllu
    tok --text 2 --label upos=4 u.conllu -o u.tokens
    [ "$(meta u.tokens '.meta.labels[0].classes')" = '["PRON","VERB"]' ]
    [ "$(graft detokenize -t enc.tok u.tokens)" = 'vamos nos' ]
    printf 'a B\nb C c\n' >bad.conll
    status_is 3 tok --label x bad.conll -o x.tokens
    says "'bad.conll': line 2: 3 columns, but 2 in line 1"
    status_is 3 tok --label x=7 u.conllu --text 12 -o x.tokens
    says "line 4: there are 10 columns, not 12"
    status_is 2 tok --label x=y bad.conll -o x.tokens
    says "'y' is not the number of a column (-f conll has no names)"
    status_is 2 tok --label x:number bad.conll -o x.tokens
    says "of -f conll labels are those of words"
    printf 'a B\n' >good.conll
    status_is 2 tok --label x --keep all good.conll -o x.tokens
    says "-f conll has one text and no other fields (--keep)"
    printf '%s\n' '{"w": ["a", "b"], "t": ["x"]}' >short.jsonl
    status_is 3 tok --text w --label t:tokens short.jsonl -o x.tokens
    says "'short.jsonl': line 1: label 't' has 1 items for 2 words"
    status_is 2 tok --label topic:tokens tickets.csv -o x.tokens
    says "labels of words are for -f conll, and for lists of words in -f jsonl"
    printf '{"text": "a b", "t": ["x", "y"]}\n' >string.jsonl
    status_is 3 tok --label t:tokens string.jsonl -o x.tokens
    says "line 1: field 'text' is not a list of words"
}

@test "empty texts, missing labels and unknown classes: counted with the first line, or strictly errors" {
    printf 'text,topic\na,x\n,x\nb,\nc,z\n" ",y\nd,z\n' >e.csv
    printf 'x\ny\n' >names
    status_is 0 tok --label topic --classes names e.csv -o e.tokens
    says "2 of 6 documents have an empty text and are left out (first: 'e.csv', line 3)"
    says "label 'topic': 1 of 6 documents have none (first: 'e.csv', line 4)"
    says "label 'topic': 2 of 6 documents have a class that is not among the known ones (first: 'z' in 'e.csv', line 5)"
    [ "$(rows e.tokens | jq '."label.topic"' | paste -sd,)" = 0,-1,-1,-1 ]
    status_is 3 tok --label topic --classes names --labels-strict e.csv -o x.tokens
    says "'e.csv': line 3: the text is empty"
    one_line
    printf 'text,topic\na,x\nb,\n' >m.csv
    status_is 3 tok --label topic --labels-strict m.csv -o x.tokens
    says "'m.csv': line 3: label 'topic' is missing"
    printf 'text,topic\na,x\nb,zebra\n' >u.csv
    status_is 3 tok --label topic --classes names --labels-strict u.csv -o x.tokens
    says "'u.csv': line 3: label 'topic' has a class that is not known: 'zebra'"
    printf '{"text": "a"}\n{"text": "b"}\n' >none.jsonl
    status_is 3 tok --label topic none.jsonl -o x.tokens
    says "label 'topic': no document has it (the first without: 'none.jsonl', line 1)"
    status_is 3 tok --label nothing tickets.csv -o x.tokens
    says "the header has no column 'nothing' (there are: id, text, topic, who, score)"
    [ ! -e x.tokens ]
}

@test "numbers: a column that looks continuous, one class only, what is no number, a million classes" {
    status_is 0 tok --label score tickets.csv -o s.tokens
    says "label 'score' looks like a number: 90 different ones in 90 documents (--label score:number)"
    awk 'BEGIN { print "text,v"; for (i = 0; i < 200; i++) printf "t%d,%.1f\n", i, i % 30 / 10 }' >f.csv
    status_is 0 tok --label v f.csv -o s.tokens
    says "label 'v' looks like a number: 30 different ones in 200 documents"
    awk 'BEGIN { print "text,v"; for (i = 0; i < 200; i++) printf "t%d,%d\n", i, i % 5 }' >stars.csv
    status_is 0 tok --label v stars.csv -o s.tokens
    [ -z "$stderr" ]
    status_is 0 tok --label id=text tickets.csv --text who -o s.tokens
    says "label 'id' has 90 classes in 90 documents: is it an id?"
    printf 'text,v\na,one\nb,one\n' >single.csv
    status_is 0 tok --label v single.csv -o s.tokens
    says "label 'v' has one class only, 'one': there is nothing to tell apart"
    for n in five 1e999 nan 0x10 '1 2'; do
        printf 'text,v\na,1\nb,%s\n' "$n" >bad.csv
        status_is 3 tok --label v:number bad.csv -o x.tokens
        says "'bad.csv': line 3: label 'v' is no number: '$n'"
    done
    awk 'BEGIN { print "text,v"; for (i = 0; i < 200000; i++) printf "a,class number %d\n", i }' >million.csv
    status_is 3 tok --label v million.csv -o x.tokens
    says "label 'v' has"
    says "classes up to here, more than a stream has room for (is it a number, --label v:number, or an id?)"
    cut -d, -f2 million.csv >names
    status_is 3 tok --label v --classes names single.csv -o x.tokens
    says "label 'v' has 200001 classes: their names take more than the 983040 bytes that a stream has for them"
    [ ! -e x.tokens ]
}

@test "what --label and --classes cannot mean" {
    while IFS='|' read -r options text; do
        # shellcheck disable=SC2086 # several options
        status_is 2 tok $options tickets.csv -o x.tokens
        says "$text"
    done <<'E'
--label topic:klass|--label 'topic:klass': 'klass' is not class, classes, number or tokens
--label topic,,who|an empty name
--label topic=|an empty name
--label topic,topic|--label: the label 'topic' stands twice
--classes names|--classes is for --label
--label score:number --classes names|no label of --label has classes
--label topic,who --classes names|of several labels say which: NAME=FILE
--label topic --pair who --label-separator x|--label-separator is for --label NAME:classes
--label topic:tokens --pair who|labels of words are not for --pair
E
    status_is 2 graft tokenize -t bpe.tok --label topic corpus.txt -o x.tokens
    says "labels are for records (-f jsonl|csv|tsv|conll)"
    : >empty
    status_is 3 tok --label topic --classes empty tickets.csv -o x.tokens
    says "'empty': there are no names of classes"
    printf 'a\nb\na\n' >twice
    status_is 3 tok --label topic --classes twice tickets.csv -o x.tokens
    says "'twice': label 'topic': the class 'a' stands twice"
    printf 'billing\ndelivery\nreturns\n' >topic.names
    tok -q --label topic,who --classes topic=topic.names tickets.csv -o two.tokens
    [ "$(meta two.tokens '[.meta.labels[].classes | length]')" = '[3,18]' ]
}

@test "inspect shows labels, dump and undump carry them, cat joins them or names the class that differs" {
    graft inspect tickets.tokens | grep -q 'name: topic, kind: class, classes: \[billing, delivery, returns\]'
    graft dump tickets.tokens | graft undump -o again.tokens
    [ "$(graft inspect --json tickets.tokens | jq -r .id)" = "$(graft inspect --json again.tokens | jq -r .id)" ]
    graft cat tickets.tokens again.tokens -o both.tokens
    [ "$(classes both.tokens topic)" = 'billing=120 delivery=40 returns=20' ]
    sed 's/returns/lost/' tickets.csv >other.csv
    tok -q --label topic --group who --keep id other.csv -o other.tokens
    status_is 3 graft cat tickets.tokens other.tokens -o x.tokens
    says "label 'topic': the class 'returns' stands in 'tickets.tokens', not in 'other.tokens' (tokenize both with the same --classes)"
    status_is 3 graft shuffle --seed 1 other.tokens tickets.tokens -o x.tokens
    says "label 'topic': the class 'lost' stands in 'other.tokens', not in 'tickets.tokens'"
    graft dump tickets.tokens | sed '1s/"kind":"class"/"kind":"classes"/' >wrong.jsonl
    graft undump --edited wrong.jsonl -o wrong.tokens
    status_is 3 graft shard --split train=0.5,test=0.5 -o x wrong.tokens
    says "column 'label.topic' is not as 'labels' has it"
}

@test "features and logits keep the labels of their rows" {
    graft extract-features -q -m enc.model tickets.tokens -o t.features
    [ "$(meta t.features .meta.labels)" = "$(meta tickets.tokens .meta.labels)" ]
    [ "$(classes t.features topic)" = 'billing=60 delivery=20 returns=10' ]
    graft tokenize -q -t bpe.tok --label topic,score:number tickets.csv -o causal.tokens
    graft logits -q -m base.model --top 2 causal.tokens -o t.logits
    [ "$(meta t.logits .meta.labels)" = "$(meta causal.tokens .meta.labels)" ]
    printf 'The O\nlamp X\n' >c.conll
    tok -q --label ner c.conll -o c.tokens
    graft extract-features -q -m enc.model c.tokens -o c.features # a vector per text has no labels of words
    [ "$(meta c.features '[.meta.labels, ([.columns[].name] | index("label.ner"))]')" = '[null,null]' ]
}

@test "shard: a stratified split divides each class, whole and without loss" {
    graft shard -q --split train=0.8,val=0.1,test=0.1 --stratify topic -o s tickets.tokens
    [ "$(graft cat s/train.tokens s/val.tokens s/test.tokens | graft sum | cut -d' ' -f1)" = "$(graft sum tickets.tokens | cut -d' ' -f1)" ]
    rows s/train.tokens | jq -c .group | sort -u >a
    rows s/test.tokens | jq -c .group | sort -u >b
    [ -z "$(comm -12 a b)" ] # no customer in both
    tok -q --label topic tickets.csv -o alone.tokens
    for seed in 1 2 3; do
        graft shard -q --split train=0.8,val=0.1,test=0.1 --stratify topic --seed $seed -o s$seed alone.tokens
        [ "$(classes s$seed/train.tokens topic)" = 'billing=48 delivery=16 returns=8' ]
        [ "$(classes s$seed/val.tokens topic)" = 'billing=6 delivery=2 returns=1' ]
    done
    status_is 1 cmp -s s1/val.tokens s2/val.tokens
    # the order of the input changes which rows stand where, not on which side a document is
    graft shuffle -q --seed 5 alone.tokens | graft shard -q --split train=0.8,val=0.1,test=0.1 --stratify topic --seed 1 -o t
    [ "$(graft sum t/val.tokens | cut -d' ' -f1)" = "$(graft sum s1/val.tokens | cut -d' ' -f1)" ]
    # all cuts of a document are on one side
    graft tokenize -q -t bpe.tok --length 4 --label topic tickets.csv -o cuts.tokens
    graft shard -q --split train=0.7,test=0.3 --stratify topic --memory 1Mi -o c cuts.tokens
    rows c/train.tokens | jq -c .doc | sort -u >a
    rows c/test.tokens | jq -c .doc | sort -u >b
    [ -z "$(comm -12 a b)" ] && [ "$(cat a b | wc -l)" = 90 ]
    status_is 2 graft shard --split a=0.5,b=0.5 --stratify who -o x tickets.tokens
    says "has no label 'who' (there are: topic)"
    status_is 2 graft shard --parts 2 --stratify topic -o x tickets.tokens
    says "--stratify is for --split"
    tok -q --label score:number tickets.csv -o n.tokens
    status_is 2 graft shard --split a=0.5,b=0.5 --stratify score -o x n.tokens
    says "a label of kind number does not divide documents"
    [ ! -e x ]
}

@test "shard: over many small classes the parts have their sizes" {
    awk 'BEGIN { print "text,c"; for (i = 0; i < 300; i++) printf "t%d,c%d\nu%d,c%d\n", i, i, i, i }' >small.csv
    tok -q --label c small.csv -o small.tokens
    graft shard -q --split train=0.8,test=0.2 --stratify c -o s small.tokens # two of each: train has one or both
    [ "$(classes s/train.tokens c | wc -w)" = 300 ]
    n=$(graft inspect --json s/test.tokens | jq .rows)
    [ "$n" -ge 90 ] && [ "$n" -le 150 ]
}

@test "shard: a class without training examples is an error, and no part appears" {
    printf 'text,topic\n' >r.csv
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf 'text %d,%s\n' $i $((i > 10 ? i : i % 2)) >>r.csv; done
    tok -q --label topic r.csv -o r.tokens
    status_is 3 graft shard --split train=0.2,test=0.8 -o s r.tokens
    says "has no example in 'train', and "
    says "elsewhere"
    says "(--stratify topic divides each class, --allow-untrained lets it be)"
    [ ! -e s ]
    graft shard -q --split train=0.2,test=0.8 --allow-untrained -o s r.tokens
    [ -e s/train.tokens ]
    status_is 0 graft shard --split a=0.2,b=0.8 -o t r.tokens # a part of another name need not be one to train on
    says "has no example in 'a', and "
    status_is 2 graft shard --count 5 --allow-untrained -o x r.tokens
    says "--allow-untrained is for --split"
    # a class that no row has is not the split's doing
    printf '0\n1\n11\n12\nnever\n' >names
    tok -q --label topic --classes names r.csv | graft shard -q --split train=1 -o u
}

@test "shard: documents that a split holds twice are counted, and those on both sides, and those with two labels" {
    awk 'BEGIN { print "text,topic,who"; for (i = 0; i < 60; i++) printf "text %d,%s,c%d\n", i % 50, i == 55 ? "odd" : "x", i }' >d.csv
    tok -q --label topic d.csv -o d.tokens
    status_is 0 graft shard --split train=0.5,test=0.5 --allow-untrained -o s d.tokens
    says "10 of 50 documents are there twice or more"
    says "1 of 50 documents are there twice, with different labels"
    [[ $stderr != *"two parts"* ]]
    tok -q --label topic --group who d.csv -o g.tokens
    status_is 0 graft shard --split train=0.5,test=0.5 --allow-untrained -o s g.tokens
    says "of 50 documents are in two parts: the same text is in two groups"
    # of text without labels it is said under -v
    head -n 20 corpus.txt >twice.txt
    cat twice.txt twice.txt | graft tokenize -q -t bpe.tok -f lines -o t.tokens
    status_is 0 graft shard --split train=0.5,test=0.5 -o v t.tokens
    [ -z "$stderr" ]
    status_is 0 graft shard -v --split train=0.5,test=0.5 -o v t.tokens
    says "documents are there twice or more"
}

@test "sample --per-class: so many documents of each class, the same ones whatever stands beside them" {
    graft sample --per-class 5 --seed 3 tickets.tokens -o five.tokens
    [ "$(classes five.tokens topic)" = 'billing=5 delivery=5 returns=5' ]
    [ "$(meta five.tokens .expect_rows)" = 15 ]
    graft sample --per-class 2 --seed 3 five.tokens | graft sum | cut -d' ' -f1 >a
    graft sample --per-class 2 --seed 3 tickets.tokens | graft sum | cut -d' ' -f1 >b
    graft shuffle -q --seed 9 tickets.tokens | graft sample --per-class 2 --seed 3 | graft sum | cut -d' ' -f1 >c
    graft cat tickets.tokens tickets.tokens | graft sample --per-class 2 --seed 3 | graft sum | cut -d' ' -f1 >d # the first of two
    same a b
    same a c
    same a d
    graft sample --per-class 2 --seed 4 tickets.tokens | graft sum | cut -d' ' -f1 >e
    status_is 1 cmp -s a e
    # features of the sample are the sample of the features
    graft extract-features -q -m enc.model five.tokens -o x.features
    graft extract-features -q -m enc.model tickets.tokens | graft sample --per-class 5 --seed 3 -o y.features
    [ "$(graft sum x.features | cut -d' ' -f1)" = "$(graft sum y.features | cut -d' ' -f1)" ]
    status_is 0 graft sample --per-class 15 tickets.tokens -o few.tokens
    says "label 'topic': 1 of 3 classes have fewer than 15 documents (the first: 'returns' has 10)"
    [ "$(classes few.tokens topic)" = 'billing=15 delivery=15 returns=10' ]
    # all cuts of what is taken
    graft tokenize -q -t bpe.tok --length 4 --label topic tickets.csv -o cuts.tokens
    graft sample --per-class 3 --memory 1Mi cuts.tokens -o c.tokens
    [ "$(rows c.tokens | jq -s '[group_by(.doc)[] | map(.part) | sort == [range(length)]] | [length, all]' -c)" = '[9,true]' ]
    rows c.tokens | jq -c .doc | sort -u >docs
    [ "$(rows cuts.tokens | jq -c .doc | grep -c -F -f docs)" = "$(rows c.tokens | wc -l)" ]
}

@test "sample --per-class: several labels, rows without one, what it cannot mean" {
    printf '%s\n' '{"text": "a", "t": ["u", "v"]}' '{"text": "b", "t": ["u"]}' '{"text": "c", "t": []}' '{"text": "d", "t": ["v"]}' >t.jsonl
    tok -q --label t:classes t.jsonl -o t.tokens
    graft sample -q --per-class 9 t.tokens -o all.tokens
    [ "$(rows all.tokens | jq -c '."label.t"' | paste -sd' ')" = '[0,1] [0] [1]' ]
    graft sample -q --per-class 0 t.tokens -o none.tokens
    [ "$(graft inspect --json none.tokens | jq .rows)" = 0 ]
    tok -q --label topic,who tickets.csv -o two.tokens
    status_is 2 graft sample --per-class 1 two.tokens -o x.tokens
    says "'two.tokens' has several labels, say which: --task topic, who"
    graft sample --per-class 1 --task who two.tokens -o x.tokens
    [ "$(classes x.tokens who | wc -w)" = 18 ]
    status_is 2 graft sample --per-class 1 -n 3 two.tokens
    says 'one of -n N, --fraction F and --per-class N'
    status_is 2 graft sample --task who -n 3 two.tokens
    says '--task is for --per-class'
    status_is 3 graft sample --per-class 1 corpus.tokens -o y.tokens
    says "'corpus.tokens' has no labels (graft tokenize --label makes them)"
    [ ! -e y.tokens ]
}

@test "published sets: counts of rows and classes, dups and splits" {
    local d=${GRAFT_DATA:-}/labelled
    [ -n "${GRAFT_DATA:-}" ] && [ -d "$d" ] || skip "GRAFT_DATA has no labelled sets"
    tok -q --label category "$d/banking77/train.csv" -o b.tokens
    [ "$(meta b.tokens '[.rows, (.meta.labels[0].classes | length)]')" = '[10003,77]' ]
    tok -q --label category "$d/banking77/test.csv" | graft cat b.tokens - | graft inspect --json | jq -e '.rows == 13083' >/dev/null
    tok -q --no-header --text 2 --label 1 "$d/sms_spam/sms.tsv" -o s.tokens
    [ "$(classes s.tokens 1)" = 'ham=4827 spam=747' ]
    status_is 0 graft shard --split train=0.8,test=0.2 --stratify 1 -o sms s.tokens
    says "documents are there twice or more"
    tok -q --no-header --text 4 --label ok=2 "$d/cola/in_domain_train.tsv" -o c.tokens
    [ "$(meta c.tokens '[.rows, .meta.labels[0].classes]')" = '[8551,["0","1"]]' ]
    tok -q --no-header --text 1 --pair 2 --label score=3:number "$d/stsb/train.csv" -o p.tokens
    [ "$(meta p.tokens .rows)" = 5749 ]
    status_is 0 tok --no-header --text 1 --pair 2 --label score=3 "$d/stsb/train.csv" -o q.tokens
    says "label 'score' looks like a number"
    tok -q --no-header --text 3 --label 1 "$d/ag_news/test.csv" -o a.tokens
    [ "$(classes a.tokens 1)" = '1=1900 2=1900 3=1900 4=1900' ]
    sed 's/ /\t/' "$d/trec6/train.txt" >trec.tsv
    tok -q --invalid replace --no-header --text 2 --label 1 trec.tsv -o t.tokens
    [ "$(classes t.tokens 1)" = '0=1162 1=1250 2=86 3=1223 4=835 5=896' ]
}
