"""What people's loaders yield, read as a `Batch`. B: images."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ctc_lightning.batch import Batch
from ctc_lightning.distributed import rank, world_size
from ctc_lightning.networks.batch_norm import BATCH_NORM
from ctc_lightning.networks.network import check_images
from ctc_lightning.stage import Stage

log = logging.getLogger(__name__)

FORMS = "(image, label), (image, label, index), ([view, key_view], label), a dict, or a Batch"
KEYS = {
    "view": ("view", "image", "images", "img", "pixel_values"),
    "key_view": ("key_view",),
    "label": ("label", "labels", "target", "targets"),
    "index": ("index", "indices", "idx"),
}
REMEDY = "wrap the data set: IndexedDataset(dataset)"
NUM_NUMBERS = 2**30  # image numbers must stay below 2·10⁹, see `Keys.groups`


class Parts(NamedTuple):
    """A batch as it was yielded; None for what it does not have."""

    view: Tensor
    key_view: Tensor
    label: Tensor | None
    index: Tensor | None  # type: ignore[assignment]  # hides tuple.index


def parts_of(batch: Any) -> Parts:
    """Images, labels and image numbers of any of the `FORMS`, or of images alone.

    Raises:
        ValueError: another form, or images that are not (B, C, H, W) floats.
    """
    if isinstance(batch, Batch):
        return Parts(*batch)
    found: dict[str, Any] = {}
    if isinstance(batch, Tensor):
        found = {"view": batch}
    elif isinstance(batch, Mapping):
        found = {part: batch[key] for part, keys in KEYS.items() for key in keys if key in batch}
    elif isinstance(batch, tuple | list) and 1 <= len(batch) <= 3:
        found = dict(zip(("view", "label", "index"), batch, strict=False))
    views = found.get("view")
    if isinstance(views, tuple | list) and len(views) == 2:
        found["view"], found["key_view"] = views
    if not isinstance(found.get("view"), Tensor):
        shown = f"a dict with {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else _kind(batch)
        raise ValueError(  # noqa: TRY004  # a user's mistake
            f"the loader yields {shown}; it must yield {FORMS}: change the data set's items."
        )
    view, key_view = found["view"], found.get("key_view", found["view"])
    for images in (view, key_view):
        if images.ndim != 4 or not images.is_floating_point():
            raise ValueError(
                f"the images are {images.dtype} of shape {tuple(images.shape)}; they must be floats of shape "
                "(B, C, H, W): add a transform, for example torchvision's ToTensor()."
            )
    if key_view.shape != view.shape:
        raise ValueError(
            f"the views have shapes {tuple(view.shape)} and {tuple(key_view.shape)}; they must be equal: "
            "crop both to one size."
        )
    return Parts(view, key_view, found.get("label"), found.get("index"))


def _kind(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}s of {len(value)} parts ({', '.join(type(v).__name__ for v in value)})"
    return type(value).__name__


class BatchReader:
    """Turns batches into `Batch`, each once, and checks what can be checked without waiting for a GPU.

    Labels and image numbers are checked in every batch on the CPU, in the first one elsewhere.

    Args:
        network: that sees the images.
        stages: their memories may need image numbers.

    Attributes:
        num_images: N, which image numbers stay below; None: not known.
    """

    def __init__(self, network: nn.Module, stages: Iterable[Stage]) -> None:
        self.num_images: int | None = None
        self._network = network
        self._memories = [stage.memory for stage in stages if stage.contrast is not None]
        self._last: tuple[Any, Batch] | None = None
        self._num_numbered = 0
        self._shapes: set[torch.Size] = set()
        self._checked = False

    def clear(self) -> None:
        """Forget the last batch."""
        self._last = None

    def __call__(self, batch: Any) -> Batch:
        """A training batch; without image numbers every image counts as another one.

        Raises:
            ValueError: as `evaluation`; no image numbers where a memory needs them; one image under
                BatchNorm.
        """
        if isinstance(batch, Batch):
            return batch
        if self._last is None or self._last[0] is not batch:
            parts = parts_of(batch)
            if len(parts.view) < 2 and any(isinstance(m, BATCH_NORM) for m in self._network.modules()):
                raise ValueError(
                    "a batch has 1 image, and BatchNorm needs at least 2: set drop_last=True in the "
                    "DataLoader, or choose another batch_size."
                )
            self._last = batch, self._complete(parts, self._numbers(parts))
        return self._last[1]

    def evaluation(self, batch: Any) -> Batch:
        """A batch of validation or test; image numbers are -1 where there are none.

        Raises:
            ValueError: another form of batch, shape of images, or label.
        """
        if isinstance(batch, Batch):
            return batch
        parts = parts_of(batch)
        index_B = (
            parts.index if parts.index is not None else parts.view.new_full((len(parts.view),), -1).long()
        )
        return self._complete(parts, index_B)

    def _complete(self, parts: Parts, index_B: Tensor) -> Batch:
        label_B = parts.label
        if not isinstance(label_B, Tensor):
            raise ValueError(  # noqa: TRY004  # a user's mistake
                f"the loader yields no labels; it must yield {FORMS}: change the data set's items."
            )
        if label_B.shape != (len(parts.view),) or label_B.is_floating_point():
            raise ValueError(
                f"the labels are {label_B.dtype} of shape {tuple(label_B.shape)}; they must be whole numbers "
                f"of shape ({len(parts.view)},): give each image one class."
            )
        if parts.view.shape[1:] not in self._shapes:
            check_images(self._network, tuple(parts.view.shape[1:]))
            self._shapes.add(parts.view.shape[1:])
        if not self._checked or label_B.device.type == "cpu":
            check_labels(label_B, self._network.classifier.out_features)  # type: ignore[union-attr,arg-type]
            given = parts.index is not None and len(index_B) > 0
            if given and self.num_images is not None and int(index_B.max()) >= self.num_images:
                raise ValueError(
                    f"an image has the number {int(index_B.max())}; it must be below the {self.num_images} "
                    "images of the data set: put IndexedDataset around the outermost data set."
                )
            self._checked = True
        return Batch(parts.view, parts.key_view, label_B.long(), index_B.long())

    def _numbers(self, parts: Parts) -> Tensor:
        if parts.index is not None:
            return parts.index
        for memory in self._memories:
            if memory.stores_positive:
                raise ValueError(
                    f"{type(memory).__name__} keeps a key for each image, and the loader yields no image "
                    f"numbers: {REMEDY}."
                )
            if not self._num_numbered and getattr(memory, "exclude", None) == "image" and rank() == 0:
                log.warning(
                    "The loader yields no image numbers: %s cannot leave out older keys of a query's own "
                    "image. To leave them out, %s.",
                    type(memory).__name__,
                    REMEDY,
                )
        order_B = torch.arange(len(parts.view), device=parts.view.device) + self._num_numbered
        self._num_numbered += len(parts.view)
        return (order_B * world_size() + rank()) % NUM_NUMBERS


def numbers_of(loader: Any, batch_idx: int, num_images: int) -> list[int]:
    """Image numbers of a prediction batch, from Lightning's sampler; -1 where they are not known."""
    seen = getattr(getattr(loader, "batch_sampler", None), "seen_batch_indices", None)
    return seen[batch_idx] if seen else [-1] * num_images


def check_labels(label: Tensor, num_classes: int) -> None:
    """Refuse labels that the classifier does not have.

    Raises:
        ValueError: names the first one and the limit.
    """
    if len(label) and (wrong := label[(label < 0) | (label >= num_classes)]).numel():
        raise ValueError(
            f"an image has the label {int(wrong[0])}; the classifier has {num_classes} classes, 0 to "
            f"{num_classes - 1}: correct the labels, or num_classes."
        )
