#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lint.bats: the tree keeps its rules, and each rule catches an offender that is planted in a scratch tree: a rule that
# cannot fail is worth nothing.

load ../run/common
setup() {
    graft_setup
    lint=$ROOT/tests/lint/lint.sh
}

keeps() { # RULE: the tree does
    local status=0
    "$lint" "$1" "$ROOT" >out || status=$?
    [ $status -ne 77 ] || skip "$(cat out)"
    [ $status -eq 0 ] || { cat out >&2; return 1; }
}

plant() { # PATH LINE...: a file of the scratch tree
    mkdir -p "$(dirname "$1")"
    printf '%s\n' "${@:2}" >"$1"
}

catches() { # RULE TEXT: the scratch tree has an offender, and the rule says TEXT
    local status=0
    "$lint" "$1" . >.out || status=$?
    [ $status -ne 77 ] || skip "$(cat .out)"
    [ $status -eq 1 ] || { echo "status $status" >&2; return 1; }
    grep -qF -- "$2" .out || { cat .out >&2; return 1; }
}

@test "layers: the tree keeps them" { keeps layers; }
@test "layers: an include upward is caught" {
    plant formats/a.c '#include "common/text/b.h"'
    catches layers 'formats/a.c:1: includes "common/text/b.h"'
}
@test "layers: formats and kernels do not know each other" {
    plant formats/a.c '#include "kernels/kernels.h"'
    catches layers 'not below it'
}
@test "layers: kernels take little of base" {
    plant kernels/ref/a.c '#include "common/base/io.h"'
    catches layers 'more of base'
}
@test "layers: nobody names a backend" {
    plant common/model/a.c '#include "kernels/cpu/b.h"'
    catches layers 'names a backend'
}
@test "layers: an include from beside is caught" {
    plant common/model/a.c '#include "b.h"'
    catches layers 'written from the root'
}
@test "layers: BLAS outside kernels is caught" {
    plant common/model/a.c '#include <cblas.h>'
    catches layers 'belongs in ^kernels/'
}

@test "banned functions: none" { keeps banned; }
@test "banned functions: one is caught, in comments and strings it is not" {
    plant common/text/a.c '/* strcpy(a, b) */ char *s = "strcpy(";' 'strcpy (a, b);'
    catches banned 'common/text/a.c:2: strcpy is banned'
    [ "$(wc -l <.out)" -eq 1 ]
}

@test "libraries return: all do" { keeps returns; }
@test "libraries return: exit, printing and malloc are caught" {
    plant formats/a.c 'x = f(); exit(1);' 'fprintf(stderr, "x");' 'p = malloc(3);'
    catches returns 'formats/a.c:1: a library does not exit'
    catches returns 'formats/a.c:2: a library does not print'
    catches returns 'formats/a.c:3: memory comes from base/mem.h'
}

@test "program size: within 250 lines" { keeps size; }
@test "program size: a long one is caught" {
    mkdir cmd
    seq 251 >cmd/a.c
    catches size 'cmd/a.c:251: a program has at most 250 lines'
}

@test "file headers: all there" { keeps headers; }
@test "file headers: missing ones are caught" {
    plant common/text/a.c 'int x;' 'int y;'
    plant tests/run/a.sh '#!/bin/sh'
    catches headers 'common/text/a.c:1: no SPDX line'
    catches headers 'common/text/a.c:2: no opening comment'
    catches headers 'tests/run/a.sh:1: no SPDX line'
}

@test "format: as clang-format has it" { keeps format; }
@test "format: a crooked file is caught" {
    plant common/text/a.c 'int   f( void ){return 1;}'
    catches format 'common/text/a.c:1: clang-format -i it'
    plant common/text/b.c "/* a comment $(printf '%090d' 0) */"
    catches format 'common/text/b.c:1: more than 100 columns'
}

@test "scripts: shellcheck is content" { keeps scripts; }
@test "scripts: an unquoted variable is caught" {
    # shellcheck disable=SC2016
    plant tests/run/a.sh '#!/bin/sh' 'rm -rf $1'
    catches scripts 'SC2086'
}

@test "pages: mandoc is content" { keeps pages; }
@test "pages: a broken page is caught" {
    plant man/a.1 '.Dd January 1, 2024' '.Dt A 1' '.Os' '.Sh NAME' '.Nm a' '.Nd b' '.Bl -tag' 'x'
    catches pages 'man/a.1'
}

@test "statics: only the listed ones" { keeps statics; }
@test "statics: a new one is caught, wherever it hides" {
    need cc
    plant a.c 'static int hidden; int next(void) { static int inner; return ++inner + ++hidden; }' \
        'const char *const names[] = {"constant"}; static const char *moving = "a";' \
        'const char *move(void) { const char *m = moving; moving = names[0]; return m; }'
    cc -fPIE -c a.c -o a.o
    ar cq libplanted.a a.o
    GRAFT_LIBRARY=$PWD/libplanted.a catches statics "a.c: mutable static 'hidden'"
    grep -q "'inner'" .out
    grep -q "'moving'" .out
    [ "$(wc -l <.out)" -eq 3 ]
}

@test "marks: no unfinished business" { keeps marks; }
@test "marks: one is caught" {
    plant common/text/a.c "/* TO""DO: finish */"
    catches marks 'common/text/a.c:1'
}

@test "names: unique" { keeps names; }
@test "names: a taken name is caught" {
    plant common/text/a.c
    plant formats/a.c
    plant common/model/b.h
    plant common/text/b.c
    catches names 'is taken by'
    catches names "the stem 'b'"
}

@test "planted defects: all fit" { keeps mutants; }
@test "planted defects: one that fits no more, or twice, and a lost test are caught" {
    plant common/a.c 'int a = 1;' 'int b = 2, c = 2;'
    plant tests/unit/test_a.c
    plant tests/mutants/table.sh 'mutant good common/a.c "a = 1" "a = 2" unit/test_a' \
        'mutant gone common/a.c "a = 3" "a = 2" unit/test_a' 'mutant twice common/a.c "= 2" "= 3" unit/test_a' \
        'mutant untested common/a.c "a = 1" "a = 2" unit/test_b tests/cli/c.bats:what'
    catches mutants "table.sh:2: gone: 'a = 3' does not stand in common/a.c exactly once"
    grep -q 'table.sh:3: twice' .out
    grep -q 'untested: there is no tests/unit/test_b.c' .out
    grep -q 'untested: there is no tests/cli/c.bats' .out
    [ "$(wc -l <.out)" -eq 4 ]
}

@test "top level: as it was fixed" { keeps top; }
@test "top level: another folder is caught" {
    mkdir src
    catches top 'src:1: the top level is fixed'
}

@test "every rule has both its tests" {
    for rule in $("$lint" --rules); do
        grep -q "keeps $rule;" "$BATS_TEST_FILENAME" || { echo "no test that the tree keeps $rule" >&2; false; }
        grep -q "catches $rule " "$BATS_TEST_FILENAME" || { echo "no test that $rule catches" >&2; false; }
    done
}
