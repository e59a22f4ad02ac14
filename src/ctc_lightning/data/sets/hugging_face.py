"""Image data sets of the ``datasets`` library: from the hub, from ``save_to_disk``, or from files."""

# N images of a split

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ctc_lightning.checks import in_range
from ctc_lightning.data.collection import Collection
from ctc_lightning.data.hub import HUB, datasets_library, open_splits, place_of, text_of
from ctc_lightning.data.splits_on_disk import split_whole
from ctc_lightning.data.tables import TableFiles

log = logging.getLogger(__name__)


class HuggingFace(Collection):
    """A table with an image column and label columns; each label column is a label.

    ``data.root`` is a folder that ``save_to_disk`` wrote, a folder of parquet, arrow or image files, or
    ``hf://OWNER/NAME@REVISION`` on the hub. Splits are found by their usual names; where there is only one,
    test images are held out of it as for `ImageFolder`. Loading scripts and pickled files are refused.

    Args:
        image: the column; None: the only one of type Image.
        labels: the columns, the first is the default label; None: all of type ClassLabel. Named columns may
            also hold whole numbers from 0, or text.
        subset: of a data set that has several.
        test_share: in [0, 1), of all images, where there is one split; 0 for no test split.
        split_seed: of what is held out.

    Raises:
        ValueError: a share out of range; in `labels_in`, no such data set, column or label.
    """

    title = "Data sets of the datasets library"
    counts: Mapping[str, int] = {}
    num_classes: Mapping[str, int | None] = {}
    folder = "."
    needs = ()
    how_to_get = "give data.root=FOLDER or data.root=hf://OWNER/NAME"
    notes = "Splits by their names, or held out of the only one."

    def __init__(
        self,
        image: str | None = None,
        labels: Sequence[str] | str | None = None,
        subset: str | None = None,
        test_share: float = 0.2,
        split_seed: int = 0,
    ) -> None:
        in_range("data.collection", "[0, 1)", example=0.2, test_share=test_share)
        self.image = image
        self.labels = [labels] if isinstance(labels, str) else labels and list(labels)
        self.subset = subset
        self.test_share = test_share
        self.split_seed = split_seed
        self._opened: tuple[Path, dict[str, Any]] | None = None
        self._read: dict[str, TableFiles] | None = None

    def labels_in(self, root: Path) -> Mapping[str, int | None]:
        """The label columns; if they are not named, the data set is opened, and downloaded if need be."""
        if self.labels:
            return dict.fromkeys(self.labels)
        table = next(iter(self._tables(root).values()))
        return dict.fromkeys(_label_columns(table, self.labels, root))

    def find(self, root: Path) -> Path:
        """The folder, or where the library keeps what it has downloaded."""
        tables = self._tables(root)
        return place_of(tables, root) if root.parts[:1] == (HUB,) else root

    def available(self, folder: Path) -> tuple[str, ...]:
        """See `Collection.available`."""
        return tuple(self._splits())

    def read(self, folder: Path, split: str) -> TableFiles:
        """See `Collection.read`."""
        return self._splits()[split]

    def _tables(self, root: Path) -> dict[str, Any]:
        """Split -> the library's table, opened once."""
        if self._opened is None or self._opened[0] != root:
            self._opened, self._read = (root, open_splits(root, self.subset)), None
        return self._opened[1]

    def _splits(self) -> dict[str, TableFiles]:
        assert self._opened is not None, "`find` opens it"
        if self._read is None:
            root, tables = self._opened
            self._read = _as_files(tables, self.image, self.labels, root)
            if len(self._read) == 1:
                self._read = split_whole(self._read["train"], self.test_share, self.split_seed)
        return self._read


def _as_files(
    tables: Mapping[str, Any], image: str | None, labels: Sequence[str] | None, root: Path
) -> dict[str, TableFiles]:
    """The splits, as rows of one table; a test split without labels is left out."""
    library, train = datasets_library(), tables["train"]
    image = image or _image_column(train, root)
    _check_column(train, image, root)
    names = _label_columns(train, labels, root)
    read = {name: _Labels(train, name, root) for name in names}
    used = {}
    for split, table in tables.items():
        label = {name: column.of(table, split) for name, column in read.items()}
        if split == "test" and any((label_N < 0).all() for label_N in label.values()):
            log.warning("%s: the test split is left out, as its images have no labels.", text_of(root))
            continue
        for name, label_N in label.items():
            if (label_N < 0).any():
                raise ValueError(
                    f"{text_of(root)}: {int((label_N < 0).sum())} {split} images have no {name}, every image "
                    "must have one: leave them out, or choose other data.collection.labels."
                )
        used[split] = label
    raw = library.Image(decode=False)
    columns = [tables[split].select_columns([image]).cast_column(image, raw) for split in used]
    table, classes = library.concatenate_datasets(columns), {name: read[name].classes for name in names}
    start, place, found = 0, place_of(tables, root), {}
    for split, label in used.items():
        row_N = np.arange(start, start := start + len(tables[split]))
        found[split] = TableFiles(
            place, row_N.astype(np.bytes_), label, classes, table=table, column=image, source=text_of(root)
        )
    return found


def _image_column(table: Any, root: Path) -> str:
    library = datasets_library()
    images = [name for name, kind in table.features.items() if isinstance(kind, library.Image)]
    if len(images) != 1:
        raise ValueError(
            f"{text_of(root)} has {len(images)} columns of type Image, must have 1: name the column of the "
            f"images by data.collection.image, of {', '.join(images or table.features)}."
        )
    return images[0]


def _label_columns(table: Any, labels: Sequence[str] | None, root: Path) -> list[str]:
    kind = datasets_library().ClassLabel
    found = list(labels or [name for name, one in table.features.items() if isinstance(one, kind)])
    if not found:
        raise ValueError(
            f"{text_of(root)} has no column of type ClassLabel: name those of the labels by "
            f"data.collection.labels=[COLUMN], of {', '.join(table.features)}."
        )
    for name in found:
        _check_column(table, name, root)
    return found


def _check_column(table: Any, name: str, root: Path) -> None:
    if name not in table.features:
        raise ValueError(
            f"{text_of(root)} has no column {name!r}: choose one of {', '.join(table.features)} by "
            "data.collection.image or data.collection.labels."
        )


class _Labels:
    """One label column, with the classes of the training images."""

    def __init__(self, train: Any, name: str, root: Path) -> None:
        self.name, self.where = name, text_of(root)
        kind = train.features[name]
        self.classes: tuple[str, ...] = ()
        if isinstance(kind, datasets_library().ClassLabel):
            self.classes = tuple(kind.names)
        elif getattr(kind, "dtype", None) in ("string", "large_string"):
            self.classes = tuple(sorted({word for word in train[name] if word is not None}))
        elif "int" not in str(getattr(kind, "dtype", "")):
            raise ValueError(
                f"{self.where}: column {name} is of type {type(kind).__name__}, a label must be ClassLabel, "
                "whole numbers or text, one an image: choose other data.collection.labels."
            )

    def of(self, table: Any, split: str) -> Tensor:
        """(N,) int64, negative for an image without a label.

        Raises:
            ValueError: the split has other classes than the training images.
        """
        kind, values = (
            table.features.get(self.name),
            list(table[self.name]) if self.name in table.features else [],
        )
        same = getattr(kind, "names", None) in (None, list(self.classes))
        if all(isinstance(value, str) for value in values) and values and self.classes:
            number = {word: place for place, word in enumerate(self.classes)}
            same = same and set(values) <= set(number)
            values = [number.get(word, -1) for word in values]
        if not same or len(values) != len(table):
            raise ValueError(
                f"{self.where}: the {split} images have other classes of {self.name} than the training "
                "images, must have the same: save them with the same features."
            )
        return torch.tensor([-1 if value is None else value for value in values], dtype=torch.int64)
