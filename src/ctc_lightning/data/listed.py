"""The image files that a data set's own lists name, with their labels: checked to be there."""

# N images, L labels of an image with several

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.image_set import ImageFiles


class ListedCollection(Collection):
    """Image files that a class of ``torchvision.datasets`` downloads and lists.

    Attributes:
        needs: the last is the folder of the images.
        source: that class.
    """

    downloads = True
    source: ClassVar[type]

    def options(self, split: str) -> dict[str, Any]:
        """What ``source`` lists this split by."""
        return {"split": split}

    def read(self, folder: Path, split: str) -> ImageFiles:
        """See `Collection.read`."""
        with reading(self.title, folder):
            dataset, pairs = undecoded(self.source, folder, **self.options(split))
        # The names of the flowers came with torchvision 0.22
        classes = getattr(dataset, "classes", ())
        return from_pairs(pairs, folder / self.needs[-1], classes, self.title)

    def download(self, folder: Path) -> None:
        """See `Collection.download`."""
        with fetching(self.title, folder):
            self.source(folder, download=True)


def undecoded(make: Callable[..., Any], root: Path, **options: Any) -> tuple[Any, list[tuple[Path, int]]]:
    """A data set of torchvision, and the path and class of every image, of which none is decoded.

    Args:
        make: the data set's class.
        root: its first argument.
        **options: all others.
    """
    if "loader" in signature(make).parameters:
        dataset = make(root, loader=Path, **options)
        return dataset, [dataset[row] for row in range(len(dataset))]
    dataset = make(root, **options)
    # torchvision 0.21 decodes whatever one asks for; what is private there can no longer change
    pairs = getattr(dataset, "_samples", None)
    if pairs is None:
        pairs = zip(dataset._image_files, dataset._labels, strict=True)
    return dataset, [(Path(path), label) for path, label in pairs]


@contextmanager
def reading(title: str, folder: Path) -> Iterator[None]:
    """Turn what any reader of a data set's lists stumbles over into one sentence.

    Raises:
        ValueError: for whatever is raised inside, which it quotes; but a `PermissionError` stays what it is.
    """
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:
        what = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"The lists of {title} in {folder} cannot be read ({type(error).__name__}: {what}): "
            "get them again, unchanged."
        ) from error


@contextmanager
def fetching(title: str, folder: Path) -> Iterator[None]:
    """Turn what a download may fail by into one sentence.

    Raises:
        ValueError: no connection, a file that arrived damaged or is no longer there, no room.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        what = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{title} could not be downloaded into {folder} ({what}): check the connection and the free "
            "space, remove what has arrived there, and try again."
        ) from error


def from_pairs(
    pairs: Sequence[tuple[Path, int]], base: Path, classes: Sequence[str], title: str
) -> ImageFiles:
    """As `from_lists`, of the path and class of every image."""
    label_N = torch.tensor([int(label) for _, label in pairs], dtype=torch.int64)
    return from_lists([path for path, _ in pairs], label_N, base, classes, title)


def from_lists(
    paths: Sequence[Path], label: Tensor, base: Path, classes: Sequence[str], title: str
) -> ImageFiles:
    """Images that are where the lists say.

    Args:
        paths: N, below ``base``.
        label: (N,) int64, or (N, L) int8.
        base: the folder that all images are below.
        classes: class names in the order of the labels; may be empty.
        title: what errors call the data set.

    Raises:
        ValueError: no image is listed, or some are not there.
    """
    if not paths:
        raise ValueError(f"The lists of {title} beside {base} name no images: get them again, unchanged.")
    if absent := missing(paths):
        raise ValueError(
            f"{title}: {base} lacks {len(absent)} of the {len(paths)} images that its lists name, "
            f"{absent[0].relative_to(base)} the first of them: remove that folder and get it again."
        )
    names = [path.relative_to(base) for path in paths]
    return ImageFiles.of(base, names, {"class": label}, {"class": tuple(classes)})


def missing(paths: Sequence[Path]) -> list[Path]:
    """Those that do not exist, asking once a folder: asking for each is slow on a network drive."""
    found = {
        parent: {entry.name for entry in parent.iterdir()} if parent.is_dir() else set()
        for parent in {path.parent for path in paths}
    }
    return [path for path in paths if path.name not in found[path.parent]]
