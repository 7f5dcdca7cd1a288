#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile.py FOLDER: writes streams that lie, one file each: seals, tables and checksums are right unless they are the lie.
None is larger than a few hundred kB; each claims, or unpacks to, far more than a reader may believe."""
import os
import struct
import sys

import msgpack
import xxhash
import zstandard

MAGIC = struct.pack("<II", 0x184D2A50, 6) + b"graft\x01"


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def compress(raw):
    return zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True).compress(raw)


def table_of(entries):
    body = b"".join(struct.pack("<II", *e) for e in entries) + struct.pack("<IBI", len(entries), 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(body)) + body


def around(packed, sizes=None, table=None):
    """Compressed frames with magic, seal and table."""
    out = MAGIC + b"".join(packed)
    entries = [(14, 0)] + [(len(p), s) for p, s in zip(packed, sizes or [0] * len(packed))] + [(16, 0)]
    out += struct.pack("<II", 0x184D2A51, 8) + struct.pack("<Q", xxhash.xxh3_64(out).intdigest())
    return out + (table or table_of)(entries)


def stream(raws, table=None):
    return around([compress(r) for r in raws], [len(r) for r in raws], table)


def body(kind="features", columns=None, tensors=(), meta=None):
    if columns is None:
        columns = [{"name": "x", "dtype": "U8", "shape": []}, {"name": "v", "dtype": "U16", "shape": [-1]}]
    return {"graft": 1, "kind": kind, "columns": columns, "tensors": list(tensors), "meta": meta or {}}


def begin(**more):
    return pack({"begin": body(**more)})


def end(rows=0, tensors=0, size=0, ident=bytes(16), index=b"", step=1):
    return pack({"end": {"rows": rows, "tensors": tensors, "bytes": size, "id": ident, "step": step, "index": index,
                         "lineage": {"steps": []}}})


def row(x=b"\1", lengths=struct.pack("<I", 1), data=b"\1\0", n=1):
    return pack({"rows": n, "cells": [x, [lengths, data]]})


def model(dims, dtype="F32"):
    return begin(kind="model", columns=[], tensors=[{"name": "w", "dtype": dtype, "shape": dims}])


def blocks(claimed, count, size):
    """A zstd frame: `claimed` bytes by its header, count RLE blocks of `size` each. Without a checksum that is right."""
    head = struct.pack("<I", 0xFD2FB528) + bytes([0xA4]) + struct.pack("<I", claimed)
    block = [struct.pack("<I", (size << 3) | 2 | (i == count - 1))[:3] + b"\0" for i in range(count)]
    return head + b"".join(block) + b"\0\0\0\0"


def files():
    index = struct.pack("<Q", 0)
    yield "bomb-header", around([compress(begin()), blocks(0xFFFFFFF0, 1, 131072)], [len(begin()), 0xFFFFFFF0])
    yield "bomb-blocks", around([compress(begin()), blocks(4 << 20, 60000, 131072)], [len(begin()), 4 << 20])
    yield "bomb-second-frame", stream([begin(), b"\0" * (64 << 20)])
    yield "rows-2-63", stream([begin(), row(n=2**63 - 1), end(rows=2**63 - 1, index=index)])
    yield "rows-2-64", stream([begin(), row(n=2**64 - 1), end(index=index)])
    yield "end-of-2-62-rows", stream([begin(), row(), end(rows=2**62, size=3, index=index)])
    yield "lengths-2-32", stream([begin(), row(lengths=struct.pack("<I", 2**32 - 1)), end(rows=1, index=index)])
    yield "columns-many", stream([begin(columns=[{"name": "c%d" % i, "dtype": "U8", "shape": []} for i in range(5000)]), end()])
    yield "column-huge", stream([begin(columns=[{"name": "c", "dtype": "F64", "shape": [2**60]}]), end()])
    yield "tensor-2-62", stream([model([2**31, 2**31]), end(tensors=1)])
    yield "tensor-2-60-bytes", stream([model([2**60], "U8"), end(tensors=1)])
    yield "tensor-zero-times-2-62", stream([model([0, 2**62, 2**62]), end(tensors=1)])
    yield "nested", stream([b"\x81\xa5begin" + b"\x91" * 500000 + b"\xc0", end()])
    deep = begin().replace(b"\xa4meta\x80", b"\xa4meta\x81\xa1m" + b"\x81\xa1k" * 100000 + b"\x80")
    yield "nested-meta", stream([deep, end()])
    yield "keys-twice", stream([begin().replace(b"\xa4meta\x80", b"\xa4meta\x82\xa1k\x01\xa1k\x02"), end()])
    yield "begin-twice", stream([begin().replace(b"\xa5graft\x01", b"\xa5graft\x01\xa5graft\x01").replace(b"\x85", b"\x86", 1), end()])
    yield "map-of-2-32", stream([b"\x81\xa5begin\xdf\xff\xff\xff\xff", end()])
    yield "bin-of-2-32", stream([begin(), b"\x82\xa4rows\x01\xa5cells\x92\xc6\xff\xff\xff\xff", end()])
    yield "index-huge", stream([begin(), row(), end(rows=1, size=3, index=index * 100000)])
    honest = [begin(), row(), end(rows=1, size=3, index=index)]
    yield "table-of-2-32", stream(honest, lambda e: struct.pack("<II", 0x184D2A5E, 0xFFFFFFFF) + table_of(e)[8:])
    yield "table-counts", stream(honest, lambda e: table_of(e)[:-9] + struct.pack("<IBI", 0x7FFFFFF, 0, 0x8F92EAB1))
    yield "table-sizes", stream(honest, lambda e: table_of([e[0], (e[1][0] + 1, e[1][1]), (e[2][0] - 1, e[2][1])] + e[3:]))
    yield "table-empty", stream(honest, lambda e: table_of([]))
    yield "table-raw-sizes", stream(honest, lambda e: table_of([(p, 0xFFFFFFFF) for p, _ in e]))


for name, data in files():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(data)
