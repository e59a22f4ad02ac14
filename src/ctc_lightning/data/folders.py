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

from ctc_lightning.data.decode import printable

log = logging.getLogger(__name__)

SHOWN = 3
"""Names that a message lists before it says how many more there are."""


def find_classes(folder: Path, least: int = 1) -> list[str]:
    """The names of the class folders in ``folder``, sorted; they are not looked into.

    Raises:
        ValueError: no such folder, fewer than ``least`` class folders in it, one that may not be read or that
            has a name that is not UTF-8.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is a file, must be a folder: unpack it, and set data.root to the folder of images."
            if folder.is_file()
            else f"There is no folder {folder}: put the images there, or set data.root=FOLDER."
        )
    found = class_folders(folder)
    if not found:
        raise ValueError(
            f"{folder} has no class folders: put the images of each class into a folder of its own, "
            f"as in {folder / 'CLASS' / 'image.jpg'}."
        )
    if len(found) < least:
        below = class_folders(folder / found[0])
        inside = f", or set data.root={folder / found[0]} if its {len(below)} folders are the classes"
        raise ValueError(
            f"{folder} has 1 class folder, {found[0]!r}, must have at least {least}: add images of another "
            f"class{inside if below else ''}."
        )
    if foreign := [name for name in found if printable(name) != name]:
        raise ValueError(
            f"{folder} has a class folder {printable(foreign[0])}, a name that is not UTF-8, which results "
            "and checkpoints cannot hold: rename it."
        )
    return found


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in ``folder``, sorted; there may be none.

    Raises:
        ValueError: it may not be read.
    """
    return sorted(entry.name for entry in _entries(folder)[0])


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
    found = find_classes(folder, least=2 if classes is None else 1)
    names = found if classes is None else list(classes)
    if missing := sorted(set(names) - set(found)):
        raise ValueError(
            f"{folder} lacks {some(missing)} of the {len(names)} classes: add a folder of images for each."
        )
    unknown = sorted(set(found) - set(names))
    if unknown and not only_those:
        raise ValueError(
            f"{folder} has {some(unknown)}, which the training images lack, whose classes are "
            f"{some(names)}: remove the folder, or add training images of that class."
        )
    images = {name: _images(folder, name) for name in tqdm(names, folder.name, delay=2, leave=False)}
    if empty := [name for name in names if not images[name]]:
        raise ValueError(_without_images(folder, empty))
    count = torch.tensor([len(images[name]) for name in names])
    paths = [path for name in names for path in images[name]]
    return names, paths, torch.arange(len(names)).repeat_interleave(count)


def list_images(folder: Path) -> list[str]:
    """All images below a folder, relative to it, sorted; passes over what `list_class_folders` does.

    Raises:
        ValueError: no such folder, no images in it, a subfolder that may not be read.
    """
    if not folder.is_dir():
        fault = "is a file, must be a folder" if folder.exists() else "does not exist"
        raise ValueError(f"images={folder} {fault}: give a folder of images.")
    paths = _image_paths(folder, frozenset())
    if not paths:
        endings = sorted({PurePath(entry.name).suffix for entry in _files(folder, frozenset())})
        other = f", but files ending in {some(endings)}" if endings else ""
        raise ValueError(
            f"images={folder} has no images{other}: give a folder of images ({', '.join(IMG_EXTENSIONS)})."
        )
    above = os.path.join(folder, "")  # noqa: PTH118  # text, as in `_images`
    return [path.removeprefix(above) for path in paths]


def some(names: Sequence[str]) -> str:
    """The first names, quoted, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


def _entries(folder: Path | str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """The folders and the other entries of one folder."""
    try:
        if not os.access(folder, os.R_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        with os.scandir(folder) as scan:
            entries = [entry for entry in scan if not entry.name.startswith(".")]
        # Asks the disk only about links: the folder itself says what the others are
        folders = [entry for entry in entries if _is_folder(entry)]
    except OSError as error:
        raise ValueError(
            f"The folder {printable(folder)} cannot be read ({error.strerror}): fix its permissions."
        ) from error
    return folders, [entry for entry in entries if not entry.is_dir()]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise ValueError(
            f"{printable(entry.path)} cannot be read ({error.strerror}): mend or remove the link."
        ) from error


def _files(folder: Path | str, above: frozenset[tuple[int, int]]) -> Iterator[os.DirEntry[str]]:
    """All files below a folder; ``above`` are the folders that it was reached through."""
    folders, files = _entries(folder)
    here = _identity(folder)
    if here in above:
        raise ValueError(f"{printable(folder)} is a link to a folder that it lies in: remove the link.")
    yield from files
    for entry in folders:
        yield from _files(entry.path, above | {here})


def _identity(folder: Path | str) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116  # text, as in `_images`
    return status.st_dev, status.st_ino


def _images(folder: Path, name: str) -> list[str]:
    # A million paths are sliced, not parsed; Path(".") is no part of them
    start = len(str(folder / name)) - len(name)
    paths = _image_paths(folder / name, frozenset({_identity(folder)}))
    if paths and not os.access(paths[0], os.R_OK):
        raise ValueError(f"The file {printable(paths[0])} may not be read: mend its permissions.")
    return [path[start:] for path in paths]


def _image_paths(folder: Path, above: frozenset[tuple[int, int]]) -> list[str]:
    entries = list(_files(folder, above))
    paths = sorted(entry.path for entry in entries if entry.name.lower().endswith(IMG_EXTENSIONS))
    if paths and len(paths) < len(entries):
        log.warning(
            "%s: %d files are passed over, which are no images by their endings (%s).",
            printable(folder),
            len(entries) - len(paths),
            ", ".join(IMG_EXTENSIONS),
        )
    return paths


def _without_images(folder: Path, empty: list[str]) -> str:
    endings = sorted(
        {PurePath(entry.name).suffix for name in empty for entry in _files(folder / name, frozenset())}
    )
    other = f", but files ending in {some(endings)}" if endings else ""
    return (
        f"No images in {len(empty)} of the class folders of {folder}, {some(empty)}{other}: add images "
        f"({', '.join(IMG_EXTENSIONS)}), or remove the folder."
    )
