"""A folder that appears whole, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is.

    Raises:
        ValueError: a file is there, or a folder that is not empty unless ``overwrite``.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output={folder} is a file; name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ValueError(
            f"output={folder} exists; name another folder, or set overwrite=true to replace its files."
        )


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside ``folder``, whose files go there once all of them are written.

    Files that are there already are replaced by those of the same names, one by one; others stay.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    beside.mkdir()
    try:
        yield beside
        folder.mkdir(exist_ok=True)
        for file in sorted(beside.iterdir()):
            file.replace(folder / file.name)
    finally:
        shutil.rmtree(beside)
