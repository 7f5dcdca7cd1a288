#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py COMMITTED MADE: how far two files or folders of expected values lie apart, on one line: "the same bytes", or the
largest difference of two numbers (relative to the greater, or to 1) where all else is the same. Exit status 1 when anything else
differs, or a number by more than 1e-6."""
import json
import os
import sys


def differences(a, b, place):
    """Of all pairs of numbers; what is of another kind or text is said and ends it."""
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, (int, float)) or not isinstance(b, (int, float)):
        if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            for i, (x, y) in enumerate(zip(a, b)):
                yield from differences(x, y, f"{place}[{i}]")
        elif isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            for k in a:
                yield from differences(a[k], b[k], f"{place}.{k}")
        elif a != b:
            sys.exit(f"{place} differs")
    else:
        yield abs(a - b) / max(1.0, abs(a), abs(b))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def compare(a, b):
    if os.path.isdir(a):
        names = sorted(os.listdir(a))
        if names != sorted(os.listdir(b)):
            sys.exit(f"{a}: other files: {sorted(set(names) ^ set(os.listdir(b)))}")
        return max(compare(os.path.join(a, n), os.path.join(b, n)) for n in names)
    one, two = read(a), read(b)
    if one == two:
        return 0.0
    if not a.endswith(".json"):
        sys.exit(f"{a}: other bytes")
    return max(differences(json.loads(one), json.loads(two), os.path.basename(a)), default=0.0)


worst = compare(*sys.argv[1:3])
print("the same" if worst == 0 else f"at most {worst:.1e} apart")
sys.exit(worst > 1e-6)
