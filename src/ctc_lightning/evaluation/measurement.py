"""From a frozen network and a target to rows of ``results.csv``, in training and afterwards alike.

N: images, F: features, L: classes
"""

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from hydra.errors import InstantiationException
from torch import Tensor, nn

from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.image_set import Images, ImageSet
from ctc_lightning.evaluation.classification_metrics import classification
from ctc_lightning.evaluation.feature_cache import (
    Extracted,
    FeatureCache,
    digest_of,
    digest_of_images,
    digest_of_tensors,
)
from ctc_lightning.evaluation.features import extract_features
from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.module_images import ModuleImages
from ctc_lightning.evaluation.protocol import SPLITS, Protocol, Task
from ctc_lightning.evaluation.results import FAILED, SOURCE, Row
from ctc_lightning.evaluation.targets import Target
from ctc_lightning.networks.eval_mode import evaluating

log = logging.getLogger(__name__)

CLASSIFIER = "classifier"
# Raise them when a change of the code changes features, or the source accuracy: see `Versioned`
FEATURES_VERSION, CLASSIFIER_VERSION = 1, 1
# What a target may do to its own measurement; the other targets go on
FAILURES = (ValueError, RuntimeError, OSError, InstantiationException)


@dataclass
class Moment:
    """Where in which run something is measured: the first columns of a row."""

    run: str
    method: str
    seed: int
    epoch: int
    step: int

    def row(self, protocol: str, target: str, measured: Measured, **columns: Any) -> Row:
        """A measured number, with the columns ``seconds``, ``settings`` and ``images``."""
        at = (self.run, self.method, self.seed, self.epoch, self.step)
        return Row(*at, protocol, target, **measured._asdict())._replace(**columns)

    def failure(self, protocol: str, target: str, reason: str, **columns: Any) -> Row:
        """A row that records why the measurement failed."""
        note = " ".join(reason.split())
        at = (self.run, self.method, self.seed, self.epoch, self.step)
        return Row(*at, protocol, target, FAILED, torch.nan, note=note)._replace(**columns)


class ImageDigests:
    """Digests of image sets, each computed once."""

    def __init__(self) -> None:
        # the images stay alive: ids are not used twice
        self._known: dict[tuple[int, bool], tuple[Images, str]] = {}

    def __call__(self, images: Images, *, with_place: bool = True) -> str:
        """See `digest_of_images`."""
        key = id(images), with_place or isinstance(images, ImageSet)  # pixels have no place
        if key not in self._known:
            self._known[key] = images, digest_of_images(images, with_place=with_place)
        return self._known[key][1]

    def of_target(self, target: Target) -> str:
        """16 hexadecimal digits of a target's images and labels, for the column ``images``.

        The same data set in another place has the same digest, unless it is a folder of one's own.
        """
        splits = target.data.image_sets[target.images]
        return digest_of(
            {
                "place": target.place,
                "images": [self(splits[split], with_place=False) for split in SPLITS],
                "labels": digest_of_tensors({split: target.labels(split) for split in SPLITS}),
            }
        )


@dataclass
class FrozenNetwork:
    """One network at one moment, and the features that it has been asked for.

    Args:
        backbone: f.
        classifier: W of the source task; None where there is none.
        device: where they are.
        cache: of features.
        image_digests: shared by the networks that look at the same images.
    """

    backbone: nn.Module
    classifier: nn.Linear | None
    device: torch.device
    cache: FeatureCache
    image_digests: ImageDigests
    _digest: str = ""
    _extracted: dict[tuple[int, int], Extracted] = field(default_factory=dict)
    _failed: dict[tuple[int, int], Exception] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of all weights and buffers, and of what they are used for: layers, strides, pooling."""
        if not self._digest:
            tensors = {f"backbone.{name}": value for name, value in self.backbone.state_dict().items()}
            if self.classifier is not None:
                tensors |= {f"classifier.{k}": value for k, value in self.classifier.state_dict().items()}
            self._digest = digest_of([digest_of_tensors(tensors), repr(self.backbone)])
        return self._digest

    def features(self, data: ImageDataModule, images: str, split: str) -> Extracted:
        """(N, F) float32 and (N,) rows, on the CPU; from memory, from the cache or by one forward pass.

        On several ranks, each must ask. What failed once fails again without another pass.
        """
        shown = data.image_sets[images][split]
        memory = id(data), id(shown)
        if memory in self._failed:
            raise self._failed[memory]
        if memory not in self._extracted:
            key = {
                "version": FEATURES_VERSION,
                "network": self.digest,
                "images": self.image_digests(shown),
                "input": data.network_input._asdict(),
                "fit": _fit(data),
            }

            def extract() -> Extracted:
                with evaluating(self.backbone):
                    batches = data.evaluation_batches(images, split, self.device)
                    return extract_features(self.backbone, batches, self.device)

            try:
                self._extracted[memory] = self.cache.get(key, extract, f"{data.name}-{images}-{split}")
            except FAILURES as error:
                self._failed[memory] = error
                raise
        return self._extracted[memory]

    def forget(self, data: ImageDataModule) -> None:
        """The features of a target that nobody will ask for again."""
        self._extracted = {key: found for key, found in self._extracted.items() if key[0] != id(data)}

    def logits(self, h_NF: Tensor) -> Tensor:
        """(N, S) of the source classifier, on the CPU."""
        assert self.classifier is not None, "a backbone by itself has no source classifier"
        with torch.no_grad():
            return self.classifier(h_NF.to(self.device, self.classifier.weight.dtype)).float().cpu()


def settings_of(
    protocol: Protocol,
    target: Target,
    network: FrozenNetwork,
    compared_to: Mapping[str, FrozenNetwork] = MappingProxyType({}),
) -> str:
    """Digest of all that the numbers depend on, known before anything is computed."""
    splits = target.data.image_sets[target.images]
    return digest_of(
        {
            "protocol": protocol.description,
            "features": FEATURES_VERSION,
            "network": network.digest,
            "compared_to": {name: other.digest for name, other in compared_to.items()},
            "input": target.data.network_input._asdict(),
            "fit": _fit(target.data),
            "images": [network.image_digests(splits[split]) for split in SPLITS],
            "labels": digest_of_tensors({split: target.labels(split) for split in SPLITS}),
        }
    )


def _fit(data: ImageDataModule) -> str:
    """How files are cut and resized when they are read; of images in memory it shows in the pixels."""
    return repr(getattr(data, "fit", None))


def task_of(
    target: Target,
    network: FrozenNetwork,
    *,
    compared_to: Mapping[str, FrozenNetwork] = MappingProxyType({}),
    with_images: bool = False,
    only: Collection[str] = SPLITS,
) -> Task:
    """The target as the network sees it.

    Args:
        target: checked.
        network: on one process, or asked for all three splits on every rank before.
        compared_to: other moments of the run, by name.
        with_images: whether protocols need the images themselves.
        only: the splits whose features are needed: a training split may be a long forward pass.

    Raises:
        ValueError: features that are not finite.
    """
    features, label = {}, {}
    for split in (split for split in SPLITS if split in only):
        h_NF, index_N = network.features(target.data, target.images, split)
        _check_finite(h_NF, f"{split} images of {target.name}")
        features[split], label[split] = h_NF.to(network.device), target.labels(split)[index_N]
    probabilities = None
    if network.classifier is not None:
        probabilities = {split: network.logits(h_NF).softmax(1) for split, h_NF in features.items()}
    images = None
    if with_images:
        images = ModuleImages(network.backbone, target.data, target.images, target.label, network.device)
    return Task(
        target=target.name,
        metric=target.metric,
        num_classes=target.num_classes,
        label=label,
        features=features,
        device=network.device,
        source_probabilities=probabilities,
        classifier=network.classifier if target.name == SOURCE else None,
        compared_to={
            name: other.features(target.data, target.images, "test")[0].to(network.device)
            for name, other in compared_to.items()
        },
        images=images,
    )


def _check_finite(h_NF: Tensor, images: str) -> None:
    if bad := int((~h_NF.isfinite()).any(1).sum()):
        raise ValueError(
            f"{bad} of {len(h_NF)} {images} have features that are not finite; the network has diverged, "
            "lower the learning rate."
        )


def measure(
    protocols: Mapping[str, Protocol], task: Task, moment: Moment, settings: Mapping[str, str], images: str
) -> Iterator[list[Row]]:
    """One protocol after the other: its rows, or the one that says why there are none.

    Args:
        protocols: by name.
        task: what they measure.
        moment: of the network.
        settings: by the protocol's name, see `settings_of`.
        images: see `ImageDigests.of_target`.
    """
    for name, protocol in protocols.items():
        began = time.perf_counter()
        try:
            found = protocol.measure(task)
        except Exception as error:  # whatever it is, the other protocols and targets go on
            log.debug("%s on %s", name, task.target, exc_info=True)
            reason = str(error) if isinstance(error, FAILURES) else f"{type(error).__name__}: {error}"
            yield [moment.failure(name, task.target, reason, settings=settings[name], images=images)]
            continue
        columns = {"seconds": _since(began), "settings": settings[name], "images": images}
        yield [moment.row(name, task.target, m, **columns) for m in found]


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 4)


def headlines(rows: Sequence[Row]) -> list[Row]:
    """The test rows of each target's own metric: the one that was also measured on validation."""
    own = {
        (row.protocol, row.target, row.metric.removeprefix("val_"))
        for row in rows
        if row.metric.startswith("val_")
    }
    return [row for row in rows if (row.protocol, row.target, row.metric) in own]


def source_settings(network: FrozenNetwork, data: ImageDataModule) -> str:
    """Digest of all that the source accuracy depends on."""
    splits = data.image_sets[SOURCE]
    return digest_of(
        {
            "version": CLASSIFIER_VERSION,
            "features": FEATURES_VERSION,
            "network": network.digest,
            "input": data.network_input._asdict(),
            "fit": _fit(data),
            "images": [network.image_digests(splits[split]) for split in ("val", "test")],
            "labels": digest_of_tensors({k: splits[k].labels[data.source_label] for k in ("val", "test")}),
        }
    )


def source_rows(network: FrozenNetwork, data: ImageDataModule, moment: Moment) -> list[Row]:
    """The network's own classifier on its source task: discriminability.

    Raises:
        ValueError: features that are not finite.
    """
    began = time.perf_counter()
    logits, label = {}, {}
    for split in ("val", "test"):
        h_NF, index_N = network.features(data, SOURCE, split)
        _check_finite(h_NF, f"{split} images of the source")
        logits[split] = network.logits(h_NF)
        label[split] = data.image_sets[SOURCE][split].labels[data.source_label][index_N]
    found = classification(logits["test"], label["test"], logits["val"], label["val"], "top1", "")
    columns = {"seconds": _since(began), "settings": source_settings(network, data)}
    columns["images"] = network.image_digests.of_target(Target(SOURCE, data, SOURCE, data.source_label))
    return [moment.row(CLASSIFIER, SOURCE, m, **columns) for m in found]


def missing(
    protocols: Mapping[str, Protocol],
    settings: Mapping[str, str],
    rows: Iterable[Row],
    moment: Moment,
    target: str,
) -> dict[str, Any]:
    """The protocols that no row has measured with these settings."""
    done = {
        (row.protocol, row.settings)
        for row in rows
        if row.metric != FAILED
        and row.target == target
        and (row.epoch, row.step) == (moment.epoch, moment.step)
    }
    return {name: protocol for name, protocol in protocols.items() if (name, settings[name]) not in done}


def applicable(protocols: Mapping[str, Protocol], target: Target) -> dict[str, Protocol]:
    """The protocols that can measure the target: not all take images with several classes."""
    several = target.labels("train").ndim > 1
    return {name: p for name, p in protocols.items() if p.takes_multi_label or not several}
