"""Targets that are given as images: data modules and tensors, by the names that the table gives them."""

import copy
from collections.abc import Container, Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from ctc_lightning.batch_forms import parts_of
from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.from_tensors import TensorImages
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.evaluation.results import SOURCE
from ctc_lightning.evaluation.targets import OWN, Target

_SPLITS = {1: ("train",), 2: ("train", "test"), 3: ("train", "val", "test")}

Given = dict[str, pl.LightningDataModule]


def split_targets(targets: Any) -> tuple[list[str] | None, Given]:
    """The names of targets (None: none were given), and those that are images.

    Raises:
        ValueError: something else, or a name that a label has.
    """
    if targets is None:
        return None, {}
    named = targets.items() if isinstance(targets, Mapping) else None
    several = isinstance(targets, list) or (
        isinstance(targets, tuple) and all(isinstance(one, str) for one in targets)
    )
    names: list[str] = []
    given: Given = {}
    for name, target in named or [(None, one) for one in (targets if several else [targets])]:
        if isinstance(target, str) and name is None:
            names.append(target)
            continue
        called = str(name or _unused(getattr(target, "name", None) or "images", {*given, *names}))
        if called in (SOURCE, OWN) or "/" in called:
            raise ValueError(f"a target is called {called!r}, which names a label; choose another name.")
        given[called] = _data_module(target, called)
    return names, given


def _unused(name: str, given: Container[str]) -> str:
    return next(
        one for one in (name, *(f"{name}_{number}" for number in range(2, 10_000))) if one not in given
    )


def _data_module(target: Any, name: str) -> pl.LightningDataModule:
    if isinstance(target, pl.LightningDataModule):
        return target
    pairs = [target] if _is_pair(target) else target
    if isinstance(pairs, tuple | list) and len(pairs) in _SPLITS and all(map(_is_pair, pairs)):
        return TensorImages(dict(zip(_SPLITS[len(pairs)], pairs, strict=True)), name)
    raise ValueError(
        f"target {name} is a {type(target).__name__}; give a name, a LightningDataModule, "
        "(images, labels), or two or three such pairs; several targets as a list."
    )


def _is_pair(given: Any) -> bool:
    return (
        isinstance(given, tuple | list)
        and len(given) == 2
        and all(isinstance(one, Tensor | np.ndarray) for one in given)
    )


def open_given(name: str, data: pl.LightningDataModule, expected: NetworkInput | None) -> Target:
    """The data module as a target, shown as the network expects it; the user's own is not changed.

    Raises:
        ValueError: see `Target.check`.
    """
    shown = copy.copy(data) if isinstance(data, ImageDataModule) else TensorImages(_yielded(data), name)
    shown.trainer = None
    shown.setup()
    if expected is not None:
        shown.show_as(expected)
    target = Target(name, shown, SOURCE, shown.source_label)
    target.check()
    return target


def _yielded(data: pl.LightningDataModule) -> dict[str, tuple[Tensor, Tensor]]:
    """All that the loaders of anybody's data module yield."""
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    splits = {}
    for split in _SPLITS[3]:
        if is_overridden(f"{split}_dataloader", data, pl.LightningDataModule):
            parts = [parts_of(batch) for batch in getattr(data, f"{split}_dataloader")()]
            if any(part.label is None for part in parts):
                raise ValueError(f"{type(data).__name__}: the {split} loader yields no labels; add them.")
            label = torch.cat([part.label for part in parts if part.label is not None])
            splits[split] = torch.cat([part.view for part in parts]), label
    if "train" not in splits:
        raise ValueError(f"{type(data).__name__} has no train_dataloader; add one.")
    return splits
