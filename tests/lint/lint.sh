#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lint.sh RULE [ROOT]: prints each offence against one of the tree's rules as "file:line: what", and exits 1 when there are
# any; 77 with a reason when the tool it needs is not there. `lint.sh --rules` lists the rules.
set -eu -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
LC_ALL=C
export LC_ALL

# Files by pattern, of the folders that are ours.
files() { # FIND-EXPRESSION...
    local dirs=() d
    for d in cmd common formats kernels pipelines tests man .ci; do [ -d "$d" ] && dirs+=("$d"); done
    [ ${#dirs[@]} -gt 0 ] || return 0
    find "${dirs[@]}" -type f \( "$@" \) | sort
}
c_files() { files -name '*.[ch]' -o -name '*.inc' -o -name '*.cu' -o -name '*.cuh'; }

# Reads names of C files; prints "file:line:code" with comments and the insides of strings blanked.
code() {
    # shellcheck disable=SC2016 # awk's dollars
    xargs -r awk '
        FNR == 1 { comment = 0 }
        {
            out = ""
            n = length($0)
            for (i = 1; i <= n; i++) {
                two = substr($0, i, 2)
                c = substr($0, i, 1)
                if (comment) { if (two == "*/") { comment = 0; i++ } }
                else if (two == "/*") { comment = 1; i++ }
                else if (two == "//") break
                else if (c == "\"" || c == "\x27") {
                    out = out c
                    for (i++; i <= n && substr($0, i, 1) != c; i++) if (substr($0, i, 1) == "\\") i++
                    out = out c
                } else out = out c
            }
            print FILENAME ":" FNR ":" out
        }'
}

includes() { # QUOTE: prints "file:line:#include ..." of all sources
    c_files | { grep -v '^tests/' || true; } | { xargs -r grep -Hn "^ *# *include *$1" || true; }
}

# What may include what: DESIGN: cmd -> train use judge convert -> model text flow -> kernels, formats -> base.
rule_layers() {
    includes '"' | awk '
        function layer(path) {
            if (path ~ /^common\/base\//) return "base"
            if (path ~ /^common\/(model|text|flow)\//) return "middle"
            if (path ~ /^common\/(train|use|judge|convert)\//) return "upper"
            if (path ~ /^(cmd|formats|kernels)\//) { sub(/\/.*/, "", path); return path }
            return "?"
        }
        BEGIN {
            may["base"] = " base "
            may["formats"] = " base formats "
            may["kernels"] = " base kernels "
            may["middle"] = " base formats kernels middle "
            may["upper"] = " base formats kernels middle upper "
            may["cmd"] = " base formats kernels middle upper cmd "
        }
        {
            split($0, part, ":")
            file = part[1]
            match($0, /"[^"]*"/)
            target = substr($0, RSTART + 1, RLENGTH - 2)
            from = layer(file)
            to = layer(target)
            bad = ""
            if (to == "?") bad = "is not written from the root"
            else if (from == "?") bad = "stands in a folder of no layer"
            else if (index(may[from], " " to " ") == 0) bad = "is not below it"
            else if (from == "kernels" && to == "base" && target !~ /\/(attr|dtype|err|pool|rng)\.h$/ &&
                     !(target ~ /\/mem\.h$/ && file ~ /^kernels\/(dispatch|ref\/mem)\.c$/))
                bad = "is more of base than kernels may use"
            else if (from != "kernels" && (target ~ /^kernels\/(ref|cpu|cuda)\// || target == "kernels/internal.h"))
                bad = "names a backend"
            if (bad != "") print file ":" part[2] ": includes \"" target "\", which " bad
        }'
    # The libraries have their places, too.
    includes '<' | awk -F: '
        function only(pattern, where) {
            if ($3 ~ pattern && $1 !~ where) print $1 ":" $2 ": " $3 " belongs in " where
        }
        { only("<(cblas|openblas_config|lapacke|omp|immintrin)\\.h>", "^kernels/")
          only("<(zstd|zstd_errors|msgpack)\\.h>", "^formats/")
          only("<(pcre2|utf8proc)\\.h>", "^common/text/") }'
}

rule_banned() {
    c_files | code | awk -F: '
        BEGIN {
            n = split("strcpy strcat strncpy strncat sprintf vsprintf strtok gets rand srand random srandom drand48 atoi " \
                      "atol atoll atof alloca mktemp tmpnam tempnam asctime ctime gmtime localtime setlocale system popen",
                      word, " ")
            for (i = 1; i <= n; i++) banned[i] = "(^|[^A-Za-z0-9_.>])" word[i] " *[(]"
        }
        {
            line = $0
            sub(/^[^:]*:[0-9]*:/, "", line)
            for (i = 1; i <= n; i++)
                if (line ~ banned[i] && !(word[i] == "system" && $1 ~ /^tests\//)) print $1 ":" $2 ": " word[i] " is banned"
        }'
}

# Libraries return: only programs and base/prog.c end the process or print; memory comes from base/mem.c.
rule_returns() {
    c_files | { grep -vE '^(tests|cmd)/|^common/base/prog\.c$' || true; } | code | awk -F: '
        {
            line = $0
            sub(/^[^:]*:[0-9]*:/, "", line)
            if (match(line, /(^|[^A-Za-z0-9_.>])(exit|_exit|_Exit|abort|printf|vprintf|puts|putchar|perror|errx|warnx) *[(]/))
                print $1 ":" $2 ": a library does not" substr(line, RSTART, RLENGTH) ")"
            if (line ~ /(fprintf|fputs|vfprintf|fwrite)[^;]*(stderr|stdout)/) print $1 ":" $2 ": a library does not print"
            if ($1 !~ /^common\/base\/(mem|pool_processors)\.c$/ &&
                line ~ /(^|[^A-Za-z0-9_.>])(malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|aligned_alloc|posix_memalign) *[(]/)
                print $1 ":" $2 ": memory comes from base/mem.h"
        }'
}

rule_size() {
    files -path 'cmd/*.c' | while read -r f; do
        lines=$(wc -l <"$f")
        [ "$lines" -le 250 ] || echo "$f:$lines: a program has at most 250 lines: move work below cmd/"
    done
}

# An SPDX line, and after it a comment that says what the file is.
rule_headers() {
    c_files | while read -r f; do
        [ "$(head -n 1 "$f")" = '/* SPDX-License-Identifier: Apache-2.0 */' ] || echo "$f:1: no SPDX line"
        case $(sed -n 2p "$f") in
        "/* $(basename "$f"): "*) ;;
        *) echo "$f:2: no opening comment '/* $(basename "$f"): what it is'" ;;
        esac
    done
    files -name '*.sh' -o -name '*.bash' -o -name '*.bats' -o -name '*.py' -o -name '*.mk' | while read -r f; do
        head -n 3 "$f" | grep -q '^# SPDX-License-Identifier: Apache-2.0' || echo "$f:1: no SPDX line"
    done
}

# As clang-format has it, which leaves comments alone: tables and diagrams are theirs, within 100 columns.
rule_format() {
    local version
    version=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p' || true)
    if [ "$version" != 14 ]; then
        echo "needs clang-format 14, found ${version:-none}"
        exit 77
    fi
    c_files | xargs -r -n 20 -P 2 clang-format --style="file:$here/../../.clang-format" --dry-run 2>&1 |
        sed -n 's/^\([^ :]*\):\([0-9]*\):[0-9]*: warning: code should be clang-formatted.*/\1 \2/p' |
        sort -k1,1 -k2,2n | awk '$1 != f { f = $1; print f ":" $2 ": clang-format -i it" }'
    # shellcheck disable=SC2016 # awk's dollars
    c_files | xargs -r awk 'length($0) > 100 { print FILENAME ":" FNR ": more than 100 columns" }'
}

rule_scripts() {
    if ! command -v shellcheck >/dev/null; then
        echo "needs shellcheck"
        exit 77
    fi
    files -name '*.sh' -o -name '*.bash' -o -name '*.bats' -o -path '.ci/run' | xargs -r shellcheck -x -P SCRIPTDIR -f gcc || true
}

rule_pages() {
    if ! command -v mandoc >/dev/null; then
        echo "needs mandoc"
        exit 77
    fi
    # The operating system and the date are nothing to complain about; a page that is referred to may be ours.
    files -path 'man/*.[1-9]' | xargs -r mandoc -T lint -W warning || true
}

# Mutable statics: only those that statics.txt lists, with the reason beside them.
rule_statics() {
    local library=${GRAFT_LIBRARY:-}
    if [ ! -e "$library" ]; then
        echo "needs the built library in GRAFT_LIBRARY"
        exit 77
    fi
    nm -f sysv "$library" | awk -F'|' -v list="$here/statics.txt" '
        BEGIN { while ((getline line < list) > 0) if (line !~ /^#/) { split(line, f, " "); known[f[1] " " f[2]] = 1 } }
        /^(Symbols from )?[^|]*\[[^|]*\.o\]:/ || /^[^|]*\.o:/ { object = $0; sub(/\.o\]?:.*/, "", object); sub(/.*[\[\/]/, "", object) }
        $7 ~ /^\.(bss|data|data\.rel|data\.rel\.local|tbss|tdata)(\..*)?$/ && $7 !~ /^\.data\.rel\.ro/ {
            name = $1
            gsub(/ /, "", name)
            sub(/\.[0-9]+$/, "", name)
            if (name !~ /^(__|\.)/ && !((object " " name) in known))
                print object ".c: mutable static \x27" name "\x27: pass it as context, or list it with a reason"
        }' | sort -u
}

rule_marks() {
    files -name '*' | { grep -v '^tests/lint/' || true; } | xargs -r grep -HnIE '\b(TODO|FIXME|XXX|HACK)\b' || true
}

# Names are unique in the tree, but for the parallel backends.
# (cmd/lineage.c is the program of that name, formats/lineage.c the thing itself; nothing else has two meanings.)
rule_names() {
    c_files | { grep -vE '^kernels/(ref|cpu|cuda)/|^cmd/lineage\.c$' || true; } | awk -F/ '
        ($NF in seen) { print $0 ":1: the name is taken by " seen[$NF] }
        !($NF in seen) { seen[$NF] = $0 }'
    # A header and its source stand together.
    c_files | { grep -vE '^(kernels|tests)/|^cmd/lineage\.c$' || true; } | awk -F/ '
        { stem = $NF; sub(/\.[ch]$/, "", stem); dir = $0; sub(/\/[^\/]*$/, "", dir)
          if (stem in where && where[stem] != dir) print $0 ":1: the stem \x27" stem "\x27 is also in " where[stem]
          where[stem] = dir }'
}

# The planted defects of tests/mutants fit the sources as they are, and their tests are there.
rule_mutants() {
    local table=tests/mutants/table.sh
    [ -e $table ] || return 0
    # shellcheck disable=SC2317 # called by the table
    mutant() { # NAME FILE FROM TO TEST...
        local test at=$table:${BASH_LINENO[0]}
        [ "$(grep -oF -- "$3" "$2" | wc -l)" -eq 1 ] || echo "$at: $1: '$3' does not stand in $2 exactly once"
        for test in "${@:5}"; do
            case $test in
            *.bats*) test=${test%%:*} ;;
            *) test=tests/${test%%:*}.c ;;
            esac
            [ -e "$test" ] || echo "$at: $1: there is no $test"
        done
    }
    # shellcheck source=/dev/null
    . $table
}

rule_top() {
    find . -mindepth 1 -maxdepth 1 -printf '%f\n' | sort |
        { grep -vxE 'cmd|common|kernels|formats|pipelines|tests|man|Makefile|README\.md|LICENSE|\.ci|\.git|\.github|\.gitignore|\.clang-format|\.editorconfig|\.shellcheckrc|build|demo' || true; } |
        while read -r f; do
            # What git ignores is somebody's own.
            git check-ignore -q "$f" 2>/dev/null || echo "$f:1: the top level is fixed"
        done
}

rules=$(declare -F | sed -n 's/^declare -f rule_//p')
case ${1:-} in
--rules) echo "$rules" ;;
'') echo "usage: lint.sh RULE [ROOT]; rules:" "${rules//$'\n'/ }" >&2; exit 2 ;;
*)
    declare -F "rule_$1" >/dev/null || { echo "lint.sh: no rule '$1'" >&2; exit 2; }
    cd "${2:-$here/../..}"
    offences=$("rule_$1") || { status=$?; printf '%s\n' "$offences"; exit "$status"; }
    [ -z "$offences" ] && exit 0
    printf '%s\n' "$offences"
    exit 1
    ;;
esac
