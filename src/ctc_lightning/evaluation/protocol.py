"""What a probe must do. N: images, F: features."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Features(NamedTuple):
    """Frozen features ``h_NF`` (N, F) float64 of images with labels ``label_N`` (N,) int64."""

    h_NF: NDArray[np.float64]
    label_N: NDArray[np.int64]


class Score(NamedTuple):
    """What a probe found.

    Attributes:
        top1: accuracy on the test split, in [0, 1]; the test split was used for this number alone.
        val_top1: accuracy on the validation split, by which the hyper-parameter was chosen.
        chosen: the hyper-parameter.
    """

    top1: float
    val_top1: float
    chosen: float


class Probe(ABC):
    """Reads labels off frozen features."""

    @abstractmethod
    def score(self, train: Features, val: Features, test: Features) -> Score:
        """Fit on ``train``, choose the hyper-parameter on ``val``, measure once on ``test``.

        Raises:
            ValueError: features that are not finite.
        """


def check_finite(*splits: Features) -> None:
    """Refuse NaN and infinite features with one sentence."""
    for split in splits:
        bad = int((~np.isfinite(split.h_NF)).any(axis=1).sum())
        if bad:
            raise ValueError(
                f"probe: {bad} of {len(split.h_NF)} images have features that are not finite; the network "
                "has diverged, lower the learning rate."
            )
