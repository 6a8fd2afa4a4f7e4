"""A safetensors file is never taken for a pickle, whatever the length of its header."""

import struct

import pytest
import torch

from vlmrec.core.tensor_files import load_tensors, save_tensors


@pytest.mark.parametrize("header", [640, 896, 1152])  # little-endian: 80 02, 80 03, 80 04
def test_headers_that_start_like_a_pickle_are_read(tmp_path, header):
    path = tmp_path / "weights.safetensors"
    lengths = set()
    for n in range(header - 100, header):  # a longer name makes a longer header
        save_tensors(path, {"x" * n: torch.arange(3.0)})
        lengths.add(struct.unpack("<Q", path.read_bytes()[:8])[0])
        if header in lengths:
            break
    assert path.read_bytes()[:2] == struct.pack("<H", header)
    assert load_tensors(path)["x" * n].tolist() == [0.0, 1.0, 2.0]
