"""Lists the images of class folders, as torchvision's ``ImageFolder`` does, without opening one."""

# N images

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from tqdm import tqdm

log = logging.getLogger(__name__)

SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
SHOWN = 3
"""Names that a message lists before it says how many more there are."""


def find_classes(folder: Path) -> list[str]:
    """The names of the class folders in ``folder``, sorted; they are not looked into.

    Raises:
        ValueError: no such folder, no class folder in it, one that may not be read.
    """
    if not folder.is_dir():
        raise ValueError(
            f"There is no folder {folder}: put the images there, or say where they are by data.root=FOLDER."
        )
    found = sorted(entry.name for entry in _entries(folder)[0])
    if not found:
        raise ValueError(
            f"{folder} has no class folders: put the images of each class into a folder of its own, "
            f"as in {folder / 'CLASS' / 'image.jpg'}."
        )
    return found


def list_class_folders(
    folder: Path, classes: Sequence[str] | None = None, *, only_those: bool = False
) -> tuple[list[str], list[str], Tensor]:
    """The classes of ``folder/CLASS/**/IMAGE``, their images and labels.

    Subfolders of a class belong to it. Hidden files and folders, and files that are no images by their
    ending, are passed over. Of a class's images only the first is asked whether it may be read: to ask for
    every image of a large set on a network drive would take minutes.

    Args:
        folder: holds a folder for each class.
        classes: the classes that it has to have, in the order of their labels, as those of the training
            images; None: all that there are, sorted.
        only_those: pass over the folders that are not in ``classes``, instead of refusing them.

    Returns:
        Class names; image paths relative to ``folder``, by class, then sorted; (N,) int64 labels.

    Raises:
        ValueError: no such folder, no class folder in it, a class that is missing or has no images, one that
            is not in ``classes``, a folder or a file that may not be read.
    """
    found = find_classes(folder)
    names = found if classes is None else list(classes)
    if missing := sorted(set(names) - set(found)):
        raise ValueError(
            f"{folder} lacks {_some(missing)} of the {len(names)} classes: add a folder of images for each."
        )
    unknown = sorted(set(found) - set(names))
    if unknown and not only_those:
        raise ValueError(
            f"{folder} has {_some(unknown)}, which the training images lack, whose classes are "
            f"{_some(names)}: remove the folder, or add training images of that class."
        )
    images = {name: _images(folder, name) for name in tqdm(names, folder.name, delay=2, leave=False)}
    if empty := [name for name in names if not images[name]]:
        raise ValueError(_without_images(folder, empty))
    count = torch.tensor([len(images[name]) for name in names])
    paths = [path for name in names for path in images[name]]
    return names, paths, torch.arange(len(names)).repeat_interleave(count)


def find_splits(folder: Path) -> dict[str, Path]:
    """Split "train", "val" or "test" -> its folder; none where ``folder`` holds class folders itself.

    Raises:
        ValueError: two folders for one split, or none for training; see `find_classes`.
    """
    found = find_classes(folder)
    of_splits = {split: [name for name in names if name in found] for split, names in SPLIT_NAMES.items()}
    known = [name for names in of_splits.values() for name in names]
    # A class may be called "train", among others: then it has images, not folders
    if not known or (set(found) - set(known) and not _has_folders(folder / known[0])):
        return {}
    if len(of_splits["val"]) > 1:
        raise ValueError(f"{folder} has {' and '.join(of_splits['val'])} for one split: keep one of them.")
    if not of_splits["train"]:
        raise ValueError(
            f"{folder} has {', '.join(known)} but no train folder: add one with the same class folders."
        )
    return {split: folder / names[0] for split, names in of_splits.items() if names}


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir() and not entry.name.startswith(".") for entry in folder.iterdir())


def _entries(folder: Path | str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """The folders and the other entries of one folder."""
    try:
        if not os.access(folder, os.R_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        with os.scandir(folder) as scan:
            entries = [entry for entry in scan if not entry.name.startswith(".")]
        # Asks the disk only about links: the folder itself says what the others are
        folders = [entry for entry in entries if entry.is_dir()]
    except OSError as error:
        raise ValueError(
            f"The folder {folder} cannot be read ({error.strerror}): mend its permissions or links."
        ) from error
    return folders, [entry for entry in entries if not entry.is_dir()]


def _files(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    folders, files = _entries(folder)
    yield from files
    for entry in folders:
        yield from _files(entry.path)


def _images(folder: Path, name: str) -> list[str]:
    # A million paths are sliced, not parsed; Path(".") is no part of them
    start = len(str(folder / name)) - len(name)
    entries = list(_files(folder / name))
    paths = sorted(entry.path for entry in entries if entry.name.lower().endswith(IMG_EXTENSIONS))
    if paths and len(paths) < len(entries):
        log.warning(
            "%s: %d files are passed over, which are no images by their endings (%s).",
            folder / name,
            len(entries) - len(paths),
            ", ".join(IMG_EXTENSIONS),
        )
    if paths and not os.access(paths[0], os.R_OK):
        raise ValueError(f"The file {paths[0]} may not be read: mend its permissions.")
    return [path[start:] for path in paths]


def _without_images(folder: Path, empty: list[str]) -> str:
    endings = sorted({PurePath(entry.name).suffix for name in empty for entry in _files(folder / name)})
    other = f", but files ending in {_some(endings)}" if endings else ""
    return (
        f"No images in {len(empty)} of the class folders of {folder}, {_some(empty)}{other}: add images "
        f"({', '.join(IMG_EXTENSIONS)}), or remove the folder."
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
