#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_tensor_files.py: writes tensors.{safetensors,gguf,npy,npz} and aligned.gguf here, with the packages safetensors,
gguf and numpy, and llama2c.bin as llama2.c's export.py lays it out. Their tests read them, write them again and demand the same bytes.
"""
import os
import struct

import gguf
import numpy as np
import safetensors.numpy

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(7)

safetensors.numpy.save_file({
    "a.i64": np.arange(5, dtype="i8"), "a.u64": np.array([1 << 63], "u8"), "b.f32": rng.standard_normal((3, 4)).astype("f4"),
    "b.none": np.zeros((0, 3), "f4"), "b.scalar": np.array(3, "f4"), "c.f16": np.ones((2, 1, 2), "f2"),
    "d.bool": np.array([True, False]), "d.u8 \u00e9\"": np.arange(3, dtype="u1")},
    "tensors.safetensors", {"format": "np"})

w = gguf.GGUFWriter("tensors.gguf", "llama")
for name, value in (("uint8", 200), ("int8", -3), ("uint16", 60000), ("int16", -300), ("uint32", 4000000000),
                    ("int32", -70000), ("uint64", 1 << 63), ("int64", -1 << 40), ("float32", 0.5), ("float64", 0.1),
                    ("bool", True), ("string", "caf\u00e9")):
    getattr(w, "add_" + name)("x." + name, value)
w.add_array("x.texts", ["a", "", "bc"])
w.add_array("x.numbers", [1, -2, 3])
w.add_array("x.reals", [0.5, 1.5])
w.add_array("x.nested", [[1, 2], [3]])
x = rng.standard_normal((1, 256)).astype("f4")
for name in ("BF16", "F16", "F32"):
    kind = gguf.GGMLQuantizationType[name]
    w.add_tensor(name.lower(), gguf.quantize(x, kind), raw_dtype=kind)
w.add_tensor("i32", np.arange(3, dtype="i4"))
for name in ("Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K", "Q6_K", "Q8_0"):
    kind = gguf.GGMLQuantizationType[name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = gguf.quantize(x, kind) if block == 32 else np.arange(size, dtype="u1").reshape(1, size)
    w.add_tensor(name.lower(), blocks, raw_dtype=kind)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()

w = gguf.GGUFWriter("aligned.gguf", "llama")
w.add_custom_alignment(64)
w.add_tensor("a", np.arange(3, dtype="f4"))
w.add_tensor("b", np.ones((2, 2), "f2"))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()

np.save("tensors.npy", rng.standard_normal((2, 3)).astype("f2"))
np.savez("tensors.npz", first=np.arange(4, dtype="i2"), second=np.array([[1.5]]))

dim, hidden, layers, heads, kv_heads, vocab, length = 8, 12, 2, 2, 1, 10, 4
sizes = [vocab * dim, layers * dim, layers * dim * dim, layers * dim // 2 * dim, layers * dim // 2 * dim,
         layers * dim * dim, layers * dim, layers * hidden * dim, layers * dim * hidden, layers * hidden * dim, dim,
         length * dim // heads // 2, length * dim // heads // 2, vocab * dim]
with open("llama2c.bin", "wb") as f:
    f.write(struct.pack("<7i", dim, hidden, layers, heads, kv_heads, -vocab, length))
    f.write(np.arange(sum(sizes), dtype="f4").tobytes())
