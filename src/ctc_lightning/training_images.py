"""What a training loader knows: how many images, their labels, the batch size. N: training images."""

import math
from collections.abc import Iterator, Mapping, Sized
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from ctc_lightning.batch_forms import check_labels
from ctc_lightning.data.labels import labels_of
from ctc_lightning.distributed import rank, world_size
from ctc_lightning.networks.batch_norm import BATCH_NORM
from ctc_lightning.stage import Stage
from ctc_lightning.training.private_names import training_source


class TrainingImages(NamedTuple):
    """Facts of a loader; None for what it does not know.

    Attributes:
        num_images: N, of all ranks.
        label_N: (N,) int64, -1 where labels are not known without reading every image.
        batch_size: of this rank's full batches.
        last_batch: images of this rank's last batch.
    """

    num_images: int | None
    label_N: Tensor
    batch_size: int | None
    last_batch: int | None


def describe(loader: Any) -> TrainingImages:
    """Look at a loader's attributes; nothing is read from it.

    A loader may state its labels in an attribute ``label_N``; otherwise they are the data set's, see
    `labels_of`.
    """
    data = getattr(loader, "dataset", None)
    label_N = getattr(loader, "label_N", None)
    if label_N is None and getattr(loader, "batch_sampler", None) is not None:
        label_N = labels_of(data)
    sampler = getattr(loader, "batch_sampler", None)  # without one, the data set's items are batches
    sized = sampler is not None and isinstance(data, Sized) and not isinstance(data, IterableDataset)
    num_images = len(label_N) if label_N is not None else len(data) if sized else None  # type: ignore[arg-type]
    if label_N is None:
        label_N = torch.full((num_images or 0,), -1)
    of = (getattr(part, "batch_size", None) for part in (loader, sampler, getattr(loader, "sampler", None)))
    batch_size = next((size for size in of if size is not None), None)
    last_batch = None
    if isinstance(sampler, BatchSampler) and batch_size and isinstance(sampler.sampler, Sized):
        last_batch = batch_size if sampler.drop_last else len(sampler.sampler) % batch_size or batch_size
    return TrainingImages(num_images, label_N, batch_size, last_batch)


def training_loader(trainer: pl.Trainer) -> Any:
    """The loader that ``trainer.fit`` was given, or makes: before weights are restored."""
    return training_source(trainer).dataloader()


def images_of(trainer: pl.Trainer, stages: Mapping[str, Stage]) -> TrainingImages:
    """What the training loader knows, for memories that are still to be made.

    Raises:
        ValueError: a memory needs more than that.
    """
    images = describe(training_loader(trainer))
    for memory in (stage.memory for stage in stages.values() if stage.contrast is not None):
        name = type(memory).__name__
        if memory.stores_positive and not images.num_images:
            raise ValueError(
                f"{name} keeps a key for each image, but the training loader does not know how many images "
                "there are; use a DataLoader over IndexedDataset(dataset), or a queue."
            )
        if memory.stores_positive and getattr(memory, "exclude", None) == "class" and min(images.label_N) < 0:
            raise ValueError(
                f"{name} with exclude='class' needs every image's label, and the data set has no targets; "
                "state them: IndexedDataset(dataset, targets=labels)."
            )
    return images


def check_loader(trainer: pl.Trainer, network: nn.Module, num_images: int | None) -> int | None:
    """Check the open training loader and return its batch size, if it knows it.

    Args:
        trainer: with its training loader.
        network: that is trained.
        num_images: N of the memories; None: they have none.

    Raises:
        ValueError: labels that the classifier does not have, a single class, a batch of one image under
            BatchNorm, or another number of images than the memories were made for.
    """
    images = describe(trainer.train_dataloader)
    label_N = images.label_N[:0] if (images.label_N == -1).all() else images.label_N
    check_labels(label_N, network.classifier.out_features)  # type: ignore[union-attr,arg-type]
    if len(label_N) > 1 and len(label_N.unique()) == 1:
        raise ValueError(
            f"all {len(label_N)} training images have the label {int(label_N[0])}; a classifier needs at "
            "least 2 classes: add images of another class."
        )
    if num_images and images.num_images and num_images != images.num_images:
        raise ValueError(
            f"the memories were made for {num_images} training images and the loader has "
            f"{images.num_images}; train on the same images, or begin with a new module."
        )
    loader: Any = trainer.train_dataloader
    seen = images.last_batch == 1 and len(loader) == trainer.num_training_batches
    if seen and any(isinstance(m, BATCH_NORM) for m in network.modules()):
        raise ValueError(
            "the last training batch has 1 image, and BatchNorm needs at least 2: set drop_last=True in the "
            f"DataLoader, or choose another batch_size than {images.batch_size}."
        )
    return images.batch_size


def saved_labels(state: Mapping[str, Tensor]) -> Tensor | None:
    """(N,) labels of the images that a checkpoint's memory bank was made for, -1 where it does not hold them.

    None: it has no bank.
    """
    found = next((tensor for name, tensor in state.items() if name.endswith(".label_N")), None)
    rows = next((tensor for name, tensor in state.items() if name.endswith(".row_ND")), None)
    return torch.full((len(rows),), -1) if found is None and rows is not None else found


def check_saved(num_images: int | None, saved: Tensor | None) -> None:
    """Refuse a memory bank of another number of images than there are.

    Raises:
        ValueError: names both.
    """
    if saved is not None and num_images != len(saved):
        raise ValueError(
            f"the checkpoint's memory bank has {len(saved)} rows and the training loader {num_images} "
            "images; resume with the images that it was trained on."
        )


def memory_batches(module: pl.LightningModule) -> Iterator[Any]:
    """Every training image at least once over all ranks, as many batches on each, on the module's device.

    A data module may offer ``memory_batches(epoch, device)``; otherwise the training data set is read once
    in order.
    """
    trainer = module.trainer
    offered = getattr(trainer.datamodule, "memory_batches", None)  # type: ignore[attr-defined]
    if offered is not None:
        yield from offered(module.current_epoch, module.device)
        return
    given: Any = trainer.train_dataloader
    num_images, ranks = len(given.dataset), world_size()
    loader: DataLoader[Any] = DataLoader(
        given.dataset,
        describe(given).batch_size,
        sampler=[i % num_images for i in range(rank(), math.ceil(num_images / ranks) * ranks, ranks)],
        num_workers=given.num_workers,
        collate_fn=given.collate_fn,
        worker_init_fn=given.worker_init_fn,
        generator=torch.Generator(),
    )
    for batch in loader:
        yield trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch), module.device)
