#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# init.bats: graft init: what it makes, what it refuses, and that the bytes depend on options and seed only.

load ../run/common
setup() { graft_setup; }

# The identity of what is in a stream, without how it came there.
content() { graft inspect --json "$1" | jq -er .id; }

small="--layers 2 --width 32 --heads 4 --context 64 --vocab 300"

@test "each architecture, with and without a matrix of its own for the head" {
    for arch in gpt2 llama bert; do
        # shellcheck disable=SC2086
        graft init --arch $arch $small -o $arch.model
        # shellcheck disable=SC2086
        graft init --arch $arch $small --tied -o tied.model
        # shellcheck disable=SC2086
        graft init --arch $arch $small --untied -o untied.model
        graft verify -q $arch.model tied.model untied.model
        [ $arch = llama ] && own=untied || own=tied
        [ "$(content "$arch.model")" = "$(content "$own.model")" ]
        [ "$(content tied.model)" != "$(content untied.model)" ]
    done
}

@test "-v accounts for the model that was written" {
    # shellcheck disable=SC2086
    status_is 0 graft init --arch llama $small -v -o a.model
    says "$(graft inspect a.model | sed -n 's/^  size  \(.*\), data.*/\1 out/p')"
}

@test "the same seed gives the same bytes, with any number of threads, to a file or a pipe; another does not" {
    # shellcheck disable=SC2086
    graft init --arch llama $small -j 1 --seed 5 -o a.model
    # shellcheck disable=SC2086
    graft init --arch llama $small -j 4 --seed 5 -o b.model
    same a.model b.model
    # shellcheck disable=SC2086
    graft init --arch llama $small --seed 5 | cat >c.model
    same a.model c.model
    # shellcheck disable=SC2086
    graft init --arch llama $small --seed 6 -o d.model
    if cmp -s a.model d.model; then return 1; fi
}

@test "a file gives the same model as options; options go before the file" {
    # shellcheck disable=SC2086
    graft init --arch gpt2 $small -o a.model
    echo '{"arch": "gpt2", "layers": 2, "width": 64, "heads": 4, "context": 64, "vocab": 300}' >c.json
    graft init --config c.json --width 32 -o b.model
    [ "$(content a.model)" = "$(content b.model)" ]
    graft lineage b.model | grep -q c.json
}

@test "--plan names the parameters and writes nothing" {
    graft init --arch gpt2 --layers 12 --width 768 --heads 12 --vocab 50257 --plan >plan
    [ "$(head -n 1 plan)" = '124439808 parameters' ]
    graft init --arch llama --layers 32 --width 4096 --heads 32 --mlp 11008 --vocab 32000 --plan >plan
    [ "$(head -n 1 plan)" = '6738415616 parameters' ]
    graft init --arch bert --layers 12 --width 768 --heads 12 --vocab 30522 --plan >plan
    [ "$(head -n 1 plan)" = '109514298 parameters' ]
}

@test "usage: what is missing or does not fit is named, exit 2, nothing written" {
    refuses() { # TEXT OPTION...
        status_is 2 graft init "${@:2}" -o x.model && says "$1" && [ ! -e x.model ]
    }
    refuses '--arch' --layers 2
    refuses '--layers is needed' --arch llama --width 32
    refuses '--vocab is needed' --arch llama --layers 2 --width 32 --heads 4
    refuses 'width (30) is not a multiple of heads (4)' --arch gpt2 --layers 2 --width 30 --heads 4 --vocab 9
    refuses 'heads (4) is not a multiple of kv_heads (3)' --arch llama --layers 2 --width 32 --heads 4 --kv-heads 3 --vocab 9
    refuses 'rope_theta' --arch gpt2 --layers 2 --width 32 --heads 4 --vocab 9 --rope-theta 500
    refuses 'window' --arch bert --layers 2 --width 32 --heads 4 --vocab 9 --window 8
    refuses 'exclude each other' --arch gpt2 --tied --untied --layers 2 --width 32 --heads 4 --vocab 9
    refuses 'exclude each other' --arch gpt2 --config c.json
    refuses 'no operands' --arch gpt2 --layers 2 --width 32 --heads 4 --vocab 9 more
}

@test "configuration files: each fault is named, exit 3" {
    refuses() { # JSON TEXT
        echo "$1" >c.json
        status_is 3 graft init --config c.json --vocab 300 -o x.model && says "$2" && says c.json && one_line && [ ! -e x.model ]
    }
    refuses '{"arch": "llama",' 'line '
    refuses '[]' 'not a JSON object'
    refuses '{}' "'arch' is missing"
    refuses '{"arch": "rnn"}' "no architecture 'rnn'"
    refuses '{"arch": "gpt2", "n_layer": 2}' "key 'n_layer' is not known"
    refuses '{"arch": "gpt2", "layers": 2, "layers": 3}' 'duplicate'
    refuses '{"arch": "gpt2", "layers": "2"}' "'layers' is not an integer"
    refuses '{"arch": "gpt2", "layers": 0}' "'layers' is 0"
    refuses '{"arch": "gpt2", "act": "swish"}' "'act' is 'swish'"
    refuses '{"arch": "gpt2", "tied": 1}' "'tied' is not true or false"
    status_is 1 graft init --config nothing.json --vocab 300 -o x.model
}

@test "a full disk and a closed pipe fail cleanly" {
    # shellcheck disable=SC2086
    status_is 1 graft init --arch llama $small -o /dev/full
    one_line
}
