#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pretrain.bats: what pretrain refuses and how, signals, checkpoints that do not belong, logs, validation.

load ../run/common

setup_file() {
    export ROOT=${BATS_TEST_DIRNAME%/tests/*}
    export PATH=${BUILD:-$ROOT/build}/bin:$PATH LC_ALL=C.UTF-8
    cd "$BATS_FILE_TMPDIR" || return 1
    for i in $(seq 200); do echo "line $i of a text that says what number $((i * i % 97)) is"; done >corpus.txt
    graft learn-tokenizer -q --vocab 290 -f lines corpus.txt -o t.tok
    graft learn-tokenizer -q --vocab 280 -f lines corpus.txt -o other.tok
    head -n 150 corpus.txt | graft tokenize -q -t t.tok -f lines --length 32 -o train.tokens
    tail -n 50 corpus.txt | graft tokenize -q -t t.tok -f lines --length 32 -o val.tokens
    graft init -q -t t.tok --arch llama --layers 1 --width 16 --heads 2 --context 32 -o init.model
}

setup() {
    graft_setup
    DATA=$BATS_FILE_TMPDIR
    cp "$DATA"/*.tok "$DATA"/*.tokens "$DATA"/*.model .
    FAST=(-m init.model --batch-tokens 256 --warmup 1)
}

nothing_left() { # no output, no temporary, no lock
    [ ! -e out.model ]
    [ -z "$(find . -name '.graft*' -o -name '*.lock')" ]
}

@test "another tokenizer, another kind, no model" {
    graft tokenize -q -t other.tok -f lines "$DATA/corpus.txt" -o other.tokens
    status_is 3 graft pretrain "${FAST[@]}" other.tokens -o out.model
    one_line
    says "'other.tokens' was made with the tokenizer"
    says "the model 'init.model'"
    status_is 3 graft pretrain "${FAST[@]}" t.tok -o out.model
    one_line
    says tokenizer
    status_is 3 graft pretrain -m train.tokens train.tokens -o out.model
    status_is 1 graft pretrain -m nowhere.model train.tokens -o out.model
    status_is 2 graft pretrain train.tokens -o out.model
    says --model
    nothing_left
}

@test "a row longer than the context: the row, and what cuts it" {
    head -n 20 "$DATA/corpus.txt" | tr '\n' ' ' | graft tokenize -q -t t.tok -f lines -o long.tokens
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 long.tokens -o out.model
    one_line
    says 'row 0 has'
    says "graft tokenize --length 32"
    # after steps that were good
    graft cat train.tokens long.tokens 2>/dev/null | cat >both.tokens || true
    status_is 3 graft pretrain "${FAST[@]}" --steps 99 train.tokens long.tokens -o out.model
    nothing_left
}

@test "an id out of range: row, place, id" {
    graft dump train.tokens | jq -c 'if .row and .row.doc == $doc then .row.ids[3] = 290 else . end' \
        --arg doc "$(graft dump train.tokens | jq -r 'select(.row).row.doc' | sed -n 3p)" | graft undump --edited -o bad.tokens
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 bad.tokens -o out.model
    one_line
    says 'row 2'
    says 290
    nothing_left
}

@test "no rows, and rows with nothing to predict" {
    graft head -n 0 train.tokens -o none.tokens
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 none.tokens -o out.model
    one_line
    says 'no rows'
    status_is 3 graft pretrain -q -m init.model none.tokens -o out.model # no --steps: the schedule's end is counted
    one_line
    says "'none.tokens': no rows"
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 -o out.model </dev/null
    one_line
    nothing_left
}

@test "documents of a single token are trained on as any" {
    for i in a b c d e f; do echo $i; done | graft tokenize -q -t t.tok -f lines -o one.tokens
    status_is 0 graft pretrain "${FAST[@]}" --batch-tokens 4 one.tokens -o out.model --log log
    [ "$(wc -l <log)" -ge 3 ]
    # cut so short that each row has one token of its own
    head -n 3 "$DATA/corpus.txt" | graft tokenize -q -t t.tok -f lines --length 2 -o two.tokens
    status_is 0 graft pretrain "${FAST[@]}" two.tokens -o out.model
}

@test "a producer that dies: status 3, no model, the state is kept and good" {
    size=$(stat -c %s train.tokens)
    graft pretrain -q "${FAST[@]}" --steps 8 train.tokens -o whole.model
    head -c $((size - 40)) train.tokens >cut.tokens
    # from a pipe, where the rows before the cut are seen first
    status_is 3 bash -c "cat cut.tokens | graft pretrain ${FAST[*]} --steps 80 --checkpoint run.ck -o out.model"
    says "standard input"
    nothing_left
    status_is 3 graft pretrain "${FAST[@]}" --steps 8 cut.tokens -o out.model
    nothing_left
}

@test "a full disk, a closed output, a terminal" {
    status_is 1 bash -c "graft pretrain ${FAST[*]} train.tokens >/dev/full"
    says 'standard output'
    status_is 1 bash -c "graft pretrain ${FAST[*]} train.tokens >&-"
    status_is 1 graft pretrain "${FAST[@]}" train.tokens -o no/such/folder/out.model
    says 'no/such/folder'
    status_is 1 graft pretrain "${FAST[@]}" train.tokens --log no/such/log -o out.model
    nothing_left
}

@test "a schedule that goes down needs to know where to" {
    blind() { head -n 150 "$DATA/corpus.txt" | graft tokenize -q -t t.tok -f lines --length 32 | cat; }
    status_is 2 bash -c "$(declare -f blind); blind | graft pretrain ${FAST[*]} -o out.model"
    says '--steps'
    blind | graft pretrain -q "${FAST[@]}" --schedule constant -o a.model
    blind | graft pretrain -q "${FAST[@]}" --steps 3 -o b.model
    # what a file expects is the horizon, and is recorded
    tokens=$(graft pretrain -q "${FAST[@]}" --log log train.tokens -o c.model && tail -n 1 log | jq .tokens)
    graft lineage --json c.model | jq -e -s --argjson n "$(((tokens + 255) / 256))" \
        'last.options.horizon == ($n | tostring)'
    tail -n 1 log | jq -e '.rate <= 0.000101'
}

@test "a tenth of the steps are warm-up, where their number is known, also of a constant schedule" {
    train=(graft pretrain -q -m init.model --batch-tokens 64 --lr 0.001 --log log -o a.model)
    rates() { jq -s -c 'map(.rate * 1e6 | round) | [.[0:3], .[-1]]' log; }
    recorded() { graft lineage --json a.model | jq -s -r 'last.options | "\(.warmup) \(.horizon)"'; }
    "${train[@]}" --schedule constant --steps 20 train.tokens
    [ "$(rates)" = '[[500,1000,1000],1000]' ]
    [ "$(recorded)" = '2 20' ]
    "${train[@]}" --steps 20 train.tokens
    [ "$(jq -s -c 'map(.rate * 1e6 | round)[0:2]' log)" = '[500,1000]' ]
    "${train[@]}" --schedule constant --steps 20 --warmup 4 train.tokens
    [ "$(rates)" = '[[250,500,750],1000]' ]
    # of a pipe that does not say how long it is
    head -n 20 "$DATA/corpus.txt" | graft tokenize -q -t t.tok -f lines --length 32 | cat | "${train[@]}" --schedule constant
    [ "$(recorded)" = '100 0' ]
}

@test "a batch has a row at least: the schedule ends with the rows also where rows are longer than a batch" {
    quick() { graft pretrain -m init.model --warmup 1 --log log "$@" train.tokens -o a.model 2>stderr; }
    rows=$(graft inspect --json train.tokens | jq .rows)
    quick --batch-tokens 1
    [ ! -s stderr ]
    tail -n 1 log | jq -e --argjson n "$rows" '.step == $n and .rate <= 0.000101'
    graft shuffle train.tokens | graft pretrain -q -m init.model --warmup 1 --batch-tokens 1 -o b.model # a pipe that says what comes
    [ "$(graft lineage --json b.model | jq -s -r 'last.options.horizon')" = "$rows" ]
    # where batches hold one row or two, it is said at the start that the end is a guess
    quick --batch-tokens 40
    [ "$(wc -l <stderr)" -eq 1 ]
    grep -q "a batch of at most 40 tokens holds few rows of up to 32: .* the rows may last to step $rows: " stderr
    tail -n 1 log | jq -e --argjson n "$rows" '.step <= $n'
    quick --batch-tokens 40 --horizon 150
    [ "$(grep -c 'few rows' stderr)" -eq 0 ]
}

@test "options that would do nothing are refused" {
    for o in '--val-every 3' --keep-best '--patience 2' '--val-rows 3' '--checkpoint-every 2' '--checkpoint-minutes 2' \
        '--decay-part 0.3' '--schedule constant --lr-min 0.2' --mask-exact --mask-whole-words '--mask-fraction 0.3' '--objective masked' \
        '--snapshots 0:x' '--snapshots x'; do
        # shellcheck disable=SC2086 # several words
        status_is 2 graft pretrain "${FAST[@]}" $o --steps 2 train.tokens -o out.model
        says '--'
        nothing_left
    done
    status_is 2 graft pretrain "${FAST[@]}" --no-drain train.tokens -o out.model
    says '--no-drain needs'
}

@test "a checkpoint or log over a file of the run is refused" {
    ln -s init.model link.ck
    ln -s out.model dangling.ck
    for o in '--checkpoint out.model' '--checkpoint init.model' '--log train.tokens' '--log val.tokens' '--checkpoint run.ck --log run.ck' \
        '--checkpoint ./out.model' "--checkpoint $PWD/out.model" '--checkpoint link.ck' '--checkpoint dangling.ck' '--log ./train.tokens' \
        '--checkpoint run.ck --log ./run.ck'; do
        # shellcheck disable=SC2086 # several words
        status_is 2 graft pretrain "${FAST[@]}" $o --val val.tokens --steps 2 train.tokens -o out.model
        says 'would overwrite'
        nothing_left
    done
    graft verify -q train.tokens init.model
    rm dangling.ck
    status_is 0 graft pretrain "${FAST[@]}" --steps 2 train.tokens --log /dev/null -o /dev/null
}

@test "a checkpoint of another run is refused, and the difference named" {
    ck() { graft pretrain "${FAST[@]}" --steps 6 --stop-after 3 --checkpoint run.ck "$@" -o out.model; }
    ck train.tokens
    rm out.model
    status_is 2 graft pretrain "${FAST[@]}" --steps 6 --lr 0.5 --checkpoint run.ck train.tokens -o out.model
    says "'run.ck': was made with --lr 0.001, not 0.5"
    status_is 2 graft pretrain "${FAST[@]}" --steps 7 --checkpoint run.ck train.tokens -o out.model
    says '--steps 6, not 7'
    status_is 2 graft pretrain "${FAST[@]}" --steps 6 --stop-after 2 --checkpoint run.ck train.tokens -o out.model
    says 'past --stop-after 2'
    # what was given is named, not the warm-up that follows from it
    status_is 0 graft pretrain -q -m init.model --steps 60 --stop-after 1 --checkpoint w.ck train.tokens -o /dev/null
    status_is 2 graft pretrain -q -m init.model --steps 20 --checkpoint w.ck train.tokens -o out.model
    says '--steps 60, not 20'
    # other rows
    graft shuffle -q --seed 1 train.tokens -o mixed.tokens
    status_is 3 graft pretrain "${FAST[@]}" --steps 6 --checkpoint run.ck mixed.tokens -o out.model
    one_line
    says 'not those the checkpoint has used'
    graft head -n 2 train.tokens -o two.tokens
    status_is 3 graft pretrain "${FAST[@]}" --steps 6 --checkpoint run.ck two.tokens -o out.model
    says 'ends after row 2'
    # another model, another validation stream
    graft init -q -t t.tok --arch llama --layers 1 --width 16 --heads 2 --context 32 --seed 9 -o nine.model
    status_is 3 graft pretrain "${FAST[@]}" -m nine.model --steps 6 --checkpoint run.ck train.tokens -o out.model
    says 'another model'
    status_is 3 graft pretrain "${FAST[@]}" --val val.tokens --steps 6 --checkpoint run.ck train.tokens -o out.model
    says 'another validation stream'
    # another version of graft
    graft dump run.ck | sed '1s/"version":"[^"]*"/"version":"0.0.7"/' | graft undump --edited -o old.ck
    status_is 2 graft pretrain "${FAST[@]}" --steps 6 --checkpoint old.ck train.tokens -o out.model
    says "'old.ck': was made with version '0.0.7', not '"
    graft dump run.ck | sed '1s/"version":"[^"]*",//' | graft undump --edited -o older.ck
    status_is 3 graft pretrain "${FAST[@]}" --steps 6 --checkpoint older.ck train.tokens -o out.model
    says "'older.ck': key 'version' is missing"
    # another kind of processor
    status_is 2 env GRAFT_CPU=ref graft pretrain "${FAST[@]}" --steps 6 --checkpoint run.ck train.tokens -o out.model || \
        graft pretrain "${FAST[@]}" --device ref --steps 1 train.tokens -o x.model # a machine that has no other
    # not a checkpoint, a damaged one
    cp init.model no.ck
    status_is 3 graft pretrain "${FAST[@]}" --steps 6 --checkpoint no.ck train.tokens -o out.model
    status_is 2 graft pretrain "${FAST[@]}" --steps 6 --checkpoint /dev/null train.tokens -o out.model
    head -c 5000 run.ck >cut.ck
    status_is 3 graft pretrain "${FAST[@]}" --steps 6 --checkpoint cut.ck train.tokens -o out.model
    says cut.ck
    nothing_left
    # and after all that it is still good
    graft pretrain -q "${FAST[@]}" --steps 6 --checkpoint run.ck train.tokens -o out.model
    graft pretrain -q "${FAST[@]}" --steps 6 train.tokens -o whole.model
    same out.model whole.model
}

@test "going on, the log is cut back to where the checkpoint was made" {
    graft pretrain -q "${FAST[@]}" --steps 6 --stop-after 2 --checkpoint run.ck --log run.jsonl train.tokens -o out.model
    printf '{"step":3,"and so on, of a run that was killed":0}\n%.0s' {1..100} >>run.jsonl
    graft pretrain -q "${FAST[@]}" --steps 6 --stop-after 3 --checkpoint run.ck --log run.jsonl train.tokens -o out.model
    [ "$(jq -c -s 'map(.step)' run.jsonl)" = '[1,2,3]' ]
}

@test "two runs on one checkpoint: the second says so" {
    mkfifo hold
    graft pretrain -q "${FAST[@]}" --steps 6 --checkpoint run.ck -o out.model <hold 3>&- &
    pid=$!
    exec 4>hold
    head -c 2000 train.tokens >&4
    wait_alive $pid test -e run.ck.lock
    status_is 1 graft pretrain "${FAST[@]}" --steps 6 --checkpoint run.ck train.tokens -o x.model
    one_line
    says "another run is using the checkpoint 'run.ck'"
    [ -e run.ck.lock ]
    kill -9 $pid
    exec 4>&-
    wait $pid || true
    # a lock that a killed run left behind is no lock
    graft pretrain -q "${FAST[@]}" --steps 6 --checkpoint run.ck train.tokens -o x.model
    [ ! -e run.ck.lock ]
}

# held OPTION...: a run, $pid, that has made steps and waits for more rows: the end of its input is held back by descriptor 4.
held() {
    mkfifo hold
    graft cat -z 0 train.tokens -o plain.tokens
    graft pretrain "${FAST[@]}" --batch-tokens 64 --steps 500 --log log "$@" -o out.model <hold 2>err 3>&- &
    pid=$!
    exec 4>hold
    head -c $(($(stat -c %s plain.tokens) - 200)) plain.tokens >&4
    wait_alive $pid test -s log
}

terminated() { # sends the signal and waits; it must have died of it
    kill -TERM $pid
    got=0
    wait $pid || got=$?
    exec 4>&-
    [ $got -eq 143 ]
}

@test "SIGTERM: a checkpoint, then death by the signal; so also when waiting for a pipe" {
    held --checkpoint run.ck
    terminated
    [ "$(wc -l <err)" -eq 1 ]
    grep -q "is saved in 'run.ck'" err
    nothing_left
    graft pretrain -q "${FAST[@]}" --batch-tokens 64 --steps 500 --checkpoint run.ck --log log train.tokens -o out.model
    graft pretrain -q "${FAST[@]}" --batch-tokens 64 --steps 500 train.tokens -o whole.model
    [ "$(graft inspect --json out.model | jq .id)" = "$(graft inspect --json whole.model | jq .id)" ]
}

@test "SIGTERM without a checkpoint: there is nothing to save, and not a word" {
    held
    terminated
    [ ! -s err ]
    nothing_left
}

# What is judged becomes, once it was looked through, a file that takes minutes: the signal comes while it is read, however slow
# this machine is, and who goes on to its end finds that it is another file.
@test "SIGTERM while it judges: the judgement is given up, the state before it is saved" {
    command=(graft pretrain "${FAST[@]}" --steps 4 --schedule constant --checkpoint run.ck --val val.tokens --val-every 2 -o out.model)
    "${command[@]}" -q --stop-after 1 train.tokens
    rm out.model
    cp val.tokens long.tokens
    for i in {1..14}; do cat long.tokens long.tokens >twice.tokens && mv twice.tokens long.tokens; done
    graft cat -z 0 train.tokens -o plain.tokens
    mkfifo hold
    "${command[@]}" <hold 2>err 3>&- & # a step, then it judges
    pid=$!
    exec 4>hold
    head -c 2000 plain.tokens >&4
    wait_alive $pid test -e run.ck.lock
    size=$(stat -c %s val.tokens)
    cat long.tokens >val.tokens
    judging() { # it has read more than there was
        local fd
        for fd in "/proc/$pid/fd/"*; do
            [ "$fd" -ef val.tokens ] && awk -v n="$size" '$1 == "pos:" { exit $2 <= n }' "/proc/$pid/fdinfo/${fd##*/}" && return
        done
        return 1
    }
    tail -c +2001 plain.tokens >&4
    wait_alive $pid judging
    terminated
    grep -q "validation: .*stopped by signal 15; step 2 is saved in 'run.ck': run the same again to go on" err
    nothing_left
}

@test "joined streams are judged like one, from a file and from a pipe" {
    head -n 20 "$DATA/corpus.txt" | graft tokenize -q -t t.tok -f lines --length 32 -o more.tokens
    graft cat val.tokens more.tokens -o one.tokens
    cat val.tokens more.tokens >joined.tokens
    [ "$(graft inspect --json joined.tokens | jq .segments)" -eq 2 ]
    [ "$(graft inspect --json one.tokens | jq .segments)" -eq 1 ]
    judge() {
        graft pretrain -q "${FAST[@]}" --val-every 2 --steps 4 --log log "$@" train.tokens -o out.model
        jq -c '[.step, .validation, .loss]' log
    }
    for rows in '' --val-rows=3; do
        judge --val one.tokens $rows >one
        judge --val joined.tokens $rows | same - one
        judge --val <(cat joined.tokens) $rows | same - one
    done
}

@test "a validation stream that is another one in the middle of a run" {
    graft shuffle -q val.tokens -o other.tokens
    mkfifo rows
    graft pretrain -q "${FAST[@]}" --val val.tokens --val-every 1 --steps 2 --log log rows -o out.model 2>err 3>&- &
    pid=$!
    exec 5>rows
    head -c 1000 train.tokens >&5 # begin, and a part of the rows
    wait_alive $pid grep -q validation log
    cat other.tokens >val.tokens
    tail -c +1001 train.tokens >&5
    exec 5>&-
    got=0
    wait $pid || got=$?
    [ $got -eq 3 ]
    grep -q "^graft-pretrain: validation: 'val.tokens' is not what it was when the run began" err
    nothing_left
}

@test "a pipe that is judged has a name in messages" {
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 --val <(head -c 700 val.tokens) train.tokens -o out.model
    one_line
    says "'val pipe /dev/fd/"
    says truncated
    graft tokenize -q -t other.tok -f lines "$DATA/corpus.txt" -o other.tokens
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 --val <(cat other.tokens) train.tokens -o out.model
    says "'val pipe /dev/fd/"
    says 'another tokenizer'
    mkfifo val.fifo
    cat other.tokens >val.fifo 3>&- &
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 --val val.fifo train.tokens -o out.model
    says "'val.fifo'"
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 <(cat other.tokens) -o out.model
    says "'input pipe /dev/fd/"
    status_is 3 graft pretrain "${FAST[@]}" --steps 2 -m <(head -c 900 init.model) train.tokens -o out.model
    says "'model pipe /dev/fd/"
    nothing_left
}

@test "a loss that is not a number, and one that jumps: step and rows, and the state before it is good" {
    diverge() { graft pretrain "${FAST[@]}" --clip 0 --warmup 0 --schedule constant --batch-tokens 64 "$@" train.tokens -o out.model; }
    status_is 1 graft pretrain "${FAST[@]}" --clip 0 --warmup 0 --schedule constant --batch-tokens 64 --lr 1e6 --weight-decay 1e3 \
        --spike 3 --checkpoint run.ck --checkpoint-every 1 --log log train.tokens -o out.model
    one_line
    [[ $stderr =~ step\ [0-9]+,\ rows\ [0-9]+\ to\ [0-9]+ ]]
    says "is saved in 'run.ck'"
    nothing_left
    tail -n 1 log | jq -e '.event == "error" and (.message | contains("rows"))'
    graft verify run.ck
    # without the check for jumps it goes on
    status_is 1 graft pretrain "${FAST[@]}" --clip 0 --warmup 0 --schedule constant --batch-tokens 64 --lr 3 --weight-decay 0 \
        --spike 3 train.tokens -o out.model
    says 'the loss has jumped'
    status_is 0 graft pretrain "${FAST[@]}" --clip 0 --warmup 0 --schedule constant --batch-tokens 64 --lr 3 --weight-decay 0 \
        --spike 0 train.tokens -o out.model
    rm out.model
    # weights that overflow are not saved over good ones
    status_is 1 graft pretrain "${FAST[@]}" --clip 0 --warmup 0 --schedule constant --batch-tokens 64 --lr 1e6 --weight-decay 1e6 \
        --spike 0 --checkpoint nan.ck --checkpoint-every 1 train.tokens -o out.model
    says 'not a finite number'
    nothing_left
}

@test "the log: every step once, valid JSON, numbers that fit" {
    graft pretrain -q "${FAST[@]}" --val val.tokens --val-every 2 --steps 5 --log log train.tokens -o out.model
    jq -s -e '[.[] | select(.loss)] | map(.step) == [1, 2, 3, 4, 5]' log
    jq -s -e '[.[] | select(.validation)] | map(.step) == [0, 2, 4, 5]' log
    jq -s -e '[.[] | select(.loss)] | all(.norm > 0 and .rate > 0 and .tokens_per_second > 0 and .memory > 0
        and (.energy_source == "none") == (.energy == null))' log
    # the first judgement is eval's own number, and so is the last
    graft eval --json -m init.model --bootstrap 0 val.tokens >first.json
    graft eval --json -m out.model --bootstrap 0 val.tokens >last.json
    jq -s -e '(.[0].validation.loss - .[-2].loss | fabs) < 1e-7 and (.[-3].validation.loss - .[-1].loss | fabs) < 1e-7' \
        log first.json last.json
}

@test "rows to judge on may be longer than those to learn from, and than a micro-batch" {
    graft init -q -t t.tok --arch llama --layers 1 --width 16 --heads 2 --context 512 -o wide.model
    tr '\n' ' ' <"$DATA/corpus.txt" | head -c 900 | graft tokenize -q -t t.tok -f lines -o long.tokens
    graft pretrain -q "${FAST[@]}" -m wide.model --steps 2 --grain 32 --micro-tokens 32 --val long.tokens --log log train.tokens -o out.model
    graft eval --json -m out.model --grain 32 --bootstrap 0 long.tokens >last.json
    jq -s -e '(.[-2].validation.loss - .[-1].loss | fabs) < 1e-7' log last.json
}

@test "early stopping and the best model" {
    # a rate that makes it worse
    bad() {
        graft pretrain -q "${FAST[@]}" --batch-tokens 64 --lr 1 --schedule constant --spike 0 --val val.tokens \
            --val-every 1 "$@" train.tokens -o out.model
    }
    bad --patience 3 --keep-best --log log
    jq -s -e '[.[] | select(.validation)] as $v | ($v | length) == ($v | [.[].validation.loss] | index(min)) + 4' log
    best=$(jq -s '[.[] | select(.validation) | .validation.loss] | min' log)
    graft eval --json -m out.model --bootstrap 0 val.tokens | jq -e --argjson b "$best" '(.loss - $b | fabs) < 1e-6'
    # the whole input stands in the lineage all the same
    graft lineage --json out.model | jq -s -e --argjson n "$(graft inspect --json train.tokens | jq .rows)" \
        'last.inputs | map(select(.role == "input")) | .[0].rows == $n and (.[0].partial | not)'
}

@test "after an early stop the input is read to its end, or the lineage says how far it was" {
    graft shuffle -q --epochs 300 train.tokens | graft pretrain -q "${FAST[@]}" --steps 3 -o a.model
    graft lineage --json a.model | jq -s -e 'last.inputs[0] | .rows == 45000 and (.partial | not)'
    graft pretrain -q "${FAST[@]}" --steps 3 --no-drain -o b.model < <(graft shuffle -q --epochs 300 train.tokens 2>&1)
    graft lineage --json b.model | jq -s -e 'last.inputs[0] | .rows < 45000 and .partial'
    [ "$(graft inspect --json a.model | jq .id)" = "$(graft inspect --json b.model | jq .id)" ]
}

@test "several files are one stream" {
    graft pretrain -q "${FAST[@]}" --steps 8 train.tokens val.tokens -o a.model
    graft cat train.tokens val.tokens | graft pretrain -q "${FAST[@]}" --steps 8 -o b.model
    [ "$(graft inspect --json a.model | jq .id)" = "$(graft inspect --json b.model | jq .id)" ]
    graft tokenize -q -t other.tok -f lines "$DATA/corpus.txt" -o other.tokens
    status_is 3 graft pretrain "${FAST[@]}" --steps 8 train.tokens other.tokens -o out.model
    says other.tokens
}

@test "the plan: a sum that holds, nothing done" {
    status_is 0 graft pretrain "${FAST[@]}" --plan -o out.model
    [[ ${output##*$'\n'} == *'in all' ]]
    grep -q 'gradients' <<<"$output"
    grep -q 'optimiser' <<<"$output"
    nothing_left
}
