"""A data module's images for protocols that train more than a head. B: images of a batch, N: all images."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.image_set import check_not_in_shards, join
from ctc_lightning.data.sampler import EpochBatches
from ctc_lightning.evaluation.protocol import TargetImages

TRAINVAL = "trainval"


class ModuleImages(TargetImages):
    """Batches of one image set of a data module, with one of its labels.

    Args:
        network: f, copied for every protocol.
        data: set up; its augmentation is that of ``train`` batches.
        images: name of the image set.
        label: name of the label.
        device: where batches and copies go.
    """

    def __init__(
        self, network: nn.Module, data: ImageDataModule, images: str, label: str, device: torch.device
    ) -> None:
        self.network, self.data, self.images, self.label, self.device = network, data, images, label, device

    def backbone(self) -> nn.Module:
        """A copy of f, in eval mode."""
        return copy.deepcopy(self.network).eval().to(self.device)

    def batches(
        self, split: str, *, batch_size: int | None = None, train: bool = False, epoch: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See `TargetImages.batches`; a training batch has at most as many images as there are.

        Raises:
            ValueError: the images lie in shards.
        """
        splits = self.data.image_sets[self.images]
        check_not_in_shards(splits["train"])  # at once, not where train and val are joined at the end
        if split == TRAINVAL and TRAINVAL not in splits:
            joined = {TRAINVAL: join(splits["train"], splits["val"])}
            self.data.image_sets = {**self.data.image_sets, self.images: {**splits, **joined}}
            splits = self.data.image_sets[self.images]
        label_N = splits[split].labels[self.label].to(self.device)
        size = min(batch_size or self.data.eval_batch_size, len(label_N))
        sampler = EpochBatches(len(label_N), size, seed=0 if train else None, shuffle=train, drop_last=train)
        sampler.set_epoch(epoch)
        for loaded in self.data.open(sampler, self.images, split, train=train):
            batch = self.data.on_after_batch_transfer(
                self.data.transfer_batch_to_device(loaded, self.device, 0), 0
            )
            yield batch.view, label_N[batch.index]

    def inputs(self, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        """See `TargetImages.inputs`."""
        for batch in self.data.evaluation_batches(self.images, split, self.device):
            yield batch.view, batch.index

    @property
    def shown(self) -> object:
        """The image set."""
        return self.data.image_sets[self.images]["test"]
