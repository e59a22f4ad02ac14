"""Decoded images on disk: uint8, memory-mapped, checksummed, made once whoever asks first."""

# N images, H rows, W columns, C channels

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ctc_lightning.data.image_set import ImageSet
from ctc_lightning.files.atomic_write import atomic_folder, write_errors
from ctc_lightning.files.locks import locked

log = logging.getLogger(__name__)

Build = Callable[[Path], tuple[Mapping[str, ImageSet], Mapping[str, Any]]]

_INFO, _LABELS = "info.json", "labels.safetensors"
_THEN = "rerun the same command, or set data.cache_dir to another folder"
_FORMAT = 3  # raise it when what is written changes


class ImageCache:
    """A folder of image sets for each key: ``SPLIT.npy`` (N, H, W, C), labels, class names, checksums.

    Args:
        folder: where all of them are.
        name: of the data set.
        key: all that the pixels, labels and splits depend on, as plain values; another key is another folder.
    """

    def __init__(self, folder: Path, name: str, key: Mapping[str, Any]) -> None:
        self.key = {"format": _FORMAT, **key}
        code = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()[:16]
        self.path = folder / f"{name}_{code}"
        self.name = name

    def load(self, build: Build) -> dict[str, ImageSet]:
        """The image sets, memory-mapped; built under a lock if they are not there or damaged.

        The pixels are pages of the files, which all processes of a machine share. They may be written to:
        that changes this process's copy alone.

        Args:
            build: makes the image sets, and notes to keep in ``info.json``; may put the large files
                ``SPLIT.npy`` into the folder it is given, and then returns memory-maps of them.

        Raises:
            WriteError: the folder cannot be written to.
            Exception: whatever ``build`` raises.
        """
        if self.damage() is None:  # asks for no right to write
            return self._open()
        with ExitStack() as stack:
            with write_errors(self.path, _THEN):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.path.with_name(f"{self.path.name}.lock")))
            damage = self.damage()
            if damage is not None:
                if self.path.exists():
                    log.warning("The cache %s %s: it is made again.", self.path, damage)
                self._write(build)
            return self._open()

    @property
    def info(self) -> dict[str, Any]:
        """What stands in ``info.json``: the key, the builder's notes, class names and checksums."""
        return json.loads((self.path / _INFO).read_text())

    def damage(self) -> str | None:
        """What is wrong with what is there; None if nothing is."""
        try:
            for file, expected in self.info["sha256"].items():
                if checksum(self.path / file) != expected:
                    return f"is damaged ({file} has another checksum)"
        except (OSError, ValueError, KeyError):
            return "is not complete"
        return None

    def _write(self, build: Build) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with atomic_folder(self.path, _THEN) as beside:
            self._fill(beside, *build(beside))

    def _fill(self, beside: Path, image_sets: Mapping[str, ImageSet], notes: Mapping[str, Any]) -> None:
        labels: dict[str, torch.Tensor] = {}
        for split, images in image_sets.items():
            if not (beside / f"{split}.npy").exists():
                np.save(beside / f"{split}.npy", images.image.permute(0, 2, 3, 1).contiguous().numpy())
            for label, y_N in images.labels.items():  # splits may share them, which the file format refuses
                labels[f"{split}/{label}"] = y_N.clone(memory_format=torch.contiguous_format)
        save_file(labels, beside / _LABELS)
        info = {
            "key": self.key,
            "notes": dict(notes),
            "images": {split: len(images) for split, images in image_sets.items()},
            "classes": {split: dict(images.classes) for split, images in image_sets.items()},
            "sha256": {path.name: checksum(path) for path in sorted(beside.iterdir())},
        }
        (beside / _INFO).write_text(json.dumps(info, indent=1) + "\n")

    def _open(self) -> dict[str, ImageSet]:
        info, labels = self.info, load_file(self.path / _LABELS)
        return {
            split: ImageSet(
                open_pixels(self.path / f"{split}.npy"),
                {
                    name.partition("/")[2]: y_N
                    for name, y_N in labels.items()
                    if name.partition("/")[0] == split
                },
                {label: tuple(names) for label, names in classes.items()},
            )
            for split, classes in info["classes"].items()
        }


def open_pixels(path: Path) -> torch.Tensor:
    """(N, C, H, W) uint8, a view of the (N, H, W, C) file, copied on write."""
    return torch.from_numpy(np.load(path, mmap_mode="c")).permute(0, 3, 1, 2)


def checksum(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path, but: Path) -> str:
    """A digest of names, sizes and times of all files below ``folder``: changes when they do.

    Hidden files and folders, and the folder ``but``, do not count; what several links lead to counts once.
    """
    digest = hashlib.sha256()
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        here, status = Path(place), os.stat(place)  # noqa: PTH116
        digest.update(os.fsencode(f"{here.relative_to(folder)}\n"))
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(sub for sub in folders if not sub.startswith(".") and here / sub != but)
        for file in sorted(file for file in files if not file.startswith(".")):
            with suppress(OSError):  # a link to nowhere or itself
                status = os.stat(f"{place}/{file}")  # noqa: PTH116  # no Path for each of a million files
                digest.update(os.fsencode(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n"))
    return digest.hexdigest()
