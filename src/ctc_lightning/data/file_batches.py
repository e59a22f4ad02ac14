"""Image files, decoded and brought to one size a batch at a time, in a loader's own processes."""

# B images of a batch, C channels, H rows, W columns, S rows and columns of the result

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import center_crop, resize

from ctc_lightning.data.augmentation import RandomResizedCrop
from ctc_lightning.data.decode import MAX_PIXELS, UnreadableImage, conversion_error, decode
from ctc_lightning.data.image_set import ImageFiles, Samples
from ctc_lightning.data.sampler import BatchRows

OnError = Literal["stop", "skip"]
Interpolation = Literal["bilinear", "bicubic"]

_MARGIN = 8
_GROUP = 8  # images whose crops are drawn together, as a draw costs much the same for one and for many
_MOST_REPLACED = 100  # unreadable images in a row: then something else is wrong
_QUERY, _KEY = 0x5EED_C409, 0x5EED_0CE7  # crops draw from other streams than the whole-batch augmentation


class Unreadable(NamedTuple):
    """Instead of a batch: why one of its images cannot be read."""

    reason: str


class Fit(NamedTuple):
    """How a whole image becomes S x S: its shorter side to S / share, then the central square.

    Attributes:
        size: S.
        share: in (0, 1].
        interpolation: of the antialiased resampling, also of random crops.
    """

    size: int
    share: float = 1.0
    interpolation: Interpolation = "bilinear"

    def __call__(self, image_CHW: Tensor) -> Tensor:
        """(C, H, W) uint8 to (C, S, S) uint8, or batches of these."""
        shorter = int(self.size / self.share)
        # Of a long image only the middle is scaled: it takes `_MARGIN` times the size, not any length
        short = min(image_CHW.shape[-2:])
        most = max(math.ceil(_MARGIN * self.share * short), 2)
        if max(image_CHW.shape[-2:]) > most:
            sides = [side if side <= most else most - (side - most) % 2 for side in image_CHW.shape[-2:]]
            image_CHW = center_crop(image_CHW, sides)
            shorter = max(round(shorter * min(sides) / short), self.size)
        if min(image_CHW.shape[-2:]) != shorter:
            image_CHW = resize(image_CHW, [shorter], self.mode, antialias=True)
        return center_crop(image_CHW, [self.size, self.size])

    @property
    def mode(self) -> InterpolationMode:
        """For torchvision."""
        return InterpolationMode(self.interpolation)


class FileBatches(Dataset[Samples | Unreadable]):
    """A data set whose item is a whole batch of decoded files, still uint8.

    Args:
        files: the images.
        label: which of their labels to hand out.
        fit: what brings an image that is not cropped at random to its size.
        channels: C, 3 or 1.
        crop: the query's random crop; None: images are fitted.
        key_crop: the key's.
        key_view: whether the key has a view of its own.
        on_error: ``stop``: an unreadable image makes an `Unreadable` of the batch. ``skip``: the next
            readable image, with its own label and index, stands in.
        max_pixels: the most that an image may have; None: any number.
    """

    def __init__(
        self,
        files: ImageFiles,
        label: str,
        fit: Fit,
        *,
        channels: int = 3,
        crop: RandomResizedCrop | None = None,
        key_crop: RandomResizedCrop | None = None,
        key_view: bool = False,
        on_error: OnError = "stop",
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        self.files = files
        self.label_N = files.labels[label]
        self.fit = fit
        self.channels = channels
        self.crop, self.key_crop = crop, key_crop
        self.has_key_image = key_view and (crop is not None or key_crop is not None)
        self.on_error = on_error
        self.max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, batch: BatchRows) -> Samples | Unreadable:
        """The images at ``index_B``; a seed asks for random crops."""
        index_B, seed = batch
        image_BSSC = self._empty(len(index_B))
        key_BSSC = self._empty(len(index_B)) if self.has_key_image and seed is not None else None
        query = None if seed is None else torch.Generator().manual_seed(seed ^ _QUERY)
        key = None if seed is None else torch.Generator().manual_seed(seed ^ _KEY)
        wanted = index_B.tolist()
        found: list[int] = []
        for start in range(0, len(wanted), _GROUP):
            try:
                rows, images = zip(*map(self._read, wanted[start : start + _GROUP]), strict=True)
            except UnreadableImage as problem:
                return Unreadable(str(problem))
            found += rows
            self._put(image_BSSC[start:], images, self.crop, query)
            if key_BSSC is not None:
                self._put(key_BSSC[start:], images, self.key_crop, key)
        image_BCSS = image_BSSC.permute(0, 3, 1, 2)
        key_BCSS = None if key_BSSC is None else key_BSSC.permute(0, 3, 1, 2)
        found_B = torch.tensor(found)
        num_replaced = sum(row != there for row, there in zip(wanted, found, strict=True))
        return Samples(image_BCSS, self.label_N[found_B], found_B, seed, key_BCSS, num_replaced)

    def bytes_an_image(self, *, train: bool) -> int:
        """Of all its views in a batch."""
        views = 2 if train and self.has_key_image else 1
        return views * self.fit.size**2 * self.channels

    def _empty(self, batch_size: int) -> Tensor:
        return torch.empty(batch_size, self.fit.size, self.fit.size, self.channels, dtype=torch.uint8)

    def _read(self, row: int) -> tuple[int, Tensor]:
        """The image of a row, or of the next readable one, with the row it is of."""
        most = 1 if self.on_error == "stop" else min(len(self), _MOST_REPLACED)
        for there in range(row, row + most):
            path = self.files.path(there % len(self))
            try:
                return there % len(self), decode(path, self.channels, self.max_pixels)
            except UnreadableImage as problem:
                last = problem
            except Exception as problem:  # noqa: BLE001  # as lack of memory: of one file, which is named
                last = conversion_error(path, problem)
        if most == 1:
            raise last
        raise UnreadableImage(f"{most} images in a row cannot be read; of the last of them, {last}")

    def _put(
        self,
        out_BSSC: Tensor,
        images: Sequence[Tensor],
        crop: RandomResizedCrop | None,
        generator: torch.Generator | None,
    ) -> None:
        """Write images at their final size."""
        if crop is None or generator is None:
            results = [self.fit(image_CHW) for image_CHW in images]
        else:
            height_B, width_B = torch.tensor([image_CHW.shape[1:] for image_CHW in images]).T
            box_B4 = crop.boxes(height_B, width_B, generator)
            results = [
                resize(cut(image_CHW, *box), [self.fit.size] * 2, self.fit.mode, antialias=True)
                for image_CHW, box in zip(images, box_B4.tolist(), strict=True)
            ]
        for out_SSC, result_CSS in zip(out_BSSC, results, strict=False):
            if result_CSS.stride(0) == 1:
                out_SSC.copy_(result_CSS.permute(1, 2, 0))
            else:  # planes: twice as fast as a copy
                torch.stack(result_CSS.unbind(0), dim=2, out=out_SSC)


def cut(image_CHW: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A box of the image, as a copy of its own with the channels innermost: what resizes fastest."""
    box_HWC = image_CHW[:, top : top + height, left : left + width].permute(1, 2, 0).contiguous()
    return box_HWC.permute(2, 0, 1)
