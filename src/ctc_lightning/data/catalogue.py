"""The data sets that ``conf/data`` offers, and what of them is on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import instantiate
from omegaconf import OmegaConf

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data.collection import Collection

OWN_FOLDER = "."
METRICS = {"top1": "top-1", "mean_per_class": "mean per-class", "map_11_point": "11-point mAP"}


def collections() -> Mapping[str, Collection]:
    """Every published ``data=NAME`` that is read from files, with its configuration's own choices."""
    found = {}
    for path in sorted((config_dir() / "data").glob("*.yaml")):
        config: Any = OmegaConf.load(path)
        if "collection" not in config or "_target_" in config:  # shards are another one's
            continue
        collection = instantiate(config["collection"])
        if collection.folder != OWN_FOLDER:
            found[path.stem] = collection
    return found


class Presence(NamedTuple):
    """Whether a data set is under a data root.

    Attributes:
        folder: where it is, or would be.
        missing: what it lacks there; empty if it is whole.
    """

    folder: Path
    missing: list[str]

    @property
    def word(self) -> str:
        """``yes``, ``no``, or ``in part``."""
        if not self.missing:
            return "yes"
        return "in part" if self.folder.is_dir() and any(self.folder.iterdir()) else "no"


def presence(collection: Collection, root: Path) -> Presence:
    """Look for a data set's files, by name."""
    folder = collection.find(root)
    return Presence(folder, collection.missing(folder))


def table(found: Mapping[str, Collection], root: Path) -> str:
    """One line for each data set: published counts, classes, metric, and whether it is under ``root``."""
    rows: list[tuple[str, ...]] = [("data=", "train", "val", "test", "classes", "metric", "here")]
    for name, collection in found.items():
        counts = [str(collection.counts.get(split, "")) for split in ("train", "val", "test")]
        classes = ", ".join(f"{number}" for number in collection.num_classes.values() if number)
        here = presence(collection, root)
        rows.append((name, *counts, classes, METRICS[collection.metric], here.word))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if 1 <= column <= 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def description(name: str, collection: Collection, root: Path) -> str:
    """All that is known of one data set."""
    here = presence(collection, root)
    counts = ", ".join(f"{split} {count}" for split, count in collection.counts.items())
    classes = ", ".join(
        f"{label} ({number or 'as found'})" for label, number in collection.num_classes.items()
    )
    size = f"{collection.image_size} x {collection.image_size}" if collection.image_size else "of many sizes"
    lines = [
        f"{name}: {collection.title}",
        f"  images   {counts or 'as found'}; {size}, {'grey' if collection.channels == 1 else 'colour'}",
        f"  labels   {classes}{', several an image' if collection.multi_label else ''}",
        f"  metric   {METRICS[collection.metric]}",
        f"  folder   {here.folder}" + (f", lacks {', '.join(here.missing)}" if here.missing else ", whole"),
    ]
    if collection.notes:
        lines.append(f"  notes    {collection.notes}")
    if here.missing:
        lines.append(f"  missing  {collection.how_to_get}")
    return "\n".join(lines)
