"""The splits of a data set on disk: found, counted, and a validation split held out where there is none."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ctc_lightning.data.collection import Collection
from ctc_lightning.data.folders import SHOWN
from ctc_lightning.data.image_set import ImageFiles, Images
from ctc_lightning.data.splits import digest, draw, hold_out
from ctc_lightning.files.atomic_write import write_text

log = logging.getLogger(__name__)

FilesT = TypeVar("FilesT", bound=ImageFiles)

_ABSENT = {
    "val": "validation uses the test images, as data.val_share is 0, so what it chooses (best.ckpt, the "
    "winner of a sweep) has seen the test; set data.val_share=0.1 to hold out training images instead",
    "test": "there are no test images, so the test uses the validation images, and what these choose "
    "(best.ckpt, the winner of a sweep) looks better than it is; add a test split",
}


def locate(collection: Collection, root: Path, name: str) -> Path:
    """Where the data set lies.

    Raises:
        ValueError: it is not there, not whole, or may not be read.
    """
    if root.is_file():
        raise ValueError(
            f"data={name}: data.root={root} is a file, must be a folder: unpack it, and give the folder that "
            "holds the images."
        )
    with readable(name):
        folder = collection.find(root)
        missing = collection.missing(folder)
    if not missing:
        return folder
    lacks = f"lacks {', '.join(missing)}" if folder.is_dir() else "does not exist"
    raise ValueError(
        f"data={name}: {folder} {lacks}; {collection.how_to_get}, or set data.root if it lies elsewhere."
    )


def read_splits(
    collection: Collection, folder: Path, *, name: str, check_counts: bool = True
) -> dict[str, Images]:
    """The data set's own splits, some of "train", "val" and "test".

    Args:
        collection: the data set.
        folder: where it lies.
        name: what errors call it.
        check_counts: whether the numbers of images must be the published ones.

    Raises:
        ValueError: files that are not what they should be or may not be read, counts that differ from the
            published ones.
    """
    with readable(name):
        splits = {split: collection.read(folder, split) for split in collection.available(folder)}
    if check_counts and not collection.counts_may_differ:
        _check_counts(collection, splits, folder, name)
    return splits


def split_whole(images: FilesT, test_share: float, split_seed: int) -> dict[str, FilesT]:
    """Images without splits as "train" and "test", see `hold_out`; "train" alone for a share of 0."""
    if not test_share:
        return {"train": images}
    label, label_N = next(iter(images.labels.items()))
    num_held = round(test_share * len(images))
    kept, held = hold_out(label_N, num_held, split_seed, images.classes.get(label, ()))
    return {"train": images.rows(kept), "test": images.rows(held)}


def complete_splits(
    splits: Mapping[str, Images],
    folder: Path,
    *,
    name: str,
    choices: Mapping[str, str],
    val_share: float,
    split_seed: int,
    sizes: Mapping[str, int | None],
    records: Path,
    resplit: bool = False,
) -> dict[str, Images]:
    """The splits "train", "val" and "test", made of those of `read_splits`.

    Where the data set has no validation split, a stratified share of its training images becomes one; which
    images these are is written down the first time and checked from then on. With a share of 0, and where
    there is no test split, validation and test are the same images.

    Args:
        splits: of `read_splits`.
        folder: where the data set lies.
        name: what errors call it.
        choices: of the collection, see `Collection.choices`.
        val_share: in [0, 1), of the training images.
        split_seed: >= 0, of what is held out.
        sizes: split -> how many of its images to use, a stratified draw; None: all.
        records: the folder where held-out splits are written down.
        resplit: replace what is written down, instead of comparing with it.

    Raises:
        ValueError: training images alone of which none is to be held out, a held-out split that is not the
            one written down.
    """
    splits = dict(splits)
    if "val" not in splits and val_share > 0:
        train = splits["train"]
        label, label_N = next(iter(train.labels.items()))
        num_held = round(val_share * len(train))
        kept, held = hold_out(label_N, num_held, split_seed, train.classes.get(label, ()))
        made = {"share": val_share, "seed": split_seed, "of": len(train), "rows": digest(held)}
        counts = _count_classes(label_N, train.classes.get(label, ()))
        _check_record(records, folder, name, choices, made | {"classes": counts}, resplit=resplit)
        splits["train"], splits["val"] = train.rows(kept), train.rows(held)
    for split, size in sizes.items():
        if size is not None and split in splits and size < len(splits[split]):
            label_N = next(iter(splits[split].labels.values()))
            splits[split] = splits[split].rows(draw(label_N, size, split_seed))
    if len(splits) == 1:
        raise ValueError(
            f"data={name}: {folder} has training images only, of which data.val_share is {val_share}; "
            "set data.val_share=0.1, so that there is something to evaluate on."
        )
    for absent, other in (("val", "test"), ("test", "val")):
        if absent not in splits:
            useless = "" if sizes.get(absent) is None else f" (data.num_{absent} has no effect)"
            log.warning("data=%s: %s%s.", name, _ABSENT[absent], useless)
            splits[absent] = splits[other]
    return splits


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Say in one sentence which of a data set's files or folders the user may not read."""
    try:
        yield
    except PermissionError as problem:
        raise ValueError(
            f"data={name}: {problem.filename} may not be read; change its permissions."
        ) from problem


def _check_counts(collection: Collection, splits: Mapping[str, Images], folder: Path, name: str) -> None:
    wrong = [
        f"{len(images)} {split} images instead of {collection.counts[split]}"
        for split, images in splits.items()
        if split in collection.counts and len(images) != collection.counts[split]
    ]
    if wrong:
        raise ValueError(
            f"data={name}: {folder} has {' and '.join(wrong)}; get it again, or set data.check_counts=false "
            "if this is what you mean to use."
        )


def _count_classes(label_N: Tensor, classes: Sequence[str]) -> dict[str, int]:
    """How many images each class has, by name; empty where an image may have several classes."""
    if label_N.ndim > 1:
        return {}
    names = classes or tuple(map(str, range(int(label_N.max()) + 1)))
    return dict(zip(names, torch.bincount(label_N, minlength=len(names)).tolist(), strict=True))


def _check_record(
    records: Path,
    folder: Path,
    name: str,
    choices: Mapping[str, str],
    made: Mapping[str, Any],
    *,
    resplit: bool,
) -> None:
    """Write the held-out split down, or compare it with what is written.

    Another choice, as of EMNIST's split, has other training images, and a record of its own.
    """
    where = json.dumps([str(folder.resolve()), choices], sort_keys=True)
    place = hashlib.sha256(where.encode()).hexdigest()[:8]
    path = records / f"{name}_{place}_share_{made['share']}_seed_{made['seed']}.json"
    if resplit or not path.exists():
        text = json.dumps({"folder": str(folder.resolve()), **made}, indent=2) + "\n"
        write_text(path, text, "rerun the same command, or set data.cache_dir to another folder")
        return
    written = json.loads(path.read_text())
    if any(written.get(key) != made[key] for key in ("of", "rows")):
        raise ValueError(
            f"data={name}: {folder} has changed since its validation images were held out: "
            f"{_what_changed(written, made)}; restore the images, or, for new runs, set data.resplit=true "
            "to hold out validation images again, with which earlier runs cannot be compared."
        )


def _what_changed(written: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    total = f"{written.get('of')} images to hold out of then, {made['of']} now"
    before, now = written.get("classes") or {}, made["classes"]  # an older record has no classes
    changed = [
        f"{before.get(name, 0)} then and {now.get(name, 0)} now of {name!r}"
        for name in (dict.fromkeys([*before, *now]) if before else ())
        if before.get(name, 0) != now.get(name, 0)
    ]
    if not changed:
        return total
    more = f" and {len(changed) - SHOWN} more classes" if len(changed) > SHOWN else ""
    return f"{total} ({', '.join(changed[:SHOWN])}{more})"
