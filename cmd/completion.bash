# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# completion.bash: completes graft, its programs, and their options, for bash. The programs say themselves what they take
# (graft NAME --help-words): nothing here needs to know them.

_graft() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words kind
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "$previous" = help ]; }; then
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --list 2>/dev/null) help --version --exec-path" -- "$current")
        return
    fi
    words=$("${COMP_WORDS[0]}" "${COMP_WORDS[1]}" --help-words 2>/dev/null)
    # What the option before expects: one of a choice, a file, or something nobody can guess.
    kind=$(awk -F'\t' -v name="$previous" '$1 == name { print $2 }' <<<"$words")
    case $kind in
    '' | flag) ;;
    *'|'*)
        mapfile -t COMPREPLY < <(compgen -W "${kind//|/ }" -- "$current")
        return
        ;;
    value) return ;;
    esac
    case $current in
    -*) mapfile -t COMPREPLY < <(compgen -W "$(cut -f1 <<<"$words") --help --version" -- "$current") ;;
    *) compopt -o filenames 2>/dev/null && mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    esac
}
complete -F _graft graft
