"""The data module of image files that are decoded during training, as for ImageNet."""

# B images of a batch, C channels

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pytorch_lightning.utilities import rank_zero_only

from ctc_lightning.checks import count, in_range, one_of
from ctc_lightning.data.augmentation import split_crop
from ctc_lightning.data.check import decode_all
from ctc_lightning.data.data_module import Loader
from ctc_lightning.data.duplicates import MOST
from ctc_lightning.data.file_batches import FileBatches, Fit, Unreadable
from ctc_lightning.data.from_collection import CollectionDataModule
from ctc_lightning.data.image_set import ImageFiles, Samples
from ctc_lightning.data.sampler import EpochBatches
from ctc_lightning.data.workers import SILENCE, WorkerLoader, ship, shortage

log = logging.getLogger(__name__)

Check = Literal["scan", "full"]


class FileDataModule(CollectionDataModule):
    """Worker processes read, decode and crop, in uint8; everything after that happens to whole batches.

    A random resized crop at the head of an augmentation is drawn for each image in the worker that decoded
    it, so that every image may have its own size; without one, images are resized and cropped in the middle.
    Query and key are cropped from one decoding.

    Args:
        image_size: rows and columns of what the network sees.
        mean: of the channels, in units of [0, 1].
        std: likewise.
        crop_share: in (0, 1]: where no random crop is drawn, the central square takes this share of the
            shorter side.
        check: ``scan`` looks at names and counts before training, and for duplicates among up to 50 000
            images of one's own; ``full`` decodes and compares all.
        prefetch_factor: batches that each worker prepares ahead.
        worker_timeout: seconds without a batch from any worker, after which training ends; None: no limit.
        **options: of `CollectionDataModule`.

    Raises:
        ValueError: as `CollectionDataModule`; a random crop to another size than ``image_size``; in `setup`,
            a data set that is not files of one image each; with ``check=full``, images that cannot be read.
    """

    image_sets: Mapping[str, Mapping[str, ImageFiles]]

    def __init__(
        self,
        *,
        image_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        crop_share: float = 0.875,
        check: Check = "scan",
        prefetch_factor: int = 4,
        worker_timeout: float | None = SILENCE,
        **options: Any,
    ) -> None:
        super().__init__(image_size=image_size, **options)
        in_range("data", "(0, 1]", example=0.875, crop_share=crop_share)
        count("data", example=4, prefetch_factor=prefetch_factor)
        in_range("data", "(0, inf)", null=True, example=300, worker_timeout=worker_timeout)
        one_of("data", get_args(Check), check=check)
        self.channel_mean, self.channel_std = mean, std
        self.check = check
        self.prefetch_factor = prefetch_factor
        self.worker_timeout = worker_timeout
        self._has_warned = False
        self.fit = Fit(image_size, crop_share, self.interpolation)
        self.crop, self.augmentation = split_crop(self.augmentation)
        self.key_crop = None
        if self.key_augmentation is not None:
            self.key_crop, self.key_augmentation = split_crop(self.key_augmentation)

    def make(self) -> Mapping[str, Mapping[str, ImageFiles]]:
        """List the files; with ``check=full``, decode them all once."""
        splits: dict[str, ImageFiles] = {}
        for split, images in self.splits().items():
            if not isinstance(images, ImageFiles):
                raise ValueError(  # noqa: TRY004  # the user's choice is at fault, no type
                    f"data={self.name} does not keep each image in a file of its own, which decoding while "
                    "training goes on needs: use ctc_lightning.data.CachedDataModule."
                )
            splits[split] = images
        self._check_files(splits)
        return {"source": splits}

    @rank_zero_only  # others may not have been started yet
    def _check_files(self, splits: Mapping[str, ImageFiles]) -> None:
        """Warn of duplicates; with ``check=full`` decode every image."""
        if text := self.find_duplicates(splits, math.inf if self.check == "full" else MOST):
            log.warning("data=%s has %s", self.name, text)
        for split, files in splits.items() if self.check == "full" else ():
            if split == "test" and files is splits["val"]:
                continue
            what, skip = f"{self.name}, {split}", self.on_error == "skip"
            decode_all(files, self.num_workers, what, self.max_pixels, skip=skip)

    def find_shape(self) -> tuple[int, int, int]:
        """(C, S, S)."""
        return self.collection.channels, self.fit.size, self.fit.size

    def statistics(self) -> tuple[Sequence[float], Sequence[float]]:
        """As configured."""
        return self.channel_mean, self.channel_std

    def open(self, sampler: EpochBatches, name: str, split: str, *, train: bool) -> Loader:
        """Batches from worker processes, ahead of time, in pinned memory where a GPU trains."""
        files = self.image_sets[name][split]
        batches = FileBatches(
            files,
            self.source_label,
            self.fit,
            channels=self.collection.channels,
            crop=self.crop if train else None,
            key_crop=self.key_crop if train else None,
            key_view=train and self.key_augmentation is not None,
            on_error=self.on_error,
            max_pixels=self.max_pixels,
        )
        if self.num_workers:
            self._check_shared_memory(sampler.batch_size * batches.bytes_an_image(train=train))
        return WorkerLoader(
            batches,
            sampler=sampler,
            batch_size=None,
            collate_fn=ship,
            num_workers=self.num_workers,
            silence=self.worker_timeout,
            persistent_workers=self.num_workers > 0,
            prefetch_factor=self.prefetch_factor if self.num_workers > 0 else None,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
        )

    @rank_zero_only
    def _check_shared_memory(self, batch_bytes: int) -> None:
        """Say, once, that the batches which the workers prepare do not fit into shared memory."""
        processes = self.num_workers * (self.trainer.num_devices if self.trainer else 1)
        if not self._has_warned and (text := shortage(processes * self.prefetch_factor, batch_bytes)):
            self._has_warned = True
            log.warning("data=%s: %s", self.name, text)

    def to_samples(self, batch: Samples | Unreadable) -> Samples:
        """Stop at an unreadable image.

        Raises:
            ValueError: names the file and the reason.
        """
        if isinstance(batch, Unreadable):
            remedy = "repair or remove "
            remedy += "it, or set data.on_error=skip" if self.on_error == "stop" else "them"
            # A user's file is at fault, no type.
            raise ValueError(f"{batch.reason.rstrip('.')}; {remedy}.")  # noqa: TRY004
        return batch
