"""Features of a finished run at any of its checkpoints, with all labels of the images: for a closer look.

N: images, F: features
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ctc_lightning.evaluation.feature_cache import FeatureCache
from ctc_lightning.evaluation.measurement import SOURCE, FrozenNetwork, ImageDigests
from ctc_lightning.evaluation.run_checkpoints import (
    Snapshot,
    epoch_in_name,
    find_checkpoints,
    own_data,
    read_snapshot,
    rebuild,
)

log = logging.getLogger(__name__)


class Features(NamedTuple):
    """Of one split of one image set.

    Attributes:
        h_NF: (N, F) float32, on the CPU.
        labels: name of a label -> (N,) int64 classes of the same images.
    """

    h_NF: Tensor
    labels: dict[str, Tensor]


class RunFeatures:
    """What the network of one run makes of the run's own images, checkpoint by checkpoint.

    Features are kept in the run's ``features/``, as those of ``python -m ctc_lightning.transfer``: what has
    been evaluated costs no forward pass.

    Args:
        run_dir: the run's directory.
        source: where its images are, if not where they were: root, cache_dir, num_workers.
        trust: whether its configuration may name code outside this package.

    Attributes:
        epochs: of the checkpoints, ascending; finished epochs, 0 before training.
        source_label: the name of the label that the run was trained on.
        num_classes: of that label.

    Raises:
        ValueError: there is no checkpoint of a whole epoch that can be read; data that are not there. Others
            among good ones are left out with a logged warning.
    """

    def __init__(
        self, run_dir: str | Path, *, source: Mapping[str, Any] | None = None, trust: bool = False
    ) -> None:
        self.run_dir, self.trust = Path(run_dir), trust
        self._snapshots = _snapshots(self.run_dir)
        self.epochs = sorted(self._snapshots)
        first = self._snapshots[self.epochs[0]]
        self._data = own_data(first.config, source or {}, trust=trust)
        self._expected = first.expected or self._data.network_input
        self._data.show_as(self._expected)
        self.source_label, self.num_classes = self._data.source_label, self._data.num_classes
        self._cache, self._digests = FeatureCache(self.run_dir / "features"), ImageDigests()

    def at(self, epoch: int, *, split: str = "test", target: str = SOURCE) -> Features:
        """The features after so many epochs.

        Args:
            epoch: one of `epochs`.
            split: train, val or test.
            target: ``source``, or a target of the run's own data: the image set that has its label.

        Raises:
            ValueError: there is no such epoch or target.
        """
        if epoch not in self._snapshots:
            raise ValueError(f"{self.run_dir} has no checkpoint of epoch {epoch}; it has {self.epochs}.")
        images = SOURCE if target == SOURCE else self._data.targets.get(target)
        if images is None:
            raise ValueError(
                f"the run's data have no target {target}; choose from "
                f"{', '.join([SOURCE, *self._data.targets])}."
            )
        parts = rebuild(self._snapshots[epoch], self._expected.shape, trust=self.trust)
        network = FrozenNetwork(*parts, torch.device("cpu"), self._cache, self._digests)
        h_NF, index_N = network.features(self._data, images, split)
        labels = self._data.image_sets[images][split].labels
        return Features(h_NF, {name: label[index_N] for name, label in labels.items()})


def _snapshots(run_dir: Path) -> dict[int, Snapshot]:
    found: dict[int, Snapshot] = {}
    problems: list[str] = []
    for file in find_checkpoints(run_dir):
        if epoch_in_name(file) in found:
            continue
        try:
            snapshot = read_snapshot(file)
        except ValueError as problem:
            problems.append(str(problem))
            continue
        if snapshot.within_epoch:
            problems.append(
                f"{file} was saved at {snapshot.when}; let the run finish that epoch (resume=auto)."
            )
            continue
        found.setdefault(snapshot.epoch, snapshot)
    if not found:
        raise ValueError(
            problems[0]
            if problems
            else f"{run_dir} holds no checkpoint (checkpoints/*.ckpt); give the directory of a run."
        )
    for reason in problems:
        log.warning("left out: %s", reason)
    return found
