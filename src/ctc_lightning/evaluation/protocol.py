"""What a transfer protocol is given, and what it answers.

N: images, F: features, L: classes, S: source classes
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ctc_lightning.evaluation.classification_metrics import classification
from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.versioned import Versioned

SPLITS = ("train", "val", "test")


class TargetImages(ABC):
    """The target's images and the network, for protocols that train more than a head."""

    device: torch.device

    @abstractmethod
    def backbone(self) -> nn.Module:
        """A copy of f of its own, in eval mode, with an int ``num_features``."""

    @abstractmethod
    def batches(
        self, split: str, *, batch_size: int | None = None, train: bool = False, epoch: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(B, C, H, W) float32 views and (B,) or (B, L) labels on ``device``.

        Args:
            split: "train", "val", "test" or "trainval".
            batch_size: B; None: the data module's for evaluation.
            train: shuffled and augmented, the last incomplete batch left out; else every image once, in
                order.
            epoch: with ``train``, which draw.
        """

    @abstractmethod
    def inputs(self, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        """(B, C, H, W) float32 views, as the network sees them, and (B,) int64 rows, on ``device``.

        Sorted by row (stable), they are in the order of `Task.features`.
        """

    @property
    def shown(self) -> object:
        """What the images are: the same object for the same images, whatever the network and the label."""
        return self


@dataclass(frozen=True)
class Task:
    """One target as one network sees it.

    Attributes:
        target: its name.
        metric: what the field reports on it: "top1", "mean_per_class" or "map_11_point".
        num_classes: L.
        label: split -> (N,) int64 in [0, L); of a multi-label target (N, L) int8 with 1 present, 0 absent,
            -1 not to be judged. On the CPU.
        features: split -> (N, F) float32 frozen features, finite, in the order of the labels, on ``device``.
        device: where to compute.
        source_probabilities: split -> (N, S) softmax of the source classifier; None where there is none.
        classifier: of these very classes, (N, F) to (N, L), where the target is the source; else None.
        compared_to: name ("first", "previous") -> (N, F) test features of another checkpoint of the run.
        images: None where only features are at hand, as during training.
        seed: for all random draws: the same for every checkpoint, so that they meet the same draws.
    """

    target: str
    metric: str
    num_classes: int
    label: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    source_probabilities: Mapping[str, Tensor] | None = None
    classifier: nn.Linear | None = None
    compared_to: Mapping[str, Tensor] = field(default_factory=dict)
    images: TargetImages | None = None
    seed: int = 0

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several classes."""
        return next(iter(self.label.values())).ndim > 1


class Protocol(Versioned, ABC):
    """Measures what a network is worth on a target.

    Attributes:
        uses_images: whether `Task.images` is needed; such a protocol cannot run during training.
        measures_source: whether it also measures the task of the training.
        compares_checkpoints: whether `Task.compared_to` is needed.
        splits: whose features it looks at; those of others need not be there.
        needs_labels: whether the label makes a difference: if not, images with several are measured once.
        takes_multi_label: whether an image may have several classes.
        settings: everything that its numbers depend on, as plain values: all constructor arguments by name.
        version: of its code, see `Versioned`.
    """

    uses_images: bool = False
    measures_source: ClassVar[bool] = False
    compares_checkpoints: ClassVar[bool] = False
    splits: ClassVar[tuple[str, ...]] = SPLITS
    needs_labels: ClassVar[bool] = True
    takes_multi_label: ClassVar[bool] = True

    @abstractmethod
    def measure(self, task: Task) -> list[Measured]:
        """Fit on train, choose on val, touch test once.

        Raises:
            ValueError: a task that this protocol cannot measure, in one sentence.
        """


class Predicted(NamedTuple):
    """What a fitted classifier says.

    Attributes:
        test: (N, L) logits on the test split, fitted with the chosen hyper-parameters.
        val: (N, L) logits on the validation split of the model that was chosen there, fitted on train alone.
        chosen: see `Measured`.
        test_label: the label of each row of ``test``; None: the task's. A protocol that reads images gives
            those that came with them: where one stands in for an unreadable one, the order is another.
        val_label: likewise of ``val``.
    """

    test: Tensor
    val: Tensor
    chosen: str
    test_label: Tensor | None = None
    val_label: Tensor | None = None


class ClassifierProtocol(Protocol):
    """A protocol that ends in logits: all have the same metrics (see `measures.classification`)."""

    version = 1

    @abstractmethod
    def predict(self, task: Task) -> Predicted:
        """Fit on train, choose on val, predict test."""

    def measure(self, task: Task) -> list[Measured]:
        """All metrics of a classifier, the target's own also on validation."""
        predicted = self.predict(task)
        return classification(
            predicted.test,
            task.label["test"] if predicted.test_label is None else predicted.test_label,
            predicted.val,
            task.label["val"] if predicted.val_label is None else predicted.val_label,
            task.metric,
            predicted.chosen,
        )
