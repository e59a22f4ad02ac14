"""How the learning rate runs through a stage: a factor of the base rate.

E: epochs in the stage, e: epochs since the stage began (a fraction within an epoch, 0 <= e < E)
"""

import math
from abc import ABC, abstractmethod

from ctc_lightning.checks import in_range


class Schedule(ABC):
    """A learning-rate factor over one stage."""

    @abstractmethod
    def __call__(self, epoch: float, num_epochs: int) -> float:
        """The factor for the step that begins at ``epoch`` of ``num_epochs``."""


class Constant(Schedule):
    """Factor 1 throughout."""

    def __call__(self, epoch: float, num_epochs: int) -> float:
        """Return 1."""
        return 1.0


class Cosine(Schedule):
    """½(1 + cos(π e/E)), at every step (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

    def __call__(self, epoch: float, num_epochs: int) -> float:
        """Fall from 1 to 0."""
        return 0.5 * (1 + math.cos(math.pi * epoch / num_epochs))


class ReferenceCosine(Schedule):
    """½(1 + cos(π n/(E + 1))) in the stage's n-th epoch, n = 1..E, constant within the epoch.

    Source: dt-tradeoff@a36516b helper/util.py:24-46, both stages.
    """

    def __call__(self, epoch: float, num_epochs: int) -> float:
        """Fall by epochs; the first is already below 1, the last above 0."""
        return 0.5 * (1 + math.cos(math.pi * (math.floor(epoch) + 1) / (num_epochs + 1)))


class WarmupCosine(Schedule):
    """n/w in the first w epochs, then r + (1 − r)·½(1 + cos(π n/(E + 1))), n = 1..E, constant in an epoch.

    Args:
        warmup_epochs: w >= 0.
        final_scale: r in [0, 1].

    Raises:
        ValueError: a value out of range.

    Source: the reference's cross-entropy baseline, dt-tradeoff@a36516b helper/util.py:49-62 (w 5, r 0.1).
    """

    def __init__(self, warmup_epochs: int = 5, final_scale: float = 0.1) -> None:
        in_range("schedule", "[0, inf)", warmup_epochs=warmup_epochs)
        in_range("schedule", "[0, 1]", final_scale=final_scale)
        self.warmup_epochs = warmup_epochs
        self.final_scale = final_scale

    def __call__(self, epoch: float, num_epochs: int) -> float:
        """Rise, then fall, by epochs."""
        number = math.floor(epoch) + 1
        if number <= self.warmup_epochs:
            return number / self.warmup_epochs
        cosine = 0.5 * (1 + math.cos(math.pi * number / (num_epochs + 1)))
        return self.final_scale + (1 - self.final_scale) * cosine


class LinearWarmupCosine(Schedule):
    """(1 − s)·e/w + s while e < w, then r + (1 − r)·½(1 + cos(π (e − w)/(E − w))), at every step.

    Args:
        warmup_epochs: w >= 0; a stage that is not longer than that has no warm-up.
        initial_scale: s in [0, 1], where the warm-up begins.
        final_scale: r in [0, 1], where the cosine ends.

    Raises:
        ValueError: a value out of range.

    Source: Goyal et al. 2017, arXiv 1706.02677, section 2.2 (s = 1/ranks there); Loshchilov & Hutter 2017.
    """

    def __init__(self, warmup_epochs: float, initial_scale: float = 0.0, final_scale: float = 0.0) -> None:
        in_range("schedule", "[0, inf)", warmup_epochs=warmup_epochs)
        in_range("schedule", "[0, 1]", initial_scale=initial_scale, final_scale=final_scale)
        self.warmup_epochs = warmup_epochs
        self.initial_scale = initial_scale
        self.final_scale = final_scale

    def __call__(self, epoch: float, num_epochs: int) -> float:
        """Rise, then fall, at every step."""
        warmup = self.warmup_epochs if self.warmup_epochs < num_epochs else 0
        if epoch < warmup:
            return self.initial_scale + (1 - self.initial_scale) * epoch / warmup
        cosine = 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (num_epochs - warmup)))
        return self.final_scale + (1 - self.final_scale) * cosine
