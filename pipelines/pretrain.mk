# SPDX-License-Identifier: Apache-2.0
# pretrain.mk: from text to a trained, judged and speaking language model. `make demo` runs it; alone:
#
#     make -f pipelines/pretrain.mk [BUILD=build] [WORK=build/demo] [TEXT=corpus.txt] [STEPS=600 ...]
#
#     dictionary ──> corpus.txt ──> learn-tokenizer ──> bpe.tok ──> init ──> init.model
#                        │                                 │                    │
#                        └─────────> tokenize <────────────┘                    v
#                                       └─> shard ─> train.tokens ─> shuffle ─> pretrain ──> base.model ─> eval, generate
#                                              └──── val.tokens ───────────────────^
#
# Input: the Collaborative International Dictionary of English as Debian has it (package dict-gcide, 40 MB; any text with a
# blank line between its documents may be given as TEXT instead). An entry becomes one document; what is left of it is 31 MB.
# 98 % of the entries are learned from, 2 % are kept aside.
#
# Expected: the training loss falls from 8.34 (nats per token) to about 4.2 in 1,000 steps, the validation loss from 8.37 to
# about 4.0; 10 minutes of two cores' time with AVX2, most of it training.
#
# Every target is a file that appears complete or not at all, and training keeps a checkpoint: interrupted, `make` goes on
# where it was. The same numbers come out wherever the same kernels run, however often it was interrupted.

BUILD   ?= build
WORK    ?= $(BUILD)/demo
TEXT    ?=
VOCAB   ?= 4096
CONTEXT ?= 256
MODEL   ?= --arch llama --layers 6 --width 256 --heads 4 --kv-heads 2 --tied
BATCH   ?= 1Ki
EPOCHS  ?= 1
STEPS   ?= 1000
WARMUP  ?= 60
LR      ?= 2e-3
PROMPTS ?= 'Lamp \Lamp\, n.' 'River \Riv"er\, n.' 'To walk'

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
export PATH := $(abspath $(BUILD))/bin:$(PATH)
export LC_ALL := C.UTF-8
say = @printf '\n== %s\n' $1

.PHONY: all
all: $(WORK)/summary.txt
	@cat $<

# Headword lines begin in the first column, the rest is wrapped and indented. An entry becomes a line for each of its
# paragraphs; its sources ("[1913 Webster]") are left out; a blank line follows it.
define ENTRIES
function flush() { if (p != "") print p; p = "" }
!begun && !/^[^ ].*\\.*\\/ { next }
/^[ \t]*$$/ { flush(); blank = 1; next }
/^ *\[(1913 Webster|WordNet|PJC|Century|Webster)[^]]*\]$$/ { next }
/^[^ ]/ && blank && begun { print "" }
{ begun = 1; blank = 0; sub(/^ +/, ""); gsub(/  +/, " "); p = p == "" ? $$0 : p " " $$0 }
END { flush() }
endef
export ENTRIES

$(WORK)/corpus.txt: $(TEXT)
	$(call say,'The text: one document for each entry of the dictionary')
	@mkdir -p $(WORK)
ifeq ($(TEXT),)
	@dictzip -dc /usr/share/dictd/gcide.dict.dz | iconv -c -f UTF-8 -t UTF-8 | awk "$$ENTRIES" >$@
else
	@cp $(TEXT) $@
endif
	@wc -c <$@ | awk '{ printf "%.1f MB\n", $$1 / 1e6 }'

$(WORK)/bpe.tok: $(WORK)/corpus.txt
	$(call say,'A tokenizer of $(VOCAB) pieces')
	@graft learn-tokenizer --vocab $(VOCAB) -f paragraphs $< -o $@

# One run of shard makes both; the marker is made when both are in place.
$(WORK)/data/done: $(WORK)/corpus.txt $(WORK)/bpe.tok
	$(call say,'Tokens in rows of at most $(CONTEXT); 2 % of the entries are kept aside')
	@graft tokenize -t $(WORK)/bpe.tok -f paragraphs --length $(CONTEXT) $< | \
	    graft shard --split train=0.98,val=0.02 --seed 1 -o $(WORK)/data/
	@touch $@

$(WORK)/init.model: $(WORK)/bpe.tok
	@graft init -t $< $(MODEL) --context $(CONTEXT) --seed 1 -o $@

$(WORK)/base.model: $(WORK)/init.model $(WORK)/data/done
	$(call say,'Training: $(STEPS) steps of $(BATCH) tokens')
	@graft shuffle --epochs $(EPOCHS) --seed 1 $(WORK)/data/train.tokens | \
	    graft pretrain -v -m $(WORK)/init.model --steps $(STEPS) --batch-tokens $(BATCH) --lr $(LR) --warmup $(WARMUP) \
	        --val $(WORK)/data/val.tokens --val-rows 200 --val-every 200 \
	        --checkpoint $(WORK)/run.ck --checkpoint-minutes 0.5 --log $(WORK)/run.jsonl -o $@

# What xz needs for the text that was kept aside, given the text that was learned from.
$(WORK)/xz.txt: $(WORK)/data/done
	$(call say,'The same text for xz -9 which has seen the training text as well')
	@cd $(WORK); \
	    { graft detokenize -q -l -t bpe.tok data/train.tokens | xz -9 | wc -c >xz.train.tmp; } & \
	    graft detokenize -q -l -t bpe.tok data/train.tokens data/val.tokens | xz -9 | wc -c >xz.both.tmp; \
	    wait $$!; \
	    graft detokenize -q -l -t bpe.tok data/val.tokens | wc -c >xz.bytes.tmp; \
	    paste xz.both.tmp xz.train.tmp xz.bytes.tmp | awk '{ printf "%.4f\n", 8 * ($$1 - $$2) / $$3 }' >xz.tmp; \
	    rm xz.both.tmp xz.train.tmp xz.bytes.tmp; mv xz.tmp xz.txt

$(WORK)/%.json: $(WORK)/%.model $(WORK)/data/done
	@graft eval --json -m $< $(WORK)/data/val.tokens >$@

$(WORK)/summary.txt: $(WORK)/base.model $(WORK)/init.json $(WORK)/base.json $(WORK)/xz.txt
	@pipelines/pretrain-summary.sh $(WORK) $(PROMPTS) >$@
