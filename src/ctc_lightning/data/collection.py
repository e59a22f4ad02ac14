"""What a data set is: its official splits, its metric, and how its files are read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import ClassVar, Literal

from ctc_lightning.data.image_set import Images

Metric = Literal["top1", "mean_per_class", "map_11_point"]
SPLITS = ("train", "val", "test")


class Collection(ABC):
    """A labelled data set on disk, as its publishers lay it out.

    One subclass and one file for each data set: what differs between data sets is here, what they share is
    in the data modules. Constructor arguments are the data set's own choices (EMNIST's split, DTD's
    partition) and stand in ``conf/data/NAME.yaml`` under ``collection``. They are kept as attributes of the
    same names; otherwise override `choices`.

    Attributes:
        title: what people call it.
        counts: official split -> number of images, of "train", "val" and "test" those that the publishers
            (or the field) fixed. Where there is no "val" the data module holds one out of "train".
        num_classes: name of a label -> its number of classes, None where the files decide; the first label
            is the default one.
        metric: what the field reports on it.
        image_size: rows and columns of the images if all have the same, else None.
        channels: 1 or 3.
        folder: where it lies below the data root, by default.
        needs: paths below ``folder`` without which it cannot be read.
        how_to_get: one line: the command, or where to download it and the layout that is expected.
        downloads: whether `download` fetches it.
        multi_label: whether an image may have several classes.
        counts_may_differ: whether ``counts`` are only what was once published, as where images are gone.
        notes: what the table adds about its splits: partition, seed, who made them.
    """

    title: ClassVar[str]
    counts: Mapping[str, int]
    num_classes: Mapping[str, int | None]
    metric: ClassVar[Metric] = "top1"
    image_size: int | None = None
    channels: int = 3
    folder: str
    needs: tuple[str, ...]
    how_to_get: str
    downloads: ClassVar[bool] = False
    multi_label: ClassVar[bool] = False
    counts_may_differ: bool = False
    notes: str = ""

    @abstractmethod
    def read(self, folder: Path, split: str) -> Images:
        """One official split, without decoding files that hold one image each.

        Args:
            folder: where the data set lies, see `find`.
            split: one of ``counts``.

        Returns:
            Labels under every name of ``num_classes``, class names under the same names.

        Raises:
            ValueError: files that are not what they should be. (That paths of ``needs`` exist has been
                checked, that the counts are right will be.)
        """

    def class_names(self, folders: Sequence[str]) -> tuple[str, ...]:
        """What classes are called whose images lie in folders of these names."""
        return tuple(folders)

    def choices(self) -> dict[str, str]:
        """What it was made with, as text: the files alone do not say which of their images it reads."""
        return {name: str(getattr(self, name)) for name in signature(type(self)).parameters}

    def labels_in(self, root: Path) -> Mapping[str, int | None]:
        """``num_classes`` of what is below a data root, where the files decide."""
        return self.num_classes

    def available(self, folder: Path) -> tuple[str, ...]:
        """The splits that it has in ``folder``."""
        return tuple(self.counts)

    def download(self, folder: Path) -> None:
        """Fetch it into ``folder``, where ``downloads`` is true."""
        raise ValueError(f"{self.title} cannot be downloaded by a command: {self.how_to_get}")

    def find(self, root: Path) -> Path:
        """Where it lies: ``root / folder``, or ``root`` itself if that holds the files."""
        own = root / self.folder
        return root if self.missing(own) and not self.missing(root) else own

    def missing(self, folder: Path) -> list[str]:
        """Those of ``needs`` that do not exist in ``folder``."""
        return [path for path in self.needs if not (folder / path).exists()]
