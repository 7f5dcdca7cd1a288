#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh BUILD: graft beside the programs that its models, tokenizers and numbers come from, as one table: what, against which
# program, the bar, what was measured. PEERS names a Python environment with those programs. `make check-parity` runs it.
#
# First the expected values that the tests are held against: each committed file is made again by its script and compared. Then what
# the tests measure against them. Then real models, where MODELS (BUILD/models, see `make models`) and GRAFT_DATA are there.
#
#     PARTS='expected tests minilm logits perplexity choices stories tokenizers'  some of it    ITEMS=40  of HellaSwag
#
# Exit status 1: a bar is missed. What cannot be compared, for want of a program or of data, is said and counted.
set -u -o pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
models=${MODELS:-$build/models}
PATH=$build/bin:$PATH
export PATH PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
cd "$root" || exit 1
if ! [ -x "${PEERS:-}/bin/python" ]; then
    cat >&2 <<'END'
check-parity: set PEERS to a Python environment with the programs to compare with, such as
    python3 -m venv peers && peers/bin/pip install torch transformers accelerate gguf tokenizers tiktoken sentencepiece \
        sentence-transformers lm-eval llama-cpp-python msgpack zstandard regex
END
    exit 2
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
held=0 missed=0 skipped=0

part() { [ -z "${PARTS:-}" ] || [[ " $PARTS " == *" $1 "* ]]; }

line() { # WHAT AGAINST BAR MEASURED HOLDS
    local mark=' '
    if [ "$5" = 1 ]; then held=$((held + 1)); else missed=$((missed + 1)) mark='!'; fi
    printf '%s %-58s %-24s %-28s %s\n' "$mark" "$1" "$2" "$3" "$4"
}

skip() {
    skipped=$((skipped + 1))
    echo "  skipped: $*"
}

printf '  %-58s %-24s %-28s %s\n' what against bar measured

# ---- expected values, made again ----

# expected WHAT AGAINST MODULES FILE SCRIPT [ARG...]: what the script prints is compared with the file.
expected() {
    local what=$1 against=$2 modules=$3 file=$4 said holds=1
    shift 4
    if ! "$PEERS/bin/python" -c "import $modules" 2>/dev/null; then
        skip "$file: no $modules in PEERS"
        return
    fi
    if ! "$PEERS/bin/python" "tests/parity/$1" "${@:2}" >"$scratch/${file##*/}" 2>"$scratch/said"; then
        tail -n 3 "$scratch/said" >&2
        line "$what" "$against" 'the same values' "$1 failed" 0
        return
    fi
    said=$(python3 tests/parity/compare.py "tests/parity/$file" "$scratch/${file##*/}" 2>&1) || holds=0
    line "$what" "$against" 'the same values' "$said" "$holds"
}

if part expected; then
    expected 'values: pairs of texts' tokenizers tokenizers,transformers pair_cases.json make_pair_cases.py
    expected 'values: chat templates' transformers transformers chat_cases.json make_chat_cases.py
    expected 'values: quantisers' gguf-py gguf quantise_cases.json make_quantise_cases.py
    expected 'values: dequantised blocks' gguf-py gguf value_cases.json make_value_cases.py
    expected 'values: stages of sampling' transformers torch,transformers sampler_cases.json make_sampler_cases.py
    expected 'values: models and their gradients' transformers torch,transformers model_cases.json make_model_cases.py
    expected 'values: steps of training' torch torch,transformers trainer_cases.json make_trainer_cases.py
    expected 'values: runs of training' torch torch,transformers training_cases.json make_training_cases.py
    expected 'values: GGUF files that llama.cpp computes' 'llama.cpp, transformers' llama_cpp,gguf,torch,transformers \
        gguf_cases.json make_gguf_cases.py tests/parity
    bert=${GRAFT_DATA:-}/tokenizers/bert-base-uncased/tokenizer.json
    if [ -e "$bert" ]; then
        expected 'values: tokenizers' 'tokenizers, tiktoken' tokenizers,tiktoken,regex tokenizer_cases.json make_tokenizer_cases.py "$bert"
    else
        skip "tokenizer_cases.json: no tokenizers/bert-base-uncased/tokenizer.json in GRAFT_DATA"
    fi
    if "$PEERS/bin/python" tests/parity/make_gguf_model.py "$scratch/llama.gguf" >"$scratch/said" 2>&1; then
        said=$(python3 tests/parity/compare.py tests/parity/gguf/llama.gguf "$scratch/llama.gguf" 2>&1) && holds=1 || holds=0
        line 'values: a model in GGUF' gguf-py 'the same values' "$said" "$holds"
    else
        skip 'gguf/llama.gguf: no gguf in PEERS'
    fi
    if "$PEERS/bin/python" tests/parity/make_family_cases.py "$scratch" >"$scratch/said" 2>&1; then
        for name in family_cases.json families; do
            said=$(python3 tests/parity/compare.py "tests/parity/$name" "$scratch/$name" 2>&1) && holds=1 || holds=0
            line "values: $name" transformers 'the same values' "$said" "$holds"
        done
    else
        tail -n 1 "$scratch/said" >&2
        skip 'family_cases.json'
    fi
fi

# ---- what the tests measure against them ----

if part tests; then
    out=$("$build/tests/unit/test_family_parity" 2>&1) && holds=1 || holds=0
    line "$(grep -c 'at most' <<<"$out") families, tiny: logits, hidden states" transformers '1e-4, same argmax' \
        "$(sed -n 's/.*at most \([0-9.e+-]*\) off.*/\1/p' <<<"$out" | sort -g | tail -n 1)" "$holds"
    for test in model_parity:'losses and gradients of every architecture' trainer_parity:'steps of training'; do
        "$build/tests/unit/test_${test%%:*}" >"$scratch/said" 2>&1 && holds=1 || holds=0
        line "${test#*:}" transformers 'as in the test' "$(tail -n 1 "$scratch/said" | tr -d '[]' | tr -s ' ')" "$holds"
    done
fi

# ---- real models ----

for name in minilm logits perplexity choices stories tokenizers; do
    part $name || continue
    mkdir -p "$scratch/real"
    "$PEERS/bin/python" tests/parity/real_models.py $name "$models" "$scratch/real" >"$scratch/rows" 2>"$scratch/said"
    status=$?
    while IFS=$'\t' read -r what against bar measured holds; do line "$what" "$against" "$bar" "$measured" "$holds"; done <"$scratch/rows"
    if [ $status -ne 0 ]; then
        tail -n 3 "$scratch/said" >&2
        line "$name" '' '' "failed" 0
    elif ! [ -s "$scratch/rows" ]; then
        skip "$(grep ': skipped: ' "$scratch/said" | head -n 1)"
    fi
done
echo "$held hold, $missed missed, $skipped skipped"
[ $missed -eq 0 ]
