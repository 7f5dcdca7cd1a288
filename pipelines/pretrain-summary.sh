#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pretrain-summary.sh WORK PROMPT...: what came out of pretrain.mk, on a page: figures, samples, lineage, and where to go from here.
set -eu -o pipefail
work=${1#"$PWD/"}
shift
bin=$(dirname "$(command -v graft)")
case $bin in "$PWD"/*) bin=\$PWD/${bin#"$PWD/"} ;; esac

figure() { # MODEL NAME: of the judgement on the held-out text
    jq -r ".$2" "$work/$1.json"
}

interval() { # MODEL NAME
    jq -r "[.$2, .$2_low, .$2_high] | @tsv" "$work/$1.json" | awk '{ printf "%.3f  (95 %% between %.3f and %.3f)\n", $1, $2, $3 }'
}

printf '\n== The model, judged on %s bytes of text it has never seen\n\n' "$(figure base bytes)"
printf '                      loss in nats per token\n'
printf '  before training     %s\n' "$(interval init loss)"
printf '  after training      %s\n\n' "$(interval base loss)"
printf '                      bits per byte of text\n'
printf '  the model           %s\n' "$(interval base bits_per_byte)"
printf '  xz -9, which knows  %s\n' "$(printf %.3f "$(cat "$work/xz.txt")")"
printf '    the training text\n'

printf '\n== Three entries it makes up\n'
for prompt in "$@"; do
    printf '\n'
    graft generate -q -m "$work/base.model" -p "$prompt" --echo -n 70 --temperature 0.8 --top-p 0.95 --seed 7 | fold -s -w 90 | sed 's/^/  /'
done

printf '\n== Where it comes from (graft lineage %s/base.model)\n\n' "$work"
graft lineage "$work/base.model" | sed 's/^/  /'

cat <<END

== The files, all in $work

  corpus.txt  bpe.tok  data/train.tokens  data/val.tokens  init.model  base.model  run.jsonl (loss of every step)

== What to type next

  PATH=$bin:\$PATH
  graft help
  graft inspect $work/base.model
  graft generate -m $work/base.model -p 'Cat \\Cat\\, n.' -n 60 --temperature 0.7
  graft eval -m $work/base.model $work/data/val.tokens
  jq -r 'select(.loss) | [.step, .loss] | @tsv' $work/run.jsonl
  graft shuffle --seed 2 $work/data/train.tokens |       # train on: another 300 steps from where it is
      graft pretrain -m $work/base.model --steps 300 --batch-tokens 1Ki --lr 1e-3 --warmup 10 -o $work/more.model
END
