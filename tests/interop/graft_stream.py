#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""graft_stream.py: reads and writes tensor streams with public packages only, from graft-stream(5) alone.

    graft_stream.py check FILE          checks everything, prints kind, counts and id as JSON
    graft_stream.py rows FILE           prints rows (or tensors) as JSON lines, floats as hex
    graft_stream.py rewrite IN OUT      writes the same content, framed in its own way
    graft_stream.py joined A B OUT      writes both, framed anew, as two segments

Needs msgpack and zstandard; xxhash for hashes: without it reading leaves those out and says so, writing is refused.
"""
import json
import struct
import sys

import msgpack
import zstandard

try:
    import xxhash
except ImportError:
    xxhash = None

MAGIC = struct.pack("<II", 0x184D2A50, 6) + b"graft\x01"
FRAME_LIMIT = 4 << 20
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
         "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
BLOCKS = {"Q8_0": (32, 34), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24),
          "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210), "NF4": (64, 36), "NF4_DQ": (64, 33)}
ROW_KINDS = ("tokens", "features", "logits")
KINDS = ROW_KINDS + ("tokenizer", "model", "adapter", "head", "checkpoint")


class Bad(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Bad(what)


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def unpack(data):
    """All values in data, each with its bytes."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=True, max_buffer_size=len(data) + 1,
                                object_pairs_hook=pairs)
    unpacker.feed(data)
    at = 0
    while at < len(data):
        value = unpacker.unpack()
        yield value, data[at:unpacker.tell()]
        at = unpacker.tell()


def pairs(items):
    d = dict(items)
    need(len(d) == len(items), "a key stands twice")
    return d


def h128(data):
    return xxhash.xxh3_128(data).digest()


def h64(data):
    return struct.pack("<Q", xxhash.xxh3_64(data).intdigest())


def ragged(field):
    return field["shape"] == [-1]


def unit(field):
    """Elements and bytes of what is not cut: a block, or one element."""
    return BLOCKS.get(field["dtype"]) or (1, SIZES[field["dtype"]])


def cell_size(field):
    elements, size = unit(field)
    n = 1
    for k in field["shape"]:
        n *= k if k >= 0 else 1
    return n // elements * size


class Content:
    """Columns or tensors of a stream: what its id is made of."""

    def __init__(self, body_bytes):
        self.body_bytes = body_bytes
        self.body = next(unpack(body_bytes))[0]
        self.columns = self.body["columns"]
        self.tensors = self.body["tensors"]
        self.data = [bytearray() for _ in self.columns]
        self.lengths = [[] for _ in self.columns]
        self.tensor_data = {t["name"]: bytearray() for t in self.tensors}
        self.rows = 0

    def bytes(self):
        return sum(map(len, self.data)) + sum(map(len, self.tensor_data.values()))

    def id(self):
        h = xxhash.xxh3_128(self.body_bytes)
        for field, data, lengths in zip(self.columns, self.data, self.lengths):
            if ragged(field):
                h.update(h128(struct.pack("<%dQ" % len(lengths), *lengths)))
            h.update(h128(bytes(data)))
        for name in sorted(self.tensor_data, key=lambda s: s.encode()):
            h.update(h128(bytes(self.tensor_data[name])))
        h.update(struct.pack("<QQQ", self.rows, len(self.tensors), self.bytes()))
        return h.digest()


# ---------------------------------------------------------------------- reading

def check_body(body):
    need(list(body) == ["graft", "kind", "columns", "tensors", "meta"], "keys of begin")
    need(body["graft"] == 1 and body["kind"] in KINDS, "version or kind")
    rows = body["kind"] in ROW_KINDS
    need(bool(body["columns"]) == rows and not (rows and body["tensors"]), "columns or tensors of the kind")
    for fields in (body["columns"], body["tensors"]):
        need(len({f["name"] for f in fields}) == len(fields), "a name stands twice")
        for f in fields:
            need(list(f) == ["name", "dtype", "shape"], "a field")
            need(f["dtype"] in SIZES or (f["dtype"] in BLOCKS and fields is body["tensors"]), "a dtype")
            need((f["shape"] or [1])[-1] % unit(f)[0] == 0, "a dimension that is not whole blocks")
            need(1 <= len(f["name"].encode()) <= 255, "a name")


def split_frames(data, at):
    """One segment from data[at:]: (end, [frame bytes], [offset])."""
    start, frames, entries = at, [], [(14, 0)]
    need(data[at:at + 14] == MAGIC, "magic")
    at += 14
    while data[at:at + 4] == struct.pack("<I", 0xFD2FB528):
        params = zstandard.get_frame_parameters(data[at:at + 18])
        need(params.has_checksum and params.dict_id == 0, "frame without checksum, or with a dictionary")
        need(0 < params.content_size <= FRAME_LIMIT and params.window_size <= 8 << 20, "size of a frame")
        d = zstandard.ZstdDecompressor().decompressobj()
        raw = d.decompress(data[at:at + FRAME_LIMIT + (64 << 10)])
        need(d.eof and len(raw) == params.content_size, "frame cut short")
        size = len(data[at:at + FRAME_LIMIT + (64 << 10)]) - len(d.unused_data)
        frames.append(raw)
        entries.append((size, len(raw)))
        at += size
    seal = data[at:at + 16]
    need(seal[:8] == struct.pack("<II", 0x184D2A51, 8) and len(seal) == 16, "seal")
    need(xxhash is None or seal[8:] == h64(data[start:at]), "hash of the seal")
    at += 16
    entries.append((16, 0))
    table = encode_table(entries)
    need(data[at:at + len(table)] == table, "table")
    return at + len(table), frames


def encode_table(entries):
    body = b"".join(struct.pack("<II", *e) for e in entries) + struct.pack("<IBI", len(entries), 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(body)) + body


def take_rows(content, record, state):
    more = record.get("more", False)
    need(list(record) == ["rows"] + (["more"] if more else []) + ["cells"], "keys of a rows record")
    n, cells = record["rows"], record["cells"]
    need(len(cells) == len(content.columns) and (n == 1 or not more or n == 0), "cells")
    need((n == 0) == state["open"], "a piece without its row, or a row without its piece")
    for i, (field, cell) in enumerate(zip(content.columns, cells)):
        size = cell_size(field)
        if not ragged(field):
            need(isinstance(cell, bytes) and len(cell) == n * size, "size of a fixed cell")
            content.data[i] += cell
            continue
        lengths = [x for (x,) in struct.iter_unpack("<I", cell[0])]
        need(len(lengths) == max(n, 1) and sum(lengths) * size == len(cell[1]), "lengths")
        content.data[i] += cell[1]
        if n == 0:
            content.lengths[i][-1] += lengths[0]
        else:
            content.lengths[i] += lengths
    content.rows += n
    state["open"] = more


def take_tensor(content, record, state):
    need(list(record) == ["tensor", "dtype", "shape", "first", "data"], "keys of a tensor record")
    todo = [t for t in content.tensors if len(content.tensor_data[t["name"]]) < cell_size(t)]
    need(todo and {k: record[k2] for k, k2 in (("name", "tensor"), ("dtype", "dtype"), ("shape", "shape"))} == todo[0],
         "the next tensor")
    data = content.tensor_data[record["tensor"]]
    elements, size = unit(record)
    need(record["first"] % elements == 0 and record["first"] // elements * size == len(data), "the next piece")
    need(record["data"] and len(record["data"]) % size == 0, "a piece")
    data += record["data"]
    need(len(data) <= cell_size(todo[0]), "too many elements")


def step_id(s):
    return h128(pack([s["program"], s["version"], s["options"], s["mode"], s["cpu"],
                      [[i["role"], i["step"], i["content"]] for i in s["inputs"]], s["output"]]))


def check_lineage(lineage, content_id):
    known = {bytes(16)}
    for s in lineage["steps"]:
        need(xxhash is None or step_id(s) == s["id"], "id of a step")
        need(all(i["step"] in known for i in s["inputs"]), "a step's input")
        known.add(s["id"])
    need(not lineage["steps"] or lineage["steps"][-1]["output"] == content_id, "output of the last step")


def read_segment(frames):
    need(len(frames) >= 2, "begin and end")
    (begin, begin_bytes), = unpack(frames[0])
    (end, _), = unpack(frames[-1])
    need(list(begin)[0] == "begin" and list(end) == ["end"], "begin and end")
    body_bytes = pack(begin["begin"])
    need(begin_bytes[7:7 + len(body_bytes)] == body_bytes, "begin is not in the shortest form")
    check_body(begin["begin"])
    content, state, index, before = Content(body_bytes), {"open": False}, [], 0
    for raw in frames[1:-1]:
        index.append(before)
        for record, _ in unpack(raw):
            if "rows" in record:
                take_rows(content, record, state)
                before = content.rows
            else:
                take_tensor(content, record, state)
                before += 1
    end, step = end["end"], end["end"]["step"]
    need(not state["open"], "a row is not complete")
    need(all(len(content.tensor_data[t["name"]]) == cell_size(t) for t in content.tensors), "a tensor is not complete")
    need((end["rows"], end["tensors"], end["bytes"]) == (content.rows, len(content.tensors), content.bytes()), "counts")
    need(end["index"] == b"".join(struct.pack("<Q", x) for x in index[::step]), "index")
    need(xxhash is None or end["id"] == content.id(), "id")
    check_lineage(end["lineage"], end["id"])
    return content, end


def read(path):
    """[(Content, end)] of the segments; raises Bad."""
    with open(path, "rb") as f:
        data = f.read()
    segments, at = [], 0
    while at < len(data) or not segments:
        at, frames = split_frames(data, at)
        segments.append(read_segment(frames))
        need(segments[0][0].body_bytes == segments[-1][0].body_bytes, "segments do not agree")
    need(len(segments) == 1 or segments[0][0].columns, "tensors cannot be joined")
    return segments


# ---------------------------------------------------------------------- writing

def each_row(content):
    """(cells as bytes, lengths) per row."""
    at = [0] * len(content.columns)
    for r in range(content.rows):
        cells, lengths = [], []
        for i, field in enumerate(content.columns):
            n = content.lengths[i][r] if ragged(field) else 1
            size = n * cell_size(field)
            cells.append(bytes(content.data[i][at[i]:at[i] + size]))
            lengths.append(n)
            at[i] += size
        yield cells, lengths


def whole_row(content, cells, lengths):
    return {"rows": 1, "cells": [[struct.pack("<I", n), c] if ragged(f) else c
                                 for f, c, n in zip(content.columns, cells, lengths)]}


def pieces(content, cells, limit):
    """A row in pieces of at most `limit` elements per ragged cell."""
    out, at, first = [], 0, True
    while True:
        part, more = [], False
        for f, c in zip(content.columns, cells):
            if not ragged(f):
                part.append(c if first else b"")
                continue
            size = cell_size(f)
            piece = c[at * size:(at + limit) * size]
            more = more or len(c) > (at + limit) * size
            part.append([struct.pack("<I", len(piece) // size), piece])
        record = {"rows": 1 if first else 0, "more": True, "cells": part}
        if not more:
            del record["more"]
        out.append(record)
        if not more:
            return out
        at, first = at + limit, False


def row_frames(content):
    """Frames as lists of records: several rows a record, several records a frame, long rows in pieces."""
    frame = []
    for i, (cells, lengths) in enumerate(each_row(content)):
        frame += pieces(content, cells, 7) if max(lengths) > 20 else [whole_row(content, cells, lengths)]
        if i % 5 == 4:
            yield frame
            frame = []
    if frame:
        yield frame


def tensor_frames(content):
    for t in content.tensors:
        data, (elements, size) = bytes(content.tensor_data[t["name"]]), unit(t)
        step = 100 * size
        for at in range(0, len(data), step):
            yield [{"tensor": t["name"], "dtype": t["dtype"], "shape": t["shape"], "first": at // size * elements,
                    "data": data[at:at + step]}]


def encode(content, steps):
    need(xxhash is not None, "writing needs xxhash")
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True, write_content_size=True)
    out, entries, index, before = bytearray(MAGIC), [(14, 0)], [], 0

    def frame(raw):
        packed = compressor.compress(raw)
        entries.append((len(packed), len(raw)))
        out.extend(packed)

    frame(pack({"begin": content.body}))
    for records in row_frames(content) if content.columns else tensor_frames(content):
        index.append(before)
        before += sum(r["rows"] if "rows" in r else 1 for r in records)
        frame(b"".join(map(pack, records)))
    frame(pack({"end": {"rows": content.rows, "tensors": len(content.tensors), "bytes": content.bytes(),
                        "id": content.id(), "step": 1, "index": struct.pack("<%dQ" % len(index), *index),
                        "lineage": {"steps": steps}}}))
    out += struct.pack("<II", 0x184D2A51, 8) + h64(bytes(out))
    entries.append((16, 0))
    return bytes(out) + encode_table(entries)


def next_step(content, end, name):
    """The steps of the input and one of our own."""
    before = end["lineage"]["steps"]
    s = {"id": b"", "program": "graft_stream.py", "version": "1", "options": [["way", "rewrite"]], "mode": "", "cpu": "",
         "inputs": [{"role": "input", "name": name, "step": before[-1]["id"] if before else bytes(16),
                     "content": end["id"], "rows": end["rows"] if content.columns else -1, "partial": False}],
         "rows": content.rows, "tensors": len(content.tensors), "output": content.id()}
    s["id"] = step_id(s)
    return before + [s]


# ---------------------------------------------------------------------- commands

def rewrite(inputs, output):
    with open(output, "wb") as f:
        for path in inputs:
            for content, end in read(path):
                f.write(encode(content, next_step(content, end, path.split("/")[-1])))


def check(path):
    segments = read(path)
    content, end = segments[0]
    print(json.dumps({"kind": content.body["kind"], "segments": len(segments),
                      "rows": sum(c.rows for c, _ in segments), "tensors": len(content.tensors),
                      "bytes": sum(c.bytes() for c, _ in segments), "hashes": xxhash is not None,
                      "id": end["id"].hex() if len(segments) == 1 else None,
                      "steps": [s["program"] for s in end["lineage"]["steps"]]}))


def rows(path):
    for content, _ in read(path):
        for cells, _ in each_row(content):
            print(json.dumps({f["name"]: c.hex() for f, c in zip(content.columns, cells)}))
        for name, data in content.tensor_data.items():
            print(json.dumps({name: data.hex()}))


def main(argv):
    try:
        if argv[1:2] == ["check"] and len(argv) == 3:
            check(argv[2])
        elif argv[1:2] == ["rows"] and len(argv) == 3:
            rows(argv[2])
        elif argv[1:2] == ["rewrite"] and len(argv) == 4:
            rewrite(argv[2:3], argv[3])
        elif argv[1:2] == ["joined"] and len(argv) == 5:
            rewrite(argv[2:4], argv[4])
        else:
            sys.exit(__doc__)
    except (Bad, zstandard.ZstdError, msgpack.UnpackException, ValueError) as e:
        sys.exit("%s: %s" % (argv[2], e))


if __name__ == "__main__":
    main(sys.argv)
