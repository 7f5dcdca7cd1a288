#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mixed.sh BYTES: text of mixed scripts and code on stdout, for measurements: one half translated manual pages (German, Greek,
# French, Japanese, Polish, Russian, Ukrainian, Vietnamese, Chinese), one half Go sources, all from Debian packages. What is not
# installed is downloaded by apt-get into a directory that goes again. The same packages give the same bytes. Exit status 4: they
# cannot be had.
set -eu -o pipefail
pages=(manpages-de manpages-el manpages-fr manpages-ja manpages-pl manpages-ru manpages-uk manpages-vi manpages-zh)
sources=(golang-1.19-src)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

files_of() { # DIRECTORY PACKAGE: paths of its files
    if dpkg-query -W -f '${Status}' "$2" 2>/dev/null | grep -q ' installed$'; then
        dpkg -L "$2"
    else
        mkdir -p "$1"
        (cd "$1" && apt-get -q -o APT::Sandbox::User=root download "$2") >/dev/null 2>&1 || return 1
        dpkg-deb -x "$1"/"$2"_*.deb "$1" || return 1
        find "$1" -type f
    fi
}

for package in "${pages[@]}" "${sources[@]}"; do
    if ! files_of "$scratch/$package" "$package" >>"$scratch/all"; then
        echo "mixed.sh: no package $package here" >&2
        exit 4
    fi
done
# In an order that is mixed, and the same wherever they lie: by a hash of the path without what is before usr/.
sed -n 's,^\(.*\)\(/usr/share/.*\)$,\2\t\1\2,p' "$scratch/all" | grep -E '\.(gz|go)	' |
    LC_ALL=C sort -R --random-source=/dev/zero -k 1,1 | cut -f 2 >"$scratch/order"
utf8() { iconv -c -f utf-8 -t utf-8 2>/dev/null || true; } # a character may be cut at the end
{ grep '\.gz$' "$scratch/order" | xargs -d '\n' gzip -dcq 2>/dev/null | head -c $(($1 / 2)) | utf8; } || true
{ grep '\.go$' "$scratch/order" | xargs -d '\n' cat 2>/dev/null | head -c $(($1 / 2)) | utf8; } || true
