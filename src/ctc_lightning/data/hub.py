"""Opens data sets of the ``datasets`` library, on the hub or on disk, without running code of theirs."""

import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ctc_lightning.data.collection import SPLITS
from ctc_lightning.data.split_folders import split_called

log = logging.getLogger(__name__)

HUB = "hf:"  # the first part of the path hf://OWNER/NAME
_KINDS = ("parquet", "arrow", "imagefolder")  # none of them runs code or unpickles


def open_splits(root: Path, subset: str | None) -> dict[str, Any]:
    """Our names of splits -> the library's tables; one split alone is for training, whatever its name.

    Args:
        root: a folder, or ``hf://OWNER/NAME@REVISION``.
        subset: of a data set that has several.

    Raises:
        ValueError: it is not there, cannot be read or is of another kind; two splits of one name, or none for
            training.
    """
    return _named(_open(root, subset), root)


def datasets_library() -> Any:
    """The library.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return import_module("datasets")
    except ImportError as problem:
        raise ValueError(
            "datasets is not installed, which data=hugging_face reads: "
            "pip install 'ctc-lightning[hugging_face]'."
        ) from problem


def _open(root: Path, subset: str | None) -> Mapping[str, Any]:
    """The library's split -> table.

    Raises:
        ValueError: it is not there, cannot be read, or is of a kind that could run code.
    """
    library = datasets_library()
    name, _, revision = "/".join(root.parts[1:]).removeprefix("datasets/").partition("@")
    is_on_hub = root.parts[:1] == (HUB,)
    if not is_on_hub and not root.exists():
        raise ValueError(
            f"There is no folder {root}: set data.root=FOLDER, or data.root=hf://OWNER/NAME for the hub."
        )
    try:
        if not is_on_hub and any((root / file).exists() for file in ("dataset_dict.json", "state.json")):
            found = library.load_from_disk(str(root))
        else:
            place, options = (name, {"revision": revision or None}) if is_on_hub else (str(root), {})
            builder = library.load_dataset_builder(place, subset, **options)
            kind = type(builder).__module__.rpartition(".")[2]
            if kind not in _KINDS:
                raise ValueError(f"it is of kind {kind}, must be {', '.join(_KINDS)}")  # noqa: TRY301
            builder.download_and_prepare()
            found = builder.as_dataset()
    except Exception as problem:  # of any of the libraries below
        reason = " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
        raise ValueError(
            f"{text_of(root)} cannot be opened as a data set ({reason}): correct data.root, or "
            "data.collection.subset."
        ) from problem
    return found if isinstance(found, Mapping) else {"train": found}


def text_of(root: Path) -> str:
    """What messages call it."""
    return str(root).replace(f"{HUB}/", f"{HUB}//", 1) if root.parts[:1] == (HUB,) else str(root)


def _named(found: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Our names of the splits; one split alone is for training, whatever its name.

    Raises:
        ValueError: two splits of one name, or none for training.
    """
    if len(found) == 1:
        return {"train": next(iter(found.values()))}
    names = {split: [name for name in found if split_called(name) == split] for split in SPLITS}
    for split, called in names.items():
        if len(called) > 1 or (split == "train" and not called):
            raise ValueError(
                f"{text_of(root)} has {len(called)} splits for {split} among {', '.join(found)}, must have "
                "1: save one that has, or choose another subset by data.collection.subset."
            )
    if others := [name for name in found if split_called(name) is None]:
        log.warning("%s: the splits %s are not used.", text_of(root), ", ".join(others))
    return {split: found[called[0]] for split, called in names.items() if called}


def place_of(tables: Mapping[str, Any], root: Path) -> Path:
    """Where the library keeps the tables: another folder for other content."""
    files = next(iter(tables.values())).cache_files
    return Path(files[0]["filename"]).parent if files else root
