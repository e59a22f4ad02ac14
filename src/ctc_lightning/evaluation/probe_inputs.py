"""What the reference probe's head learns from: frozen features, or f in train mode.

B: batch, N: images, F: features, L: classes, X: whatever an example consists of
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ctc_lightning.evaluation.heads import answers
from ctc_lightning.evaluation.protocol import TargetImages, Task

_MOST_GIB = 16


class ProbeInputs(ABC):
    """Examples of a split, and their features while learning and while predicting."""

    num_features: int

    @abstractmethod
    def examples(self, split: str) -> tuple[Tensor, Tensor]:
        """All N of "train" or "trainval", and their labels."""

    @abstractmethod
    def learning(self, x_BX: Tensor) -> Tensor:
        """(B, F) features, without gradient, that the head learns from."""

    @abstractmethod
    def logits(self, head: nn.Module, split: str) -> tuple[Tensor, Tensor]:
        """(N, L) on the CPU: what ``head`` says of a split's frozen features; and the labels of the rows."""


class FrozenFeatures(ProbeInputs):
    """The task's features: the examples themselves."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.num_features = task.features["train"].shape[1]

    def examples(self, split: str) -> tuple[Tensor, Tensor]:
        """(N, F) and labels, on the task's device."""
        splits = ("train", "val") if split == "trainval" else (split,)
        label = torch.cat([self._task.label[split] for split in splits])
        return torch.cat([self._task.features[split] for split in splits]), label.to(self._task.device)

    def learning(self, x_BX: Tensor) -> Tensor:
        """The same."""
        return x_BX

    @torch.no_grad()
    def logits(self, head: nn.Module, split: str) -> tuple[Tensor, Tensor]:
        """One product."""
        return head(self._task.features[split]).cpu(), self._task.label[split]


class TrainModeFeatures(ProbeInputs):
    """A copy of f in train mode, its BatchNorm statistics following the batches; predicts in eval mode."""

    def __init__(self, images: TargetImages) -> None:
        self._images = images
        self._backbone = images.backbone()
        self.num_features = int(self._backbone.num_features)  # type: ignore[arg-type]

    def examples(self, split: str) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) views without augmentation on the CPU, and labels on the device.

        Raises:
            ValueError: more than 16 GiB of views.
        """
        views, labels, taken = [], [], 0
        for view_BCHW, label in self._images.batches(split):
            taken += view_BCHW.nbytes
            if taken > _MOST_GIB * 2**30:
                height, width = view_BCHW.shape[-2:]
                raise ValueError(
                    f"reference probe: batch_norm_in_train_mode keeps the {split} images in memory, and at "
                    f"{height}x{width} they take over {_MOST_GIB} GiB; show them smaller, or turn it off."
                )
            views.append(view_BCHW.cpu())
            labels.append(label)
        return torch.cat(views), torch.cat(labels)

    @torch.no_grad()
    def learning(self, x_BX: Tensor) -> Tensor:
        """f(x) by the batch's statistics; the running ones move."""
        return self._backbone.train()(x_BX.to(self._images.device))

    def logits(self, head: nn.Module, split: str) -> tuple[Tensor, Tensor]:
        """By the running statistics of the moment."""
        return answers(nn.Sequential(self._backbone.eval(), head), self._images.batches(split))
