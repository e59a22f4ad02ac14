"""Digests: 16 hexadecimal digits that name plain values or tensors."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_CHUNK = 2**26  # bytes that are copied at a time: images may be a file that does not fit in memory


def digest_of(values: Any) -> str:
    """16 hexadecimal digits of plain values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits of named tensors: names, shapes, dtypes and bytes."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        for part in _parts(tensor):
            digest.update(part.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    """Rows that follow each other, contiguous on the CPU."""
    rows = tensor.detach().reshape(1) if tensor.ndim == 0 else tensor.detach()
    at_once = max(1, _CHUNK // max(1, rows[:1].nbytes))
    for part in rows.split(at_once):
        yield part.cpu().contiguous()
