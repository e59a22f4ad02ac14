"""The container of a W&B run's own file, ``run-ID.wandb``: one record after another."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

# LevelDB's log: blocks in which a record is whole or in pieces, each piece with a check sum of its own
_BLOCK = 2**15  # bytes
_FILE_HEADER = struct.Struct("<4sHB")  # name, magic number, version
_HEADER = struct.Struct("<IHB")  # CRC-32 of kind and data, bytes of data, kind
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def wandb_records(file: Path) -> Iterator[bytes]:
    """The records as they were written; a killed process's file ends where it is not whole.

    Raises:
        ValueError: the file is none of W&B's.

    Source: LevelDB's log format (google/leveldb doc/log_format.md) behind W&B's seven bytes of header, as in
    wandb 0.17 sdk/internal/datastore.py.
    """
    content = file.read_bytes()
    if len(content) >= _FILE_HEADER.size and not content.startswith(b":W&B"):
        raise ValueError(f"{file} is not a file of W&B's: it begins with {content[:4]!r}")
    at, record = _FILE_HEADER.size, b""
    while at + _HEADER.size <= len(content):
        if (left := _BLOCK - at % _BLOCK) < _HEADER.size:
            at += left  # padding
            continue
        check_sum, size, kind = _HEADER.unpack_from(content, at)
        at += _HEADER.size
        data = content[at : at + size]
        if len(data) < size or zlib.crc32(data, zlib.crc32(bytes([kind]))) != check_sum:
            return
        at += size
        record = record + data if kind in (_MIDDLE, _LAST) else data
        if kind in (_WHOLE, _LAST):
            yield record
