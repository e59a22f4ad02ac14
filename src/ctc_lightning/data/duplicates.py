"""Images that a folder holds more than once: in two classes they contradict, in two splits they leak."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ctc_lightning.data.decode import printable
from ctc_lightning.data.folders import SHOWN
from ctc_lightning.data.image_set import ImageFiles
from ctc_lightning.files.atomic_write import WriteError, write_text

MOST = 50_000
"""Images that are compared by default; listing the sizes of a million takes minutes on a network drive."""

_HEAD = 1 << 16  # bytes that are compared before whole files are


class _File(NamedTuple):
    split: str
    class_number: int
    path: Path


def find_duplicates(splits: Mapping[str, ImageFiles], label: str, records: Path | None = None) -> str | None:
    """One sentence that counts files of the same bytes in two classes or two splits, with examples.

    Only files of equal size are read, and whole only if they begin alike.

    Args:
        splits: some of which may be the same images under two names, which do not count.
        label: with one class an image.
        records: the folder where the sentence is kept for as long as no file changes; None: nowhere.
    """
    different = {id(files): (split, files) for split, files in reversed(list(splits.items()))}
    of_size: dict[Hashable, list[_File]] = defaultdict(list)
    seen = hashlib.blake2b(digest_size=8)
    for split, files in reversed(list(different.values())):
        classes = files.labels[label].tolist()
        for row in tqdm(range(len(files)), f"{split}, duplicates", delay=2, leave=False):
            path = files.path(row)
            with suppress(OSError):  # decoding reports it
                status = path.stat()
                of_size[status.st_size].append(_File(split, classes[row], path))
                seen.update(repr((split, classes[row], path, status.st_size, status.st_mtime_ns)).encode())
    record = None if records is None else records / f"{seen.hexdigest()}.txt"
    if record is not None and record.exists():
        return record.read_text() or None
    alike = [found for found in of_size.values() if len(found) > 1]
    text = _sentence(tqdm(alike, "duplicates", delay=2, leave=False))
    if record is not None:
        with suppress(WriteError):  # then they are compared again
            write_text(record, text, "rerun the same command")
    return text or None


def _sentence(alike: Iterable[list[_File]]) -> str:
    in_classes, in_splits = [], []
    for same in _of_same_content(alike):
        if len({file.class_number for file in same}) > 1:
            in_classes.append(_pair(same, "class_number"))
        if len({file.split for file in same}) > 1:
            in_splits.append(_pair(same, "split"))
    parts = [
        f"{len(pairs)} in two {what} ({'; '.join(pairs[:SHOWN])}{'; …' if len(pairs) > SHOWN else ''})"
        for what, pairs in (("classes", in_classes), ("splits", in_splits))
        if pairs
    ]
    return f"images of the same content: {', '.join(parts)}; remove one of each." if parts else ""


def _of_same_content(alike: Iterable[list[_File]]) -> Iterator[list[_File]]:
    for found in alike:
        for begin_alike in _grouped(found, partial(_digest, most=_HEAD)):
            yield from _grouped(begin_alike, _digest)


def _grouped(files: Iterable[_File], key: Callable[[Path], Hashable]) -> list[list[_File]]:
    groups: dict[Hashable, list[_File]] = defaultdict(list)
    for file in files:
        with suppress(OSError):
            groups[key(file.path)].append(file)
    return [group for group in groups.values() if len(group) > 1]


def _digest(path: Path, most: int = -1) -> bytes:
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(most), digest_size=16).digest()


def _pair(same: list[_File], differ: str) -> str:
    """The first file and the first that is of another split or class."""
    other = next(file for file in same if getattr(file, differ) != getattr(same[0], differ))
    return f"{printable(same[0].path)} and {printable(other.path)}"
