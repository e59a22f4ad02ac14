"""Transfer targets by name: a label of the run's own data, a data set of ``conf/data``, or a suite."""

# N images of a split, L classes

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.evaluation.data_options import DataOptions, data_sets
from ctc_lightning.evaluation.feature_cache import digest_of_images
from ctc_lightning.evaluation.protocol import SPLITS
from ctc_lightning.evaluation.results import SOURCE

OWN = "own"
_SUITE = "suite/"
_LEAST = 2  # images of a class: one to fit, one to choose by


@dataclass(frozen=True)
class Target:
    """A label of an image set, whose images look as the network expects them.

    Attributes:
        name: for tables.
        data: the data module, set up.
        images: name of its image set.
        label: name of the label.
        place: of a folder of one's own, where it is; else "".
    """

    name: str
    data: ImageDataModule
    images: str
    label: str
    place: str = ""

    @property
    def metric(self) -> str:
        """What the field reports on it."""
        return getattr(getattr(self.data, "collection", None), "metric", "top1")

    def labels(self, split: str) -> Tensor:
        """(N,) int64, or (N, L) int8 where an image may have several classes."""
        return self.data.image_sets[self.images][split].labels[self.label]

    @property
    def num_classes(self) -> int:
        """L."""
        if self.labels("train").ndim > 1:
            return self.labels("train").shape[1]
        named = self.data.image_sets[self.images]["train"].classes.get(self.label, ())
        return len(named) or 1 + max(int(self.labels(split).max()) for split in SPLITS)

    def check(self) -> None:
        """Refuse a split without images, one that serves twice, and a class with too few images.

        Raises:
            ValueError: names the split or the class.
        """
        for split in SPLITS:
            if len(self.labels(split)) == 0:
                raise ValueError(
                    f"target {self.name} has no {split} images; look at what `python -m ctc_lightning.data` "
                    "says of it, or choose another target."
                )
        self._check_test_is_kept_apart()
        if self.labels("train").ndim > 1:
            if not (self.labels("val") == 1).any():
                raise ValueError(
                    f"target {self.name}: no validation image has a class, so nothing can be chosen by them; "
                    "raise data.val_share."
                )
            return
        known_N = torch.cat([self.labels("train"), self.labels("val")])
        tested = torch.bincount(self.labels("test"), minlength=self.num_classes)
        known = torch.bincount(known_N, minlength=self.num_classes)
        if len(few := ((known < _LEAST) & (known + tested > 0)).nonzero()):
            row = int(few[0])
            names = self.data.image_sets[self.images]["train"].classes.get(self.label, ())
            called = f" ({names[row]})" if names else ""
            raise ValueError(
                f"target {self.name}: class {row}{called} has {int(known[row])} images to learn from; at "
                f"least {_LEAST} of each class are needed, add images or leave the class out."
            )

    def _check_test_is_kept_apart(self) -> None:
        splits = self.data.image_sets[self.images]
        val, test = splits["val"], splits["test"]
        if len(val) != len(test) or not torch.equal(self.labels("val"), self.labels("test")):
            return
        if val is test or digest_of_images(val) == digest_of_images(test):
            raise ValueError(
                f"target {self.name}: its validation images are its test images, by which nothing may be "
                "chosen and on which nothing may be fitted; hold some out by data.val_share=0.2 (of a run's "
                "own data: when it is trained)."
            )


def expand(
    target: str | Sequence[str] | None, own: ImageDataModule | None, *, by_data_set: bool = True
) -> list[str]:
    """The names of the targets that were asked for, each once: ``own`` and suites become their members.

    ``source`` is the task of the training itself, which goes by the name of its label or its data set, too.
    ``own`` is without it: the network's own classifier measures it at all events.

    Args:
        target: one name, several, or None for ``own``. ``glyphs/hue`` is ``hue`` for a run on glyphs.
        own: the run's own data.
        by_data_set: whether the name of their data set means them; else it is another data set, see
            `DataOptions.ask_for_other_images`.

    Raises:
        ValueError: there is no such suite or target.
    """
    asked = [target] if isinstance(target, str) else [OWN] if target is None else list(target)
    names: list[str] = []
    for name in asked:
        if own is not None and not by_data_set:
            name = SOURCE if name == own.source_label and name not in own.targets else name  # noqa: PLW2901
        elif own is not None:
            name = name.removeprefix(f"{own.name}/") if name.partition("/")[2] in own.targets else name  # noqa: PLW2901
            if name in {own.name, own.source_label, f"{own.name}/{own.source_label}"} - {*own.targets}:
                name = SOURCE  # noqa: PLW2901
        if name == OWN:
            names += own.targets if own is not None else ()
        elif name == SOURCE:
            names += [SOURCE] if own is not None else []
        elif name.startswith(_SUITE):
            names += expand(_suite(name.removeprefix(_SUITE)), own, by_data_set=by_data_set)
        else:
            names.append(name)
    _check_known(names, own)
    return list(dict.fromkeys(names))


def _check_known(names: Sequence[str], own: ImageDataModule | None) -> None:
    """Refuse a misspelt name before anything is measured."""
    labels = list(dict.fromkeys([*own.targets, own.source_label])) if own is not None else []
    for name in names:
        if name not in (*labels, SOURCE) and name.partition("/")[0] not in data_sets():
            there = [*labels, *data_sets()]
            nearest = get_close_matches(name, there, n=2)
            remedy = f"did you mean {' or '.join(nearest)}? Else choose" if nearest else "choose"
            raise ValueError(
                f"there is no target {name}; {remedy} a label of the run's data "
                f"({', '.join(labels) or 'none'}), a data set ({', '.join(data_sets())}) or suite/NAME."
            )


def is_external(target: str | Sequence[str] | None, own_name: str | None) -> bool:
    """Whether every target is another data set, so that a run's own data need not be opened.

    Args:
        target: as in `expand`.
        own_name: the data set's name that means the run's own data; None: there is none.
    """
    asked = [target] if isinstance(target, str) else [OWN] if target is None else list(target)
    return all(
        name.startswith(_SUITE)
        or ((data_set := name.partition("/")[0]) in data_sets() and data_set != own_name)
        for name in asked
    )


def _suite(name: str) -> list[str]:
    folder = config_dir() / "suite"
    there = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in there:
        raise ValueError(f"there is no suite {name}; choose one of {', '.join(there)}.")
    return list(OmegaConf.load(folder / f"{name}.yaml").target)


def open_target(
    name: str,
    own: ImageDataModule | None,
    expected: NetworkInput,
    options: DataOptions | None = None,
) -> Target:
    """Find a target and set up its images.

    Args:
        name: ``source`` or a label of ``own``; or a data set of ``conf/data``, by itself for its first label,
            or with one of its labels: ``cifar100/coarse``.
        own: the run's own data, set up; None where there are none.
        expected: what the network was trained on.
        options: of other data sets.

    Raises:
        ValueError: no such target, one that is not on this machine or not whole; see `Target.check`.
    """
    if own is not None and name == SOURCE:
        target = Target(SOURCE, own, SOURCE, own.source_label)
    elif own is not None and name in own.targets:
        target = Target(name, own, own.targets[name], name)
    else:
        options = options or DataOptions()
        data, label = _data_module(name, expected, options)
        data_set = name.partition("/")[0]
        data.name = options.name_of(data_set)
        place = options.place_of(data_set)
        target = Target(options.name_of(name), data, data.targets.get(label, "source"), label, place)
    target.check()
    return target


def _data_module(name: str, expected: NetworkInput, options: DataOptions) -> tuple[ImageDataModule, str]:
    data_set, _, label = name.partition("/")
    cfg = options.config(data_set)
    # Nobody looks at a second view, and a view cropped to another size would be refused; a data set smaller
    # than a training batch is welcome
    changes: dict[str, Any] = {"key_augmentation": None, "drop_last": False}
    try:
        # Small images are kept as they are and enlarged a batch at a time: at 224 pixels CIFAR-10 takes 9 GB
        if "image_size" in cfg and not (cfg.image_size is None and instantiate(cfg.collection).image_size):
            changes["image_size"] = expected.shape[-1]
        data = instantiate(OmegaConf.merge(cfg, changes))
    except InstantiationException as error:
        raise ValueError(f"target {name}: {error.__cause__ or error}") from error
    labels = [*data.source_labels, *data.targets]
    if label and label not in labels:
        raise ValueError(
            f"target {name}: {data_set} has no label {label}; choose from {', '.join(dict.fromkeys(labels))}."
        )
    data.setup()
    data.show_as(expected)
    return data, label or data.source_label
