"""Which folders hold the splits of a data set: the usual names, in any spelling."""

import logging
import re
from pathlib import Path

from ctc_lightning.data.folders import class_folders, find_classes, some

log = logging.getLogger(__name__)

_WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
_SPLIT_OF = {
    word + ending: split
    for split, words in _WORDS.items()
    for word in words
    for ending in ("", "set", "data", "images")
}


def split_called(name: str) -> str | None:
    """The split that a folder is named after: "train" for ``Training_Set``, ``seg_train``, ``train2017``."""
    found = {_SPLIT_OF[word] for word in re.split("[^a-z]+", name.lower()) if word in _SPLIT_OF}
    return found.pop() if len(found) == 1 else None


def find_splits(folder: Path) -> dict[str, Path]:
    """Split "train", "val" or "test" -> its folder; none where ``folder`` holds class folders itself.

    A test folder without any class of the training images is left out, with a warning.

    Raises:
        ValueError: two folders for one split, or none for training; see `find_classes`.
    """
    found = find_classes(folder)
    of_splits = {split: [name for name in found if split_called(name) == split] for split in _WORDS}
    known = [name for names in of_splits.values() for name in names]
    if not known:
        return {}
    if set(found) - set(known) and not class_folders(folder / known[0]):
        log.warning("%s has %s, taken for classes: if they are splits, move them away.", folder, some(known))
        return {}
    classes = "if these are classes, rename them"
    for names in of_splits.values():
        if len(names) > 1:
            raise ValueError(
                f"{folder} has {' and '.join(names)} for one split: keep one of them; {classes}."
            )
    if not of_splits["train"]:
        raise ValueError(
            f"{folder} has {', '.join(known)} but no train folder: add one with the same class folders; "
            f"{classes}."
        )
    splits = {split: folder / names[0] for split, names in of_splits.items() if names}
    if "test" in splits and not set(class_folders(splits["test"])) & set(find_classes(splits["train"])):
        log.warning(
            "%s is left out: it has none of the class folders of %s, so its images have no labels.",
            splits.pop("test"),
            splits["train"],
        )
    return splits
