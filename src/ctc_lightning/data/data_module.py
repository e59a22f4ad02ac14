"""What all data modules share: two augmented, standardised views, exact epochs, loaders for every split."""

# N training images, B of a batch, C channels, H rows, W columns

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ctc_lightning.batch import Batch, EvenBatch
from ctc_lightning.checks import count
from ctc_lightning.data.augmentation import Augmentation, Compose, Identity, RandomResizedCrop
from ctc_lightning.data.image_set import Images, Samples
from ctc_lightning.data.network_input import AsSeenBy, NetworkInput
from ctc_lightning.data.sampler import EpochBatches
from ctc_lightning.data.standardise import Standardise

Loader = DataLoader[Any]
_OF_THE_IMAGES = (
    *("image_sets", "num_images", "num_classes", "classes"),
    *("image_shape", "standardise", "mean", "std", "network_input"),
)


class ImageDataModule(pl.LightningDataModule, ABC):
    """Trains on the image set "source" and keeps everything a transfer probe may ask for.

    A subclass makes the image sets and says how a loader gets at their pixels. What is in a batch, and how it
    is augmented, follows from (seed, epoch, batch, rank) alone: no global random state is touched, and a
    resumed run sees the same images. The trainer needs ``use_distributed_sampler=False``.

    Args:
        name: what results and file names call this data set.
        source_label: the label to train on.
        batch_size: B, per process.
        eval_batch_size: the largest batch of validation and test, per process.
        augmentation: of the query's view; None for none.
        key_augmentation: of the key's view, drawn independently; None shows the key the query's view, the
            very same tensor.
        seed: >= 0, of the order of the images and of their augmentation.
        drop_last: drop the images that do not fill a last training batch, otherwise spread all images over
            batches that differ by at most one image.

    Attributes:
        source_labels: names of the labels one may train on.
        targets: transfer target (a label) -> the image set that carries it.
        image_sets: name -> split "train", "val", "test" -> images; after `setup`, as all that follow.
        num_images: N.
        num_classes: of the source label.
        classes: the names of its classes, in order; empty where they have none.
        image_shape: (C, H, W).
        standardise: (B, C, H, W) uint8 -> float32 by the statistics of the training images.
        mean: its (C,) mean, in units of [0, 1].
        std: its (C,) standard deviation, likewise.
        digest: of the data set before anything is held out or drawn, see `content_digest`; None where the
            configuration alone decides what the images are.
        config: ``conf/data`` that it was made from, for checkpoints; None: it was made otherwise.
        num_replaced: how many unreadable images others have stood in for, on this process so far.

    Raises:
        ValueError: a size below 1, something that is no augmentation, a negative seed; in `setup`, an unknown
            source label, a label of several classes an image, a batch larger than the training set.
    """

    name: str
    source_labels: Sequence[str]
    targets: Mapping[str, str]

    image_sets: Mapping[str, Mapping[str, Images]]
    num_images: int
    num_classes: int
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    standardise: Standardise
    digest: str | None = None
    config: Mapping[str, Any] | None = None

    def __init__(
        self,
        *,
        name: str,
        source_label: str,
        batch_size: int = 64,
        eval_batch_size: int = 500,
        augmentation: Augmentation | None = None,
        key_augmentation: Augmentation | None = None,
        seed: int = 0,
        drop_last: bool = True,
    ) -> None:
        super().__init__()
        for option, views in {"augmentation": augmentation, "key_augmentation": key_augmentation}.items():
            if views is not None and not callable(views):
                place = "" if option == "augmentation" else f"@data.{option}"
                raise ValueError(
                    f"{option} is {views!r}, must be an augmentation: choose one by "
                    f"data/augmentation{place}=crop, or null."
                )
        count(f"data={name}", example=128, batch_size=batch_size, eval_batch_size=eval_batch_size)
        count(f"data={name}", least=0, example=0, seed=seed)
        self.name = name
        self.source_label = source_label
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.augmentations = {"augmentation": augmentation, "key_augmentation": key_augmentation}
        self.augmentation = augmentation or Identity()
        self.key_augmentation = key_augmentation
        self.seed = seed
        self.drop_last = drop_last
        self.num_replaced = 0
        self.begun = (-1, 0)

    if not TYPE_CHECKING:  # mypy would believe in every attribute

        def __getattr__(self, name: str) -> Any:
            """Attributes that only the images tell."""
            if name in _OF_THE_IMAGES:
                raise AttributeError(f"{name} is known after setup: call data.setup() first.")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def state_dict(self) -> dict[str, int]:
        """How far into which epoch the training is."""
        trainer: Any = self.trainer
        begun = trainer.fit_loop.epoch_loop.batch_progress.current.completed % trainer.num_training_batches
        return {"epoch": trainer.current_epoch, "batches": begun}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on there: called before the training batches are asked for."""
        self.begun = state_dict["epoch"], state_dict["batches"]

    @abstractmethod
    def make(self) -> Mapping[str, Mapping[str, Images]]:
        """Generate or find the image sets: name -> split -> images, with "source" among the names."""

    @abstractmethod
    def find_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every view."""

    @abstractmethod
    def statistics(self) -> tuple[Sequence[float] | Tensor, Sequence[float] | Tensor]:
        """Mean and standard deviation per channel to standardise by, in units of [0, 1]."""

    @abstractmethod
    def open(self, sampler: EpochBatches, name: str, split: str, *, train: bool) -> Loader:
        """A loader of the batches that ``sampler`` lists, which `to_samples` understands.

        Args:
            sampler: yields ``(index_B, seed)``.
            name: of the image set.
            split: of its split.
            train: whether to crop for training, where the loader's own processes crop.
        """

    def to_samples(self, batch: Any) -> Samples:
        """What a loader yielded, on its device, as images."""
        return batch

    def setup(self, stage: str | None = None) -> None:
        """Make the image sets and all that follows from them, once; later calls do nothing."""
        if hasattr(self, "standardise"):
            return
        self.check_source_label()
        self.image_sets = self.make()
        train = self.image_sets["source"]["train"]
        self.num_images = len(train)
        self.check_batch_size(self.num_images)
        self.classes = tuple(train.classes.get(self.source_label, ()))
        self.num_classes = len(self.classes) or int(train.labels[self.source_label].max()) + 1
        self.image_shape = self.find_shape()
        self.check_crops()
        self.standardise = Standardise(*self.statistics(), self.image_shape)
        if self.num_classes < 2:
            raise ValueError(
                f"data={self.name}: source_label={self.source_label} has {self.num_classes} class, "
                "must have at least 2: add images of another class, or choose another label."
            )

    @property
    def network_input(self) -> NetworkInput:
        """What a network that trains here gets to see; after `setup`."""
        return NetworkInput(self.image_shape, tuple(self.mean.tolist()), tuple(self.std.tolist()))

    def show_as(self, expected: NetworkInput) -> None:
        """From now on give the images the size, channels and standardisation that a network expects."""
        if expected != self.network_input:
            self.standardise = AsSeenBy(expected)
            self.image_shape = expected.shape

    def check_crops(self) -> None:
        """Refuse a random crop to another size than the images are shown at."""
        for option, augmentation in self.augmentations.items():
            for step in augmentation.steps if isinstance(augmentation, Compose) else [augmentation]:
                size = step.size if isinstance(step, RandomResizedCrop) else None
                if size not in {None, self.image_shape[-1]}:
                    raise ValueError(
                        f"{option} crops to {size} pixels, must crop to the {self.image_shape[-1]} of the "
                        "images: set its size to null."
                    )

    def check_source_label(self) -> None:
        """Refuse a label that the data do not have."""
        if self.source_label not in self.source_labels:
            raise ValueError(
                f"source_label is {self.source_label!r}, must be one that {self.name} has: choose from "
                f"{', '.join(self.source_labels)}."
            )

    def check_batch_size(self, num_train: int) -> None:
        """Refuse a batch that the training images cannot fill."""
        if self.drop_last and self.batch_size > num_train:
            raise ValueError(
                f"batch_size is {self.batch_size}; it must be at most the {num_train} training images: "
                "lower it, or set drop_last=false."
            )

    @property
    def mean(self) -> Tensor:
        """(C,) float32."""
        return self.standardise.mean

    @property
    def std(self) -> Tensor:
        """(C,) float32."""
        return self.standardise.std

    @property
    def train_label(self) -> Tensor:
        """(N,) int64, the source label of every training image, in the order of ``Batch.index``.

        Raises:
            ValueError: images may have several classes, which cross-entropy cannot train on.
        """
        label = self.image_sets["source"]["train"].labels[self.source_label]
        if label.ndim > 1:
            raise ValueError(
                f"data={self.name} has several classes an image, and cross-entropy needs exactly one: use it "
                "as a transfer target, or train on another data set."
            )
        return label

    # ------------------------------------------------------------------------------------------ views

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Augment and standardise what a loader yielded, on its device: what the training step reads.

        Samples without a seed are not augmented, and both views are one tensor.
        """
        samples = self.to_samples(batch)
        self.num_replaced += samples.num_replaced
        image = samples.image
        if samples.seed is None:
            view = key_view = self.standardise(image)
        else:
            # On the CPU: the same augmentation on every device.
            generator = torch.Generator().manual_seed(samples.seed)
            view = key_view = self.standardise(self.augmentation(image, generator))
            if self.key_augmentation is not None:
                key_image = image if samples.key_image is None else samples.key_image
                key_view = self.standardise(self.key_augmentation(key_image, generator))
        kind = EvenBatch if self.drop_last and samples.seed is not None else Batch
        ready = kind(view, key_view, samples.label, samples.index)
        # Lightning converts what the loader yields, but these views exist only now
        return self.trainer.precision_plugin.convert_input(ready) if self.trainer else ready

    # ---------------------------------------------------------------------------------------- loaders

    def train_dataloader(self) -> Loader:
        """Shuffled, augmented training batches."""
        sampler = self.batches("source", "train", self.batch_size, shuffle=True, drop_last=self.drop_last)
        sampler.begin_at(*self.begun)
        loader: Any = self.open(sampler, "source", "train", train=True)
        loader.label_N = self.image_sets["source"]["train"].labels[self.source_label]
        return loader

    def val_dataloader(self) -> Loader:
        """Every validation image once, over all ranks, as it is."""
        return self.evaluation_dataloader("source", "val")

    def test_dataloader(self) -> Loader:
        """Every test image once, over all ranks, as it is."""
        return self.evaluation_dataloader("source", "test")

    def predict_dataloader(self) -> Loader:
        """The test images."""
        return self.test_dataloader()

    def evaluation_dataloader(self, name: str, split: str) -> Loader:
        """Every image of a split once, over all ranks, in order, as it is."""
        sampler = self.batches(name, split, self.eval_batch_size, augment=False)
        return self.open(sampler, name, split, train=False)

    def evaluation_batches(self, name: str, split: str, device: torch.device) -> Iterator[Batch]:
        """What `evaluation_dataloader` yields, ready on ``device``: for use outside the trainer's loops."""
        for batch in self.evaluation_dataloader(name, split):
            yield self.on_after_batch_transfer(self.transfer_batch_to_device(batch, device, 0), 0)

    def memory_dataloader(self) -> Loader:
        """Every training image once, over all ranks, in order, augmented; see `memory_batches`."""
        return self.open(self.batches("source", "train", self.batch_size), "source", "train", train=True)

    def memory_batches(self, epoch: int, device: torch.device) -> Iterator[Batch]:
        """What `memory_dataloader` yields, ready on ``device``: ``key_view`` fills a memory.

        Args:
            epoch: chooses the draw of the augmentation.
            device: where to.
        """
        loader = self.memory_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for batch in loader:
            ready = self.on_after_batch_transfer(self.transfer_batch_to_device(batch, device, 0), 0)
            yield Batch(*ready)  # here no image is dropped

    def batches(
        self,
        name: str,
        split: str,
        batch_size: int,
        *,
        augment: bool = True,
        shuffle: bool = False,
        drop_last: bool = False,
    ) -> EpochBatches:
        """Which images make up each batch of this rank."""
        return EpochBatches(
            len(self.image_sets[name][split]),
            batch_size,
            seed=self.seed if augment else None,
            shuffle=shuffle,
            drop_last=drop_last,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
